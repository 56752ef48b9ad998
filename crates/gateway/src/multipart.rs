//! A form with a file, while it passes: where each part begins and ends. Stricter than most parsers, for what one of
//! them took for a part and another for the content of a part would pass unchecked. Knows nothing of what parts mean.

use bytes::{Bytes, BytesMut};

/// Bytes of a part's head, and of its value where that is read.
const HEAD: usize = 8 << 10;

/// Why a form is not taken, as a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// What a part is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// It has a file's name.
    pub(crate) is_file: bool,
}

/// What comes next in a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Bytes between the contents, and the part that begins behind them.
    Begin(Part, Bytes),
    /// Some of the content of the part that was begun.
    Content(Bytes),
    /// The end of the form, and the bytes of it.
    End(Bytes),
}

/// Cuts a form into pieces; all of them together are the bytes that came.
#[derive(Debug)]
pub(crate) struct Form {
    /// `--` and the boundary.
    delimiter: Vec<u8>,
    came: BytesMut,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Begin,
    Content,
    /// At the line end before a delimiter.
    Between,
    Ended,
}

impl Form {
    /// Of a request with this content type.
    ///
    /// # Errors
    /// It is no form with a boundary.
    pub(crate) fn of(content_type: &[u8]) -> Result<Self, Malformed> {
        const NONE: Malformed = Malformed("A file is uploaded as multipart/form-data.");
        let (kind, parameters) = match memchr::memchr(b';', content_type) {
            Some(at) => (&content_type[..at], &content_type[at..]),
            None => return Err(NONE),
        };
        if !kind.trim_ascii().eq_ignore_ascii_case(b"multipart/form-data") {
            return Err(NONE);
        }
        let mut boundary = None;
        for (name, value) in parameters_of(parameters).ok_or(NONE)? {
            if name.eq_ignore_ascii_case("boundary") && boundary.replace(value).is_some() {
                return Err(NONE);
            }
        }
        let boundary = boundary.filter(|it| (1..=70).contains(&it.len())).ok_or(NONE)?;
        let delimiter = [b"--", boundary.as_bytes()].concat();
        Ok(Self { delimiter, came: BytesMut::new(), state: State::Begin })
    }

    pub(crate) fn push(&mut self, data: &[u8]) {
        self.came.extend_from_slice(data);
    }

    /// The next piece; `None` until more has come.
    ///
    /// # Errors
    /// What came is no form, or one that could be read in two ways.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, Malformed> {
        match self.state {
            State::Begin => self.begin(0),
            State::Between => self.begin(2),
            State::Content => self.content(),
            State::Ended => {
                // Some clients write an empty line behind the form.
                if self.came.iter().any(|it| !matches!(it, b'\r' | b'\n')) {
                    return Err(Malformed("Something follows the form."));
                }
                let rest = self.came.split().freeze();
                Ok((!rest.is_empty()).then_some(Piece::End(rest)))
            }
        }
    }

    /// At a delimiter, behind `skip` bytes of the line end before it.
    fn begin(&mut self, skip: usize) -> Result<Option<Piece>, Malformed> {
        let after = skip + self.delimiter.len();
        let Some(line) = self.came.get(skip..) else { return Ok(None) };
        let common = line.len().min(self.delimiter.len());
        if line[..common] != self.delimiter[..common] {
            return Err(Malformed("The form does not begin with its boundary."));
        }
        match self.came.get(after..after + 2) {
            None => Ok(None),
            Some(b"--") => {
                self.state = State::Ended;
                Ok(Some(Piece::End(self.came.split_to(after + 2).freeze())))
            }
            Some(b"\r\n") => {
                let Some(length) = memchr::memmem::find(&self.came[after + 2..], b"\r\n\r\n") else {
                    return if self.came.len() > after + HEAD {
                        Err(Malformed("A part's head is too large."))
                    } else {
                        Ok(None)
                    };
                };
                if length > HEAD {
                    return Err(Malformed("A part's head is too large."));
                }
                let part = part(&self.came[after + 2..after + 2 + length])?;
                self.state = State::Content;
                Ok(Some(Piece::Begin(part, self.came.split_to(after + 2 + length + 4).freeze())))
            }
            Some(_) => Err(Malformed("A boundary is not followed by the end of its line.")),
        }
    }

    fn content(&mut self) -> Result<Option<Piece>, Malformed> {
        match memchr::memmem::find(&self.came, &self.delimiter) {
            Some(at) if at >= 2 && &self.came[at - 2..at] == b"\r\n" => {
                self.state = State::Between;
                let content = self.came.split_to(at - 2).freeze();
                if content.is_empty() { self.begin(2) } else { Ok(Some(Piece::Content(content))) }
            }
            Some(_) => Err(Malformed("A boundary stands within a line.")),
            None => {
                // A line end and all but the last byte of a delimiter may be its beginning.
                let settled = self.came.len().saturating_sub(self.delimiter.len() + 1);
                Ok((settled > 0).then(|| Piece::Content(self.came.split_to(settled).freeze())))
            }
        }
    }
}

/// Reads a part's head: lines without their last end.
fn part(head: &[u8]) -> Result<Part, Malformed> {
    const UNREADABLE: Malformed = Malformed("A part's head cannot be read.");
    let text = std::str::from_utf8(head).map_err(|_| UNREADABLE)?;
    let mut found = None;
    for line in text.split("\r\n") {
        let (name, value) = line.split_once(':').ok_or(UNREADABLE)?;
        let is_token = |it: u8| it.is_ascii_alphanumeric() || it == b'-';
        if name.is_empty() || !name.bytes().all(is_token) || value.contains(['\r', '\n']) {
            return Err(UNREADABLE);
        }
        if name.eq_ignore_ascii_case("content-disposition") {
            if found.is_some() {
                return Err(Malformed("A part is called twice."));
            }
            found = Some(called(value).ok_or(UNREADABLE)?);
        }
        let plain = ["7bit", "8bit", "binary"];
        if name.eq_ignore_ascii_case("content-transfer-encoding")
            && !plain.iter().any(|it| it.eq_ignore_ascii_case(value.trim()))
        {
            return Err(Malformed("A part is encoded."));
        }
    }
    found.ok_or(UNREADABLE)
}

fn called(disposition: &str) -> Option<Part> {
    let (kind, parameters) = disposition.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut name, mut is_file) = (None, false);
    for (key, value) in parameters_of(&[b";", parameters.as_bytes()].concat())? {
        if key.eq_ignore_ascii_case("name") {
            let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-' | b'.' | b'[' | b']');
            if !value.bytes().all(plain) || name.replace(value).is_some() {
                return None;
            }
        } else if key.eq_ignore_ascii_case("filename") || key.eq_ignore_ascii_case("filename*") {
            is_file = true;
        } else {
            return None;
        }
    }
    Some(Part { name: name?, is_file })
}

/// `; name=value; name="value"`, all of it.
fn parameters_of(text: &[u8]) -> Option<Vec<(String, String)>> {
    let mut rest = std::str::from_utf8(text).ok()?.trim();
    let mut found = Vec::new();
    while !rest.is_empty() {
        rest = rest.strip_prefix(';')?.trim_start();
        if rest.is_empty() {
            break;
        }
        let (name, after) = rest.split_once('=')?;
        let value;
        if let Some(quoted) = after.strip_prefix('"') {
            let mut text = String::new();
            let mut characters = quoted.char_indices();
            let end = loop {
                match characters.next()? {
                    (at, '"') => break at,
                    (_, '\\') => text.push(characters.next()?.1),
                    (_, other) => text.push(other),
                }
            };
            value = text;
            rest = quoted[end + 1..].trim_start();
        } else {
            let end = after.find(';').unwrap_or(after.len());
            value = after[..end].trim().to_owned();
            if value.contains(['"', ' ', '\t']) {
                return None;
            }
            rest = &after[end..];
        }
        found.push((name.trim().to_owned(), value));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIND: &[u8] = b"multipart/form-data; boundary=xyz";

    /// Name, whether it is a file, and content.
    type Parts = Vec<(String, bool, Vec<u8>)>;

    fn read(form: &[u8], size: usize) -> Result<(Parts, Vec<u8>), Malformed> {
        let (mut it, mut parts, mut all, mut ended) = (Form::of(KIND)?, Vec::new(), Vec::new(), false);
        for data in form.chunks(size) {
            it.push(data);
            while let Some(piece) = it.next()? {
                match piece {
                    Piece::Begin(part, bytes) => {
                        all.extend_from_slice(&bytes);
                        parts.push((part.name, part.is_file, Vec::new()));
                    }
                    Piece::Content(bytes) => {
                        all.extend_from_slice(&bytes);
                        parts.last_mut().unwrap().2.extend_from_slice(&bytes);
                    }
                    Piece::End(bytes) => {
                        all.extend_from_slice(&bytes);
                        ended = true;
                    }
                }
            }
        }
        assert_eq!(ended, it.state == State::Ended);
        if ended { Ok((parts, all)) } else { Err(Malformed("not ended")) }
    }

    const FORM: &str = "--xyz\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--xyz\r\n\
        content-disposition: form-data; name=\"file\"; filename=\"a \\\"b;.jsonl\"\r\ncontent-type: application/json\r\n\r\n\
        {}\n\r\n--xy\r\n\r\n--xyz\r\nContent-Disposition: form-data; name=empty\r\n\r\n\r\n--xyz--\r\n";

    #[test]
    fn a_form_is_cut_into_parts_and_every_byte_passes() {
        for size in 1..=FORM.len() {
            let (parts, all) = read(FORM.as_bytes(), size).unwrap();
            let expected: [(&str, bool, &[u8]); 3] =
                [("purpose", false, b"batch"), ("file", true, b"{}\n\r\n--xy\r\n"), ("empty", false, b"")];
            let parts: Vec<_> = parts.iter().map(|it| (it.0.as_str(), it.1, &it.2[..])).collect();
            assert_eq!(parts, expected, "in pieces of {size}");
            assert_eq!(all, FORM.as_bytes());
        }
    }

    #[test]
    fn what_parsers_could_disagree_on_is_refused() {
        let part = |head: &str, content: &str| format!("--xyz\r\n{head}\r\n\r\n{content}\r\n--xyz--");
        let good = "content-disposition: form-data; name=\"a\"";
        assert!(read(part(good, "b").as_bytes(), 1000).is_ok());
        for form in [
            part(good, "b\n--xyz\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\nc"),
            part(good, "b--xyz"),
            part(good, "b\r\n--xyz-\r\n"),
            part(good, "b\r\n--xyzz\r\n"),
            part(good, "b\r\n--xyz \r\n"),
            format!("preamble\r\n{}", part(good, "b")),
            format!("{}more", part(good, "b")),
            format!("{}\r\n--xyz\r\n{good}\r\n\r\nc\r\n--xyz--", part(good, "b")),
            part("content-type: text/plain", "b"),
            part("content-disposition: attachment; name=\"a\"", "b"),
            part("content-disposition: form-data", "b"),
            part("content-disposition: form-data; filename=\"a\"", "b"),
            part("content-disposition: form-data; name=\"a\"; name=\"file\"", "b"),
            part("content-disposition: form-data; name=\"a\"; name*=utf-8''file", "b"),
            part("content-disposition: form-data; name=\"fi%6ce\"", "b"),
            part("content-disposition: form-data; name=\"a\" \"b\"", "b"),
            part("content-disposition: form-data; name=\"a", "b"),
            part(&format!("{good}\r\n{good}"), "b"),
            part(&format!("{good}\r\n folded: x"), "b"),
            part(&format!("{good}\r\ncontent-transfer-encoding: base64"), "b"),
            part(&format!("{good}\r\nx: {}", "x".repeat(9000)), "b"),
        ] {
            for size in [1, 1000, 100_000] {
                assert!(read(form.as_bytes(), size).is_err(), "{form}");
            }
        }
        for kind in [
            "application/json",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/mixed; boundary=a",
            "multipart/form-data; boundary=a; boundary=b",
            "multipart/form-data; boundary=\"a",
        ] {
            assert!(Form::of(kind.as_bytes()).is_err(), "{kind}");
        }
        assert!(Form::of(b"Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"").is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_say_the_same(
            text in "(--xyz|\r\n|--|content-disposition: form-data; name=a|\r\n\r\n|b){0,20}", size in 1_usize..9,
        ) {
            let form = format!("--xyz\r\ncontent-disposition: form-data; name=a\r\n\r\n{text}\r\n--xyz--");
            prop_assert_eq!(read(form.as_bytes(), size), read(form.as_bytes(), 10_000));
        }
    }
}
