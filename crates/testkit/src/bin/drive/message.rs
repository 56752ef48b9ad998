//! As much of an HTTP message as has to be understood to know when its body begins and when it is whole.

/// One message while it comes in.
#[derive(Debug)]
pub(crate) struct Message {
    /// What its first line begins with, if it is a good one.
    good: &'static [u8],
    head: Vec<u8>,
    begun: bool,
    part: Part,
}

#[derive(Debug)]
enum Part {
    Head,
    /// A body of known length, with the bytes that are still to come.
    Counted(usize),
    /// A chunked body, with its latest bytes.
    Chunked([u8; END.len()]),
}

/// What a chunked body ends with. The stand-in's bodies have no CR in them, so nothing else looks like it.
const END: [u8; 5] = *b"0\r\n\r\n";

/// What one piece of a message was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    /// It held the first byte of the body.
    pub begun: bool,
    /// It held the last one.
    pub whole: bool,
}

/// The message is none of the kind, its head says nothing of its length, or it is longer than that.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Message {
    /// An answer, of which only a 200 is a good one.
    pub(crate) fn answer() -> Self {
        Self::beginning(b"HTTP/1.1 200")
    }

    /// A call, of whatever.
    pub(crate) fn request() -> Self {
        Self::beginning(b"POST /")
    }

    fn beginning(good: &'static [u8]) -> Self {
        Self { good, head: Vec::new(), begun: false, part: Part::Head }
    }

    /// Takes what has just been read.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Piece, Broken> {
        let mut body = bytes;
        if matches!(self.part, Part::Head) {
            let before = self.head.len();
            self.head.extend_from_slice(bytes);
            // The blank line may lie across two pieces.
            let from = before.saturating_sub(3);
            let Some(end) = self.head[from..].windows(4).position(|it| it == b"\r\n\r\n") else {
                return Ok(Piece::default());
            };
            let end = from + end + 4;
            self.part = part(&self.head[..end], self.good)?;
            body = &bytes[end - before..];
        }
        let whole = match &mut self.part {
            Part::Head => false,
            Part::Counted(left) => {
                *left = left.checked_sub(body.len()).ok_or(Broken)?;
                *left == 0
            }
            Part::Chunked(last) => {
                let kept = last.len().saturating_sub(body.len());
                last.rotate_right(kept);
                last[kept..].copy_from_slice(&body[body.len().saturating_sub(END.len())..]);
                *last == END
            }
        };
        let begun = !self.begun && !body.is_empty();
        self.begun |= begun;
        Ok(Piece { begun, whole })
    }

    /// Makes ready for the next message of the same connection.
    pub(crate) fn again(&mut self) {
        self.head.clear();
        (self.begun, self.part) = (false, Part::Head);
    }
}

/// What kind of body follows a head.
fn part(head: &[u8], good: &[u8]) -> Result<Part, Broken> {
    let mut lines = head.split(|it| *it == b'\n');
    if !lines.next().is_some_and(|it| it.starts_with(good)) {
        return Err(Broken);
    }
    let mut chunked = false;
    for line in lines {
        let mut halves = line.splitn(2, |it| *it == b':');
        let (Some(name), Some(value)) = (halves.next(), halves.next()) else { continue };
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = str::from_utf8(value).ok().and_then(|it| it.trim().parse().ok());
            return length.map(Part::Counted).ok_or(Broken);
        }
        chunked |= name.eq_ignore_ascii_case(b"transfer-encoding");
    }
    if chunked { Ok(Part::Chunked([0; END.len()])) } else { Err(Broken) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";

    /// Which bytes of an answer began its body and made it whole, when it comes in pieces of `size`.
    fn pieces(of: &[u8], size: usize) -> (Vec<usize>, Vec<usize>) {
        let (mut answer, mut begun, mut whole) = (Message::answer(), Vec::new(), Vec::new());
        for (n, bytes) in of.chunks(size).enumerate() {
            let piece = answer.take(bytes).expect("a good answer");
            if piece.begun {
                begun.push(n * size + bytes.len());
            }
            if piece.whole {
                whole.push(n * size + bytes.len());
            }
        }
        (begun, whole)
    }

    #[test]
    fn an_answer_is_whole_with_its_last_byte_however_it_comes() {
        for of in [COUNTED, CHUNKED] {
            let body = of.windows(4).position(|it| it == b"\r\n\r\n").expect("a head") + 4;
            for size in 1..=of.len() {
                let piece_of = |byte: usize| (byte.div_ceil(size) * size).min(of.len());
                assert_eq!(pieces(of, size), (vec![piece_of(body + 1)], vec![of.len()]), "pieces of {size}");
            }
        }
    }

    #[test]
    fn the_next_answer_of_a_connection_is_read_anew() {
        let mut answer = Message::answer();
        for of in [COUNTED, CHUNKED, COUNTED] {
            assert_eq!(answer.take(of), Ok(Piece { begun: true, whole: true }));
            answer.again();
        }
    }

    #[test]
    fn a_call_is_whole_with_its_body() {
        let call = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
        let mut message = Message::request();
        assert_eq!(message.take(&call[..50]), Ok(Piece::default()));
        assert_eq!(message.take(&call[50..]), Ok(Piece { begun: true, whole: true }));
        assert_eq!(Message::request().take(b"GET / HTTP/1.1\r\n\r\n"), Err(Broken));
    }

    #[test]
    fn a_refusal_and_an_answer_of_no_or_another_length_are_broken() {
        for answer in [
            "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nlong",
        ] {
            assert_eq!(Message::answer().take(answer.as_bytes()), Err(Broken));
        }
    }
}
