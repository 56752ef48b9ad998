//! Texts of statements that insert several rows, put together when the crate is compiled.

/// How values are asked for.
#[derive(Clone, Copy)]
pub(super) enum Placeholder {
    /// `$1`, `$2`, …: on both engines.
    Numbered,
    /// `?`: on SQLite, which takes `$1` for a name and looks through all names at each value that is bound. With
    /// hundreds of values that costs three times as much as everything else.
    Bare,
}

/// The length of what [`insert`] writes.
pub(super) const fn length(head: &str, columns: usize, rows: usize, tail: &str, placeholder: Placeholder) -> usize {
    let mut length = head.len() + tail.len();
    let mut number = 1;
    while number <= columns * rows {
        // `$` or `?`, the digits, and one of `,`, `(` or `)` between or around them.
        length += match placeholder {
            Placeholder::Numbered => 2 + digits(number),
            Placeholder::Bare => 2,
        };
        number += 1;
    }
    // Each row has one bracket more than it has commas, and rows but the last are followed by a comma.
    length + rows + (rows - 1)
}

/// `head ($1,$2,…),($n,…) tail`.
pub(super) const fn insert<const N: usize>(
    head: &str,
    columns: usize,
    rows: usize,
    tail: &str,
    placeholder: Placeholder,
) -> [u8; N] {
    let mut text = Text { bytes: [0; N], length: 0 };
    text.push(head.as_bytes());
    let mut number = 1;
    while number <= columns * rows {
        let column = (number - 1) % columns;
        text.push(if column > 0 {
            b","
        } else if number > 1 {
            b",("
        } else {
            b"("
        });
        match placeholder {
            Placeholder::Numbered => {
                text.push(b"$");
                text.push_number(number);
            }
            Placeholder::Bare => text.push(b"?"),
        }
        if column + 1 == columns {
            text.push(b")");
        }
        number += 1;
    }
    text.push(tail.as_bytes());
    assert!(text.length == N, "the length was computed wrongly");
    text.bytes
}

struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Text<N> {
    const fn push(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            self.bytes[self.length] = bytes[at];
            self.length += 1;
            at += 1;
        }
    }

    const fn push_number(&mut self, number: usize) {
        let mut unit = 1;
        while number / unit >= 10 {
            unit *= 10;
        }
        while unit > 0 {
            self.push(&[b"0123456789"[number / unit % 10]]);
            unit /= 10;
        }
    }
}

const fn digits(number: usize) -> usize {
    let mut digits = 1;
    let mut left = number / 10;
    while left > 0 {
        digits += 1;
        left /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_numbered_through() {
        const LENGTH: usize = length("insert ", 4, 3, " end", Placeholder::Numbered);
        let text: [u8; LENGTH] = insert("insert ", 4, 3, " end", Placeholder::Numbered);
        assert_eq!(std::str::from_utf8(&text).unwrap(), "insert ($1,$2,$3,$4),($5,$6,$7,$8),($9,$10,$11,$12) end");
        const SINGLE: usize = length("", 1, 1, "", Placeholder::Bare);
        assert_eq!(&insert::<SINGLE>("", 1, 1, "", Placeholder::Bare), b"(?)");
    }
}
