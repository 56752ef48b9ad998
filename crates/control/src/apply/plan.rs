//! What applying a file changes, told in lines.

use std::fmt;

/// One thing that comes, changes or goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `+` comes, `~` changes, `-` goes.
    pub sign: char,
    /// What it is, e.g. `model qwen-plus`.
    pub what: String,
    /// Its values, or how they change.
    pub details: Vec<String>,
}

/// Everything that applying a file changes, in the order in which it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The changes; none when everything is as the file says.
    pub changes: Vec<Change>,
}

impl Plan {
    pub(super) fn add(&mut self, sign: char, what: String, details: Vec<String>) {
        self.changes.push(Change { sign, what, details });
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            return f.write_str("nothing to do");
        }
        for (at, change) in self.changes.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{} {}", change.sign, change.what)?;
            if !change.details.is_empty() {
                write!(f, ": {}", change.details.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Values of one thing by name, as the plan tells them; absent ones are `None`.
pub(super) type Values = Vec<(&'static str, Option<String>)>;

/// The values there are, for something that comes.
pub(super) fn all(values: &Values) -> Vec<String> {
    values.iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?))).collect()
}

/// How values change; empty if they do not.
pub(super) fn differences(before: &Values, after: &Values) -> Vec<String> {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    before
        .iter()
        .zip(after)
        .filter(|(before, after)| before != after)
        .map(|(before, after)| format!("{} {} -> {}", before.0, shown(&before.1), shown(&after.1)))
        .collect()
}
