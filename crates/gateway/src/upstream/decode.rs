//! HTTP/1 answers as bytes: their head, and where their body ends. Knows no connection.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};

use crate::headers::{forward, spare};

/// Bytes of an answer's head that are read.
pub(super) const LARGEST_HEAD: usize = 64 << 10;
const MOST_HEADERS: usize = 100;
/// Pieces up to this length are copied out, so that the buffer they were read into can be used again.
const SHORT: usize = 4 << 10;

/// What an answer begins with: only the headers that pass to the client.
#[derive(Debug)]
pub(crate) struct AnswerHead {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The provider's own request id.
    pub(crate) request_id: Option<HeaderValue>,
    pub(super) body: Decoder,
    /// Whether the connection may serve another call after this answer.
    pub(super) keep: bool,
}

/// The answer is none that HTTP knows.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an answer in HTTP/1: {0}")]
pub(crate) struct Malformed(&'static str);

/// Takes the head from the front of `buffer`, when it is whole. Interim answers (1xx) are passed over.
pub(super) fn head(buffer: &mut BytesMut) -> Result<Option<AnswerHead>, Malformed> {
    loop {
        let mut fields = [const { std::mem::MaybeUninit::uninit() }; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parsed =
            httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, buffer, &mut fields);
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) if length > LARGEST_HEAD => {
                return Err(Malformed("its head is too large"));
            }
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if buffer.len() > LARGEST_HEAD => {
                return Err(Malformed("its head is too large"));
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Malformed("its head")),
        };
        let status = response.code.and_then(|it| StatusCode::from_u16(it).ok()).ok_or(Malformed("its status"))?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Malformed("a protocol nobody asked for"));
        }
        if status.is_informational() {
            buffer.advance(length);
            continue;
        }
        let version = if response.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
        let found = read(&buffer[..length], response.headers, status, version)?;
        buffer.advance(length);
        return Ok(Some(found));
    }
}

fn read(
    head: &[u8],
    fields: &[httparse::Header<'_>],
    status: StatusCode,
    version: Version,
) -> Result<AnswerHead, Malformed> {
    // One copy for all values, and the buffer is free to be read into again.
    let copy = Bytes::copy_from_slice(head);
    let mut headers = spare::take();
    let (mut length, mut chunked, mut keep, mut request_id) = (None, false, version == Version::HTTP_11, None);
    let mut named_by_connection = Vec::new();
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed("a header"))?;
        let lower = name.as_str().as_bytes();
        match lower {
            b"content-length" => {
                let digits = field.value.trim_ascii();
                let text = std::str::from_utf8(digits).map_err(|_| Malformed("its length"))?;
                if !digits.iter().all(u8::is_ascii_digit) {
                    return Err(Malformed("its length"));
                }
                let given: u64 = text.parse().map_err(|_| Malformed("its length"))?;
                if length.replace(given).is_some_and(|it| it != given) {
                    return Err(Malformed("two lengths"));
                }
            }
            b"transfer-encoding" => {
                let again = std::mem::replace(&mut chunked, true);
                if again || !field.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed("its transfer encoding"));
                }
            }
            b"connection" => {
                for token in field.value.split(|it| *it == b',').map(<[u8]>::trim_ascii) {
                    if token.eq_ignore_ascii_case(b"close") {
                        keep = false;
                    } else if token.eq_ignore_ascii_case(b"keep-alive") {
                        keep = true;
                    } else {
                        named_by_connection.extend(HeaderName::from_bytes(token).ok());
                    }
                }
            }
            _ => {}
        }
        let is_id = lower == b"x-request-id" || (lower == b"request-id" && request_id.is_none());
        if !is_id && forward::stays_there(lower) {
            continue;
        }
        let value =
            HeaderValue::from_maybe_shared(part(&copy, head, field.value)).map_err(|_| Malformed("a header"))?;
        if is_id {
            request_id = Some(value);
        } else {
            headers.append(name, value);
        }
    }
    for name in named_by_connection {
        headers.remove(name);
    }
    let body = match (chunked, length) {
        _ if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED => Decoder::Length(0),
        (true, _) => {
            headers.remove(header::CONTENT_LENGTH);
            Decoder::Chunked(Chunked::Size { value: 0, digits: 0 })
        }
        (false, Some(length)) => Decoder::Length(length),
        (false, None) => {
            keep = false;
            Decoder::UntilClosed
        }
    };
    Ok(AnswerHead { status, headers, request_id, body, keep })
}

/// What `copy`, a copy of `of`, has where `part` lies.
fn part(copy: &Bytes, of: &[u8], part: &[u8]) -> Bytes {
    if part.is_empty() {
        return Bytes::new();
    }
    let start = part.as_ptr().addr() - of.as_ptr().addr();
    copy.slice(start..start + part.len())
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoder {
    /// So many bytes are left.
    Length(u64),
    Chunked(Chunked),
    /// At the end of the connection.
    UntilClosed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    Size {
        value: u64,
        digits: u8,
    },
    /// An extension after the size, up to the line's end.
    Extension {
        value: u64,
    },
    SizeLf {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// At the start of a line of the trailer, or inside one; `seen` bytes of the trailer so far.
    Trailer {
        line_is_empty: bool,
        seen: u16,
    },
    End,
}

/// What the front of a buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    Data(Bytes),
    More,
    End,
}

impl Decoder {
    /// Takes the next piece from the front of `buffer`.
    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> Result<Decoded, Malformed> {
        match self {
            Self::Length(0) => Ok(Decoded::End),
            _ if buffer.is_empty() && !self.is_end() => Ok(Decoded::More),
            Self::Length(left) => Ok(Decoded::Data(take(buffer, left))),
            Self::UntilClosed => Ok(Decoded::Data(take(buffer, &mut u64::MAX.clone()))),
            Self::Chunked(state) => state.next(buffer),
        }
    }

    /// Whether nothing more will come.
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::End))
    }
}

/// At most `left` bytes from the front of `buffer`.
fn take(buffer: &mut BytesMut, left: &mut u64) -> Bytes {
    let length = usize::try_from(*left).map_or(buffer.len(), |it| it.min(buffer.len()));
    *left -= length as u64;
    if length <= SHORT {
        let piece = Bytes::copy_from_slice(&buffer[..length]);
        buffer.advance(length);
        piece
    } else {
        buffer.split_to(length).freeze()
    }
}

impl Chunked {
    fn next(&mut self, buffer: &mut BytesMut) -> Result<Decoded, Malformed> {
        const MALFORMED: Malformed = Malformed("a chunk");
        loop {
            if let Self::End = self {
                return Ok(Decoded::End);
            }
            let Some(byte) = buffer.first().copied() else { return Ok(Decoded::More) };
            if let Self::Data { left } = self {
                let piece = take(buffer, left);
                if *left == 0 {
                    *self = Self::DataCr;
                    self.close(buffer)?;
                }
                return Ok(Decoded::Data(piece));
            }
            buffer.advance(1);
            *self = match (*self, byte) {
                (Self::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                    if digits == 15 {
                        return Err(MALFORMED);
                    }
                    let digit = char::from(byte).to_digit(16).expect("a hexadecimal digit");
                    Self::Size { value: value * 16 + u64::from(digit), digits: digits + 1 }
                }
                (Self::Size { digits: 0, .. }, _) => return Err(MALFORMED),
                (Self::Size { value, .. }, b'\r') | (Self::Extension { value }, b'\r') => Self::SizeLf { value },
                (Self::Size { value, .. }, b';' | b' ' | b'\t') => Self::Extension { value },
                (Self::Extension { .. }, b'\n') => return Err(MALFORMED),
                (Self::Extension { value }, _) => Self::Extension { value },
                (Self::SizeLf { value: 0 }, b'\n') => Self::Trailer { line_is_empty: true, seen: 0 },
                (Self::SizeLf { value }, b'\n') => Self::Data { left: value },
                (Self::DataCr, b'\r') => Self::DataLf,
                (Self::DataLf, b'\n') => Self::Size { value: 0, digits: 0 },
                (Self::Trailer { line_is_empty: true, .. }, b'\n') => Self::End,
                (Self::Trailer { seen: u16::MAX, .. }, _) => return Err(MALFORMED),
                (Self::Trailer { line_is_empty, seen }, b'\r') => Self::Trailer { line_is_empty, seen: seen + 1 },
                (Self::Trailer { seen, .. }, _) => Self::Trailer { line_is_empty: byte == b'\n', seen: seen + 1 },
                _ => return Err(MALFORMED),
            };
        }
    }

    /// Looks at what follows a chunk, so that the end is known together with the last piece.
    fn close(&mut self, buffer: &mut BytesMut) -> Result<(), Malformed> {
        const LAST: &[u8] = b"\r\n0\r\n\r\n";
        if buffer.starts_with(LAST) {
            buffer.advance(LAST.len());
            *self = Self::End;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(mut decoder: Decoder, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, Vec<u8>), Malformed> {
        let (mut buffer, mut body) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Decoded::Data(data) = decoder.next(&mut buffer)? {
                body.extend_from_slice(&data);
            }
        }
        Ok((body, decoder.is_end(), buffer.to_vec()))
    }

    fn chunked() -> Decoder {
        Decoder::Chunked(Chunked::Size { value: 0, digits: 0 })
    }

    fn parsed(text: &str) -> Result<Option<AnswerHead>, Malformed> {
        head(&mut BytesMut::from(text))
    }

    #[test]
    fn a_head() {
        let text = "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nX-Request-ID: theirs\r\nServer: x\r\nSet-Cookie: a\r\n\
                    Content-Length: 5\r\nConnection: X-Private\r\nX-Private: 1\r\nx-a: 1\r\nx-a: 2\r\n\r\nhello, next";
        let mut buffer = BytesMut::from(text);
        let found = head(&mut buffer).unwrap().unwrap();
        assert_eq!((found.status.as_u16(), found.keep, found.body), (200, true, Decoder::Length(5)));
        assert_eq!(found.request_id.unwrap(), "theirs");
        let names: Vec<_> =
            found.headers.iter().map(|(name, it)| format!("{name}: {}", it.to_str().unwrap())).collect();
        assert_eq!(names, ["content-type: text/x", "content-length: 5", "x-a: 1", "x-a: 2"]);
        assert_eq!(&buffer[..], b"hello, next");
        for at in 0..text.find("\r\n\r\n").unwrap() + 3 {
            assert!(parsed(&text[..at]).unwrap().is_none(), "whole after {at} bytes");
        }
    }

    #[test]
    fn how_a_body_ends() {
        let found = |head: &str| parsed(&format!("{head}\r\n\r\n")).unwrap().map(|it| (it.body, it.keep)).unwrap();
        assert_eq!(found("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\ncontent-length: 3"), (chunked(), true));
        assert_eq!(found("HTTP/1.1 200 OK"), (Decoder::UntilClosed, false));
        assert_eq!(found("HTTP/1.1 204 No Content"), (Decoder::Length(0), true));
        assert_eq!(found("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close"), (Decoder::Length(0), false));
        assert_eq!(found("HTTP/1.0 200 OK\r\ncontent-length: 1"), (Decoder::Length(1), false));
        assert_eq!(found("HTTP/1.0 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive"), (Decoder::Length(1), true));
        assert_eq!(
            found("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1"),
            (Decoder::Length(1), true)
        );
    }

    #[test]
    fn what_is_no_answer() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            "HTTP/1.1 99 X\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert!(parsed(&format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(LARGEST_HEAD))).is_err());
        for text in ["x", "\r\n", "5\n", "5;a\nhello", "2\r\nabc\r\n", "1\r\na\n", "fffffffffffffffff\r\n"] {
            assert!(all(chunked(), &[text.as_bytes()]).is_err(), "{text:?}");
        }
        let endless = format!("0\r\n{}", "a: b\r\n".repeat(20_000));
        assert!(all(chunked(), &[endless.as_bytes()]).is_err());
    }

    #[test]
    fn the_end_is_known_with_the_last_piece() {
        let mut decoder = chunked();
        let mut buffer = BytesMut::from(&b"5\r\nhello\r\n0\r\n\r\n"[..]);
        assert_eq!(decoder.next(&mut buffer), Ok(Decoded::Data(Bytes::from_static(b"hello"))));
        assert!(decoder.is_end());
        assert_eq!(decoder.next(&mut buffer), Ok(Decoded::End));
    }

    proptest! {
        #[test]
        fn a_chunked_body_is_put_together(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..6),
            trailer: bool, extension: bool, size in 1_usize..9,
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend_from_slice(format!("{:x}{}\r\n", chunk.len(), if extension { ";a=b" } else { "" }).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(if trailer { b"0\r\nx: y\r\n\r\nnext" } else { b"0\r\n\r\nnext" });
            for pieces in [text.chunks(size).collect::<Vec<_>>(), vec![&text[..]]] {
                let (body, end, rest) = all(chunked(), &pieces).unwrap();
                prop_assert_eq!(body, chunks.concat());
                prop_assert_eq!((end, &rest[..]), (true, &b"next"[..]));
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, text in "[0-9a-f\r\n; ]{0,30}", size in 1_usize..5) {
            for bytes in [&bytes[..], text.as_bytes()] {
                let _ = all(chunked(), &bytes.chunks(size).collect::<Vec<_>>());
                let _ = head(&mut BytesMut::from(bytes));
                let _ = head(&mut BytesMut::from(&[b"HTTP/1.1 200 OK\r\n", bytes, b"\r\n\r\n"].concat()[..]));
            }
        }
    }
}
