//! Bringing an account to what a file says: validated whole, written in one transaction, told as a plan.

mod file;
mod plan;
mod write;

pub use plan::{Change, Plan};

use std::path::Path;

use domain::Action;

use crate::{Actor, Control, ControlError, accounts};

/// Where the file and its surroundings are found.
pub struct Source<'a> {
    /// How errors name the file.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
    /// What relative paths in it are relative to.
    pub folder: &'a Path,
    /// Looks up an environment variable.
    pub variable: &'a (dyn Fn(&str) -> Option<String> + Sync),
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Why nothing was applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The file is wrong; one line for each problem, with its place.
    #[error("{}", .problems.iter().map(|it| format!("{name}:{}:{}: {}", it.line, it.column, it.message)).collect::<Vec<_>>().join("\n"))]
    File {
        /// The file.
        name: String,
        /// What is wrong with it, in its order.
        problems: Vec<Problem>,
    },
    /// The change was refused, or the store could not.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl From<store::StoreError> for ApplyError {
    fn from(error: store::StoreError) -> Self {
        Self::Control(error.into())
    }
}

/// Applies the file, or with `dry_run` only finds out what applying it would do, also to an account that is only planned
/// (see [`accounts::find_or_planned`]).
///
/// # Errors
/// [`ApplyError::File`] with every problem found; nothing was changed then.
pub async fn apply(control: &Control, actor: &Actor, source: &Source<'_>, dry_run: bool) -> Result<Plan, ApplyError> {
    actor.authorise(Action::Configure)?;
    let file = file::parse(source)?;
    let mut edit = control.edit(actor).await?;
    if dry_run && edit.account(actor.account()).await?.is_none() {
        // The account is planned itself; like everything else it goes when the transaction is dropped.
        let row = accounts::planned(actor.account(), edit.now_ms);
        accounts::insert(&mut edit, &row).await?;
    }
    let plan = write::write(control, &mut edit, actor, &file, source).await?;
    if !dry_run && !plan.changes.is_empty() {
        edit.commit().await?;
    }
    Ok(plan)
}

/// Collects problems by their place in the text.
pub(crate) struct Problems<'a> {
    source: &'a Source<'a>,
    found: Vec<(usize, Problem)>,
}

impl<'a> Problems<'a> {
    pub(crate) const fn new(source: &'a Source<'a>) -> Self {
        Self { source, found: Vec::new() }
    }

    #[expect(clippy::needless_pass_by_value, reason = "errors and literals are handed in alike")]
    pub(crate) fn at(&mut self, offset: usize, message: impl ToString) {
        let offset = offset.min(self.source.text.len());
        let before = self.source.text.get(..offset).unwrap_or(self.source.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        self.found.push((offset, Problem { line, column, message: message.to_string() }));
    }

    /// Whether the file is refused in the end.
    pub(crate) const fn any(&self) -> bool {
        !self.found.is_empty()
    }

    /// The value, or `None` and a problem at `offset`.
    pub(crate) fn take<T, E: ToString>(&mut self, offset: usize, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.at(offset, error)).ok()
    }

    pub(crate) fn done(mut self) -> Result<(), ApplyError> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|it| it.0);
        let problems = self.found.into_iter().map(|it| it.1).collect();
        Err(ApplyError::File { name: self.source.name.to_owned(), problems })
    }
}
