//! Whose the things are that workspaces made at providers: a small port that the process fills in, asked on the routes
//! of files, batches and tasks alone, and when an asynchronous call is answered with a task.

use std::{collections::HashMap, pin::Pin, sync::Arc};

use domain::{ModelCode, ProviderId, WorkspaceId};
use parking_lot::Mutex;

/// What can be made at a provider and asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An uploaded file, or one that a batch wrote.
    File,
    /// A batch.
    Batch,
    /// The task of an asynchronous call.
    Task,
}

impl Kind {
    /// The word in tables and sentences.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Batch => "batch",
            Self::Task => "task",
        }
    }
}

/// One thing, without whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// The provider's id of it.
    pub id: String,
    /// Where it is.
    pub provider: ProviderId,
    /// The one model it is of; `None` where that is none or several.
    pub model: Option<Arc<ModelCode>>,
    /// Of a file: whether each of its lines was checked, so that a batch may be made of it.
    pub checked: bool,
}

/// It cannot be said or kept whose something is.
#[derive(Debug, thiserror::Error)]
#[error("whose a provider's object is can be neither read nor kept")]
pub struct Unknown(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What the port answers with.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Unknown>> + Send + 'a>>;

/// The port. What it kept is there after a restart.
pub trait Owners: Send + Sync {
    /// One of the workspace's own.
    fn find<'a>(&'a self, workspace: &'a WorkspaceId, kind: Kind, id: &'a str) -> Answer<'a, Option<Object>>;
    /// All of a kind that are the workspace's own, newest first.
    fn list<'a>(&'a self, workspace: &'a WorkspaceId, kind: Kind) -> Answer<'a, Vec<Object>>;
    /// Makes it the workspace's own.
    fn keep<'a>(&'a self, workspace: &'a WorkspaceId, object: Object) -> Answer<'a, ()>;
    /// It is no more.
    fn forget<'a>(&'a self, workspace: &'a WorkspaceId, kind: Kind, id: &'a str) -> Answer<'a, ()>;
    /// Notes that a batch's usage is counted; `true` the first time.
    fn count<'a>(&'a self, workspace: &'a WorkspaceId, batch: &'a str) -> Answer<'a, bool>;
}

/// Owners that are forgotten with the process: for tests and measurements.
#[derive(Debug, Default)]
pub struct InMemory(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    objects: HashMap<WorkspaceId, Vec<Object>>,
    counted: Vec<(WorkspaceId, String)>,
}

fn done<'a, T: Send + 'a>(value: T) -> Answer<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Owners for InMemory {
    fn find<'a>(&'a self, workspace: &'a WorkspaceId, kind: Kind, id: &'a str) -> Answer<'a, Option<Object>> {
        let kept = self.0.lock();
        done(kept.objects.get(workspace).and_then(|all| all.iter().find(|it| it.kind == kind && it.id == id)).cloned())
    }

    fn list<'a>(&'a self, workspace: &'a WorkspaceId, kind: Kind) -> Answer<'a, Vec<Object>> {
        let kept = self.0.lock();
        let own = kept.objects.get(workspace).into_iter().flatten();
        done(own.rev().filter(|it| it.kind == kind).cloned().collect())
    }

    fn keep<'a>(&'a self, workspace: &'a WorkspaceId, object: Object) -> Answer<'a, ()> {
        let mut kept = self.0.lock();
        let own = kept.objects.entry(workspace.clone()).or_default();
        match own.iter_mut().find(|it| (it.kind, &it.id) == (object.kind, &object.id)) {
            Some(known) => *known = object,
            None => own.push(object),
        }
        done(())
    }

    fn forget<'a>(&'a self, workspace: &'a WorkspaceId, kind: Kind, id: &'a str) -> Answer<'a, ()> {
        if let Some(own) = self.0.lock().objects.get_mut(workspace) {
            own.retain(|it| it.kind != kind || it.id != id);
        }
        done(())
    }

    fn count<'a>(&'a self, workspace: &'a WorkspaceId, batch: &'a str) -> Answer<'a, bool> {
        let counted = &mut self.0.lock().counted;
        let first = !counted.iter().any(|it| (&it.0, it.1.as_str()) == (workspace, batch));
        if first {
            counted.push((workspace.clone(), batch.to_owned()));
        }
        done(first)
    }
}
