//! Texts of statements that insert several rows, put together when the crate is compiled: handing a statement to SQLite's
//! thread, or to a server, costs more than a row does.

/// A statement that inserts `$rows` rows of `$columns` values between `$head` and `$tail`, written out when the crate is
/// compiled: a statement must be a text that never changes.
macro_rules! insert_rows {
    ($head:expr, $columns:expr, $rows:expr, $tail:expr, $placeholder:ident) => {{
        const PLACEHOLDER: $crate::text::Placeholder = $crate::text::Placeholder::$placeholder;
        const BYTES: [u8; $crate::text::length($head, $columns, $rows, $tail, PLACEHOLDER)] =
            $crate::text::insert($head, $columns, $rows, $tail, PLACEHOLDER);
        match std::str::from_utf8(&BYTES) {
            Ok(sql) => sql,
            Err(_) => panic!("it is made of texts and digits"),
        }
    }};
}

/// The rows in as few parts as the statements allow that insert `sizes` rows, the largest first; with each part, which of
/// them inserts it.
pub(crate) fn parts<'a, T>(sizes: &'a [usize], rows: &'a [T]) -> impl Iterator<Item = (usize, &'a [T])> {
    debug_assert_eq!(sizes.last(), Some(&1), "a last row needs a statement");
    let mut left = rows;
    sizes.iter().enumerate().flat_map(move |(which, &size)| {
        let (now, later) = left.split_at(left.len() - left.len() % size);
        left = later;
        now.chunks_exact(size).map(move |part| (which, part))
    })
}

/// How values are asked for.
#[derive(Clone, Copy)]
pub(crate) enum Placeholder {
    /// `$1`, `$2`, …: on both engines.
    Numbered,
    /// `?`: on SQLite, which takes `$1` for a name and looks through all names at each value that is bound. With
    /// hundreds of values that costs three times as much as everything else.
    Bare,
}

/// The length of what [`insert`] writes.
pub(crate) const fn length(head: &str, columns: usize, rows: usize, tail: &str, placeholder: Placeholder) -> usize {
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
pub(crate) const fn insert<const N: usize>(
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
    fn all_rows_are_in_one_part_each_and_in_their_order() {
        let rows: Vec<usize> = (0..150).collect();
        for count in 0..rows.len() {
            let parts: Vec<_> = parts(&[64, 16, 4, 1], &rows[..count]).collect();
            assert!(parts.iter().all(|(which, part)| part.len() == [64, 16, 4, 1][*which]));
            assert_eq!(parts.iter().flat_map(|it| it.1).copied().collect::<Vec<_>>(), rows[..count]);
            assert!(parts.len() <= count / 64 + 9, "{count} rows are {} parts", parts.len());
        }
    }

    #[test]
    fn rows_are_numbered_through() {
        const LENGTH: usize = length("insert ", 4, 3, " end", Placeholder::Numbered);
        let text: [u8; LENGTH] = insert("insert ", 4, 3, " end", Placeholder::Numbered);
        assert_eq!(std::str::from_utf8(&text).unwrap(), "insert ($1,$2,$3,$4),($5,$6,$7,$8),($9,$10,$11,$12) end");
        const SINGLE: usize = length("", 1, 1, "", Placeholder::Bare);
        assert_eq!(&insert::<SINGLE>("", 1, 1, "", Placeholder::Bare), b"(?)");
    }
}
