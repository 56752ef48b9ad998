//! The lines of a batch file: each is one call. A line is checked when it is whole, and passes with the provider's name
//! for its model. Knows no form and no connection.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use domain::ModelCode;

use crate::{
    json::{Kind, Scanner},
    request::{self, Invalid, Shape},
};

/// What a line's model leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) code: Arc<ModelCode>,
    /// Takes the place of the name that was given.
    pub(crate) by: Option<Bytes>,
}

/// Why a line is refused; `W` says what is wrong with its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why<W> {
    Invalid(Invalid),
    /// Longer than so many bytes.
    Long(u64),
    Model(W),
}

/// A line that is refused, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused<W> {
    pub(crate) line: u64,
    pub(crate) why: Why<W>,
}

/// Cuts a file into lines.
#[derive(Debug)]
pub(crate) struct Lines {
    /// What was begun and is not whole yet.
    begun: BytesMut,
    longest: u64,
    number: u64,
    models: Models,
}

/// The models of all lines so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Models {
    #[default]
    None,
    One(Arc<ModelCode>),
    Several,
}

impl Lines {
    pub(crate) fn new(longest: u64) -> Self {
        Self { begun: BytesMut::new(), longest, number: 0, models: Models::None }
    }

    /// Bytes that are held until their line is whole.
    pub(crate) fn held(&self) -> usize {
        self.begun.len()
    }

    pub(crate) fn models(&self) -> &Models {
        &self.models
    }

    /// Takes what came of a file; lines that are whole are checked and put into `out`.
    ///
    /// # Errors
    /// The first line that is refused; nothing of it was put into `out`.
    pub(crate) fn push<W>(
        &mut self,
        mut data: Bytes,
        out: &mut VecDeque<Bytes>,
        mut find: impl FnMut(&str) -> Result<Named, W>,
    ) -> Result<(), Refused<W>> {
        if !self.begun.is_empty() {
            let Some(end) = memchr::memchr(b'\n', &data) else { return self.hold(&data) };
            self.hold(&data[..=end])?;
            data = data.split_off(end + 1);
            let line = self.begun.split().freeze();
            self.line(&line, out, &mut find)?;
        }
        let mut at = 0;
        while let Some(length) = memchr::memchr(b'\n', &data[at..]) {
            let line = data.slice(at..=at + length);
            at += length + 1;
            self.line(&line, out, &mut find)?;
        }
        self.hold(&data[at..])
    }

    /// The file is over; its last line needs no end.
    ///
    /// # Errors
    /// That line is refused.
    pub(crate) fn end<W>(
        &mut self,
        out: &mut VecDeque<Bytes>,
        mut find: impl FnMut(&str) -> Result<Named, W>,
    ) -> Result<(), Refused<W>> {
        let line = self.begun.split().freeze();
        self.line(&line, out, &mut find)
    }

    fn hold<W>(&mut self, begun: &[u8]) -> Result<(), Refused<W>> {
        if (self.begun.len() + begun.len()) as u64 > self.longest {
            return Err(Refused { line: self.number + 1, why: Why::Long(self.longest) });
        }
        self.begun.extend_from_slice(begun);
        Ok(())
    }

    fn line<W>(
        &mut self,
        line: &Bytes,
        out: &mut VecDeque<Bytes>,
        find: &mut impl FnMut(&str) -> Result<Named, W>,
    ) -> Result<(), Refused<W>> {
        if line.is_empty() {
            return Ok(());
        }
        self.number += 1;
        if line.len() as u64 > self.longest {
            return Err(Refused { line: self.number, why: Why::Long(self.longest) });
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            out.push_back(line.clone());
            return Ok(());
        }
        let refused = |why| Refused { line: self.number, why };
        let (name, span) = model(line).map_err(|it| refused(Why::Invalid(it)))?;
        let Named { code, by } = find(&name).map_err(|it| refused(Why::Model(it)))?;
        self.models = match std::mem::take(&mut self.models) {
            Models::None => Models::One(code),
            Models::One(known) if known == code => Models::One(known),
            _ => Models::Several,
        };
        match by {
            None => out.push_back(line.clone()),
            Some(by) => out.extend([line.slice(..span.start), by, line.slice(span.end..)]),
        }
        Ok(())
    }
}

/// The model that a line calls, and where its name stands with its quotes. Parsers disagree on which of two keys holds,
/// so a second `body` is refused as a second `model` is.
fn model(line: &[u8]) -> Result<(String, Range<usize>), Invalid> {
    let mut scanner = Scanner::over(line)?;
    if scanner.peek()? != Kind::Object {
        scanner.skip()?;
        scanner.end()?;
        return Err(Invalid::NotObject);
    }
    let (mut body, mut twice) = (None, false);
    scanner.object(|it, key| {
        if &*it.name(key) != b"body" {
            return it.skip().map(drop);
        }
        twice |= body.replace(it.skip()?).is_some();
        Ok(())
    })?;
    scanner.end()?;
    if twice {
        return Err(Invalid::Duplicate("body"));
    }
    let body = body.ok_or(Invalid::Missing("body"))?;
    let fields = request::read(&line[body.clone()], Shape::Chat)?;
    let model = fields.model.ok_or(Invalid::NoModel)?;
    Ok((model.name.into_owned(), body.start + model.span.start..body.start + model.span.end))
}

/// Whether a file's first line is one of a batch; `None` until enough of it has come. `ended`: nothing more will.
pub(crate) fn first<W>(file: &[u8], ended: bool, longest: u64) -> Option<Result<(), Refused<W>>> {
    let (mut rest, mut line) = (file, 0);
    loop {
        line += 1;
        let refused = |why| Some(Err(Refused { line, why }));
        let (this, after) = match memchr::memchr(b'\n', rest) {
            Some(end) => rest.split_at(end + 1),
            None if ended || !may_begin(rest) || rest.len() as u64 > longest => (rest, &rest[rest.len()..]),
            None => return None,
        };
        if this.len() as u64 > longest {
            return refused(Why::Long(longest));
        }
        if !this.iter().all(u8::is_ascii_whitespace) {
            return match model(this) {
                Ok(_) => Some(Ok(())),
                Err(invalid) => refused(Why::Invalid(invalid)),
            };
        }
        if after.is_empty() {
            // Nothing but white space so far.
            return if ended { refused(Why::Invalid(Invalid::NotJson { at: 0 })) } else { None };
        }
        rest = after;
    }
}

/// Whether a first line may be that of a batch file: enough to tell it from other files before all of it is there.
fn may_begin(file: &[u8]) -> bool {
    file.iter().find(|it| !it.is_ascii_whitespace()).is_none_or(|it| *it == b'{')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(name: &str) -> Result<Named, String> {
        let code = Arc::new(ModelCode::parse(name).map_err(|_| name.to_owned())?);
        match name {
            "plain" => Ok(Named { code, by: None }),
            "fast" => Ok(Named { code, by: Some(Bytes::from_static(b"\"flash\"")) }),
            other => Err(other.to_owned()),
        }
    }

    fn passed(file: &str, size: usize) -> Result<(String, Models), Refused<String>> {
        let (mut lines, mut out) = (Lines::new(200), VecDeque::new());
        for piece in file.as_bytes().chunks(size) {
            lines.push(Bytes::copy_from_slice(piece), &mut out, find)?;
        }
        lines.end(&mut out, find)?;
        Ok((String::from_utf8(out.iter().flatten().copied().collect()).unwrap(), lines.models().clone()))
    }

    const FILE: &str = concat!(
        r#"{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"f\u0061st","messages":[]}}"#,
        "\r\n\n",
        r#"{"body" : {"x":{"model":"no"},"model" : "plain"},"model":"not this"}"#,
        "\n",
        r#"{"body":{"model":"fast"}}"#,
    );

    #[test]
    fn each_line_gets_the_providers_name_and_nothing_else_changes() {
        let expected = FILE.replace(r#""f\u0061st""#, "\"flash\"").replace("\"fast\"", "\"flash\"");
        for size in 1..=FILE.len() {
            assert_eq!(passed(FILE, size), Ok((expected.clone(), Models::Several)), "in pieces of {size}");
        }
        let one = passed("{\"body\":{\"model\":\"plain\"}}\n{\"body\":{\"model\":\"plain\"}}", 1000).unwrap().1;
        assert!(matches!(one, Models::One(code) if code.as_str() == "plain"));
    }

    #[test]
    fn a_refused_line_is_named() {
        let good = "{\"body\":{\"model\":\"plain\"}}\n";
        for (line, why) in [
            ("{\"body\":{\"model\":\"other\"}}", Why::Model("other".to_owned())),
            ("{\"body\":{\"model\":\"plain\"}", Why::Invalid(Invalid::NotJson { at: 25 })),
            ("[]", Why::Invalid(Invalid::NotObject)),
            ("{}", Why::Invalid(Invalid::Missing("body"))),
            ("{\"body\":[]}", Why::Invalid(Invalid::NotObject)),
            ("{\"body\":{}}", Why::Invalid(Invalid::NoModel)),
            ("{\"body\":{\"model\":\"plain\",\"mod\\u0065l\":\"x\"}}", Why::Invalid(Invalid::Duplicate("model"))),
            (
                "{\"body\":{\"model\":\"x\"},\"bod\\u0079\":{\"model\":\"plain\"}}",
                Why::Invalid(Invalid::Duplicate("body")),
            ),
            // What other parsers would take for the end of a line.
            (
                "{\"body\":{\"model\":\"plain\"}}\r{\"body\":{\"model\":\"x\"}}",
                Why::Invalid(Invalid::NotJson { at: 27 }),
            ),
            (&"x".repeat(201), Why::Long(200)),
        ] {
            for size in [1, 7, 1000] {
                let refused = passed(&format!("{good}\n{line}"), size).unwrap_err();
                assert_eq!((refused.line, refused.why), (3, why.clone()), "{line} in pieces of {size}");
                let refused = passed(&format!("{good}\n{line}\n{good}"), size).unwrap_err();
                assert_eq!(refused.line, 3, "{line} in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_file_is_told_by_its_first_line() {
        let told = |file: &str, ended| first::<()>(file.as_bytes(), ended, 100).map(|it| it.map_err(|it| it.line));
        let line = "{\"body\":{\"model\":\"x\"}}";
        assert_eq!(told(&format!("\n \n{line}\n{{"), false), Some(Ok(())));
        assert_eq!((told(line, false), told(line, true)), (None, Some(Ok(()))));
        assert_eq!((told("", false), told(" \n", false), told("\n\n", true)), (None, None, Some(Err(2))));
        assert_eq!(told("%PDF", false), Some(Err(1)));
        assert_eq!((told("{\"a\"", false), told("\n{\"a\"", true)), (None, Some(Err(2))));
        assert_eq!(told(&format!("{{{}", " ".repeat(200)), false), Some(Err(1)));
    }

    #[test]
    fn what_may_be_a_batch_file() {
        assert!(may_begin(b" \n{\"custom_id\"") && may_begin(b"") && may_begin(b" "));
        assert!(!may_begin(b"%PDF-1.7") && !may_begin(b"[{"));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_say_the_same(file in r#"([{}"a\n ]|"body"|:|"model"|"plain"){0,30}"#, size in 1_usize..9) {
            prop_assert_eq!(passed(&file, size), passed(&file, 1000));
        }
    }
}
