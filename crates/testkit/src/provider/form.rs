//! Reads a form with files, as uploads come.

/// One part of a form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) name: &'a str,
    pub(crate) filename: Option<&'a str>,
    pub(crate) content: &'a [u8],
}

/// The parts of a body with this content type; `None` when it is no such form.
pub(crate) fn parts<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<Part<'a>>> {
    let rest = content_type.strip_prefix("multipart/form-data")?;
    let boundary = rest.split(';').find_map(|it| it.trim().strip_prefix("boundary="))?.trim_matches('"');
    let between = format!("\r\n--{boundary}");
    // The first boundary has no line before it.
    let mut rest = body.strip_prefix(&between.as_bytes()[2..])?;
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        let part = rest.strip_prefix(b"\r\n")?;
        let end = find(part, between.as_bytes())?;
        parts.push(read(&part[..end])?);
        rest = &part[end + between.len()..];
    }
}

fn read(part: &[u8]) -> Option<Part<'_>> {
    let head_end = find(part, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&part[..head_end]).ok()?;
    let disposition = head.lines().find(|it| it.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let parameter = |name: &str| {
        let given = disposition.split(';').map(str::trim).find_map(|it| it.strip_prefix(name)?.strip_prefix('='))?;
        Some(given.trim_matches('"'))
    };
    Some(Part { name: parameter("name")?, filename: parameter("filename"), content: &part[head_end + 4..] })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|it| it == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] = b"--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
        --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\nContent-Type: text/plain\r\n\r\n{}\r\n\r\n--\r\n--b--\r\n";

    #[test]
    fn a_form_has_its_parts_byte_for_byte() {
        let parts = parts("multipart/form-data; boundary=\"b\"", FORM).unwrap();
        assert_eq!(parts[0], Part { name: "purpose", filename: None, content: b"batch" });
        assert_eq!(parts[1], Part { name: "file", filename: Some("a.jsonl"), content: b"{}\r\n\r\n--" });
        assert_eq!(parts.len(), 2);
    }

    #[test]
    fn what_is_no_form_or_only_begun_is_none() {
        assert_eq!(parts("application/json", FORM), None);
        assert_eq!(parts("multipart/form-data; boundary=c", FORM), None);
        assert_eq!(parts("multipart/form-data; boundary=b", &FORM[..FORM.len() - 8]), None);
    }
}
