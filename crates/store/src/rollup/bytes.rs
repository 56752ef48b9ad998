//! Small numbers and texts as bytes, for what the database keeps as one value. Knows lengths; knows no meaning.

/// Bytes being written.
#[derive(Debug, Default)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Bytes {
    /// Seven bits a byte, the lowest first; negative numbers are folded between the others.
    pub(crate) fn number(&mut self, n: i64) {
        let mut left = ((n << 1) ^ (n >> 63)).cast_unsigned();
        while left >= 0x80 {
            self.0.push(low_byte(left) | 0x80);
            left >>= 7;
        }
        self.0.push(low_byte(left));
    }

    pub(crate) fn length(&mut self, length: usize) {
        self.number(i64::try_from(length).unwrap_or(i64::MAX));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// `None` takes one byte.
    pub(crate) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// Only those that are not zero, each after its distance from the one before.
    pub(crate) fn sparse(&mut self, values: impl Iterator<Item = i64> + Clone) {
        self.length(values.clone().filter(|it| *it != 0).count());
        let mut next = 0;
        for (at, value) in values.enumerate().filter(|(_, it)| *it != 0) {
            self.length(at - next);
            self.number(value);
            next = at + 1;
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest eight bits are what is wanted")]
const fn low_byte(n: u64) -> u8 {
    n as u8 & if n >= 0x80 { 0x7f } else { 0xff }
}

/// Bytes being read. What is cut off or of another kind reads as `None`, never as something else's value.
#[derive(Debug)]
pub(crate) struct Reading<'a>(pub(crate) &'a [u8]);

impl<'a> Reading<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    pub(crate) fn number(&mut self) -> Option<i64> {
        let unfold = |folded: u64| (folded >> 1).cast_signed() ^ -(folded & 1).cast_signed();
        // Most numbers are one or two bytes long.
        match self.0 {
            [low @ ..0x80, rest @ ..] => {
                self.0 = rest;
                Some(unfold(u64::from(*low)))
            }
            [low, high @ ..0x80, rest @ ..] => {
                self.0 = rest;
                Some(unfold(u64::from(low & 0x7f) | u64::from(*high) << 7))
            }
            _ => self.long().map(unfold),
        }
    }

    /// Of up to ten bytes.
    fn long(&mut self) -> Option<u64> {
        let mut folded = 0_u64;
        for (at, &byte) in self.0.iter().enumerate().take(10) {
            folded |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.0 = &self.0[at + 1..];
                return Some(folded);
            }
        }
        None
    }

    #[inline]
    pub(crate) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        Some(self.byte()? != 0)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = self.length()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    pub(crate) fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }

    /// As many as were written after their number.
    pub(crate) fn many<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.length()?;
        // A length that was made up must not ask for more memory than the bytes could fill.
        let mut all = Vec::with_capacity(length.min(self.0.len()));
        for _ in 0..length {
            all.push(read(self)?);
        }
        Some(all)
    }

    /// What [`Bytes::sparse`] wrote, at its places.
    pub(crate) fn sparse(&mut self, put: impl FnMut(usize, i64)) -> Option<()> {
        self.sparse_before(usize::MAX, put)
    }

    /// The same up to the place `end`; nothing can be read behind it.
    pub(crate) fn sparse_before(&mut self, end: usize, mut put: impl FnMut(usize, i64)) -> Option<()> {
        let mut next = 0_usize;
        for _ in 0..self.length()? {
            let at = next.checked_add(self.length()?)?;
            if at >= end {
                break;
            }
            put(at, self.number()?);
            next = at + 1;
        }
        Some(())
    }
}

/// Texts that come up again and again, by number.
#[derive(Default)]
pub(crate) struct Texts<'a> {
    numbers: std::collections::HashMap<&'a str, usize>,
    texts: Vec<&'a str>,
}

impl<'a> Texts<'a> {
    pub(crate) fn number(&mut self, text: &'a str) -> usize {
        *self.numbers.entry(text).or_insert_with(|| {
            self.texts.push(text);
            self.texts.len() - 1
        })
    }

    /// Written before what names them by number.
    pub(crate) fn write(&self, bytes: &mut Bytes) {
        bytes.length(self.texts.len());
        self.texts.iter().for_each(|it| bytes.text(it));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(numbers: Vec<i64>, text: String, some: Option<i64>, sparse in prop::collection::vec(
            prop_oneof![Just(0), any::<i64>()], 0..80)
        ) {
            let mut bytes = Bytes::default();
            numbers.iter().for_each(|it| bytes.number(*it));
            bytes.text(&text);
            bytes.optional(some, Bytes::number);
            bytes.sparse(sparse.iter().copied());
            let mut reading = Reading(&bytes.0);
            for number in &numbers {
                prop_assert_eq!(reading.number(), Some(*number));
            }
            prop_assert_eq!(reading.text(), Some(text.as_str()));
            prop_assert_eq!(reading.optional(Reading::number), Some(some));
            let mut read = vec![0; sparse.len()];
            reading.sparse(|at, value| read[at] = value).unwrap();
            prop_assert_eq!(read, sparse);
            prop_assert!(reading.is_empty());
        }

        #[test]
        fn what_is_cut_off_is_told(numbers in prop::collection::vec(any::<i64>(), 1..9)) {
            let mut bytes = Bytes::default();
            numbers.iter().for_each(|it| bytes.number(*it));
            let mut reading = Reading(&bytes.0[..bytes.0.len() - 1]);
            let read: Vec<_> = numbers.iter().map_while(|_| reading.number()).collect();
            prop_assert_eq!(&read[..], &numbers[..numbers.len() - 1]);
        }
    }

    #[test]
    fn small_numbers_are_small() {
        for (number, length) in [(0, 1), (63, 1), (-64, 1), (64, 2), (8_191, 2), (i64::MAX, 10), (i64::MIN, 10)] {
            let mut bytes = Bytes::default();
            bytes.number(number);
            assert_eq!(bytes.0.len(), length, "{number}");
        }
    }
}
