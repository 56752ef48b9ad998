//! A transaction of an edit: what it changes, and what the audit log says of it, are committed together.

use std::ops::{Deref, DerefMut};

use serde::Serialize;
use store::{Tx, audit::AuditRow};

use crate::{Actor, Control, Result};

/// What kind of thing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    Account,
    Provider,
    Model,
    Workspace,
    Limits,
    Key,
    Member,
    Increase,
}

impl Object {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Workspace => "workspace",
            Self::Limits => "limits",
            Self::Key => "key",
            Self::Member => "member",
            Self::Increase => "increase",
        }
    }
}

pub(crate) struct Edit {
    tx: Tx,
    actor: String,
    account: String,
    request_id: Option<String>,
    pub(crate) now_ms: i64,
    events: Vec<AuditRow>,
}

impl Control {
    /// Begins an edit of what is configured. Dropped, it changes nothing.
    pub(crate) async fn edit(&self, actor: &Actor) -> Result<Edit> {
        Ok(Edit {
            tx: self.store().edit().await?,
            actor: actor.name.clone(),
            account: actor.account().to_owned(),
            request_id: actor.request_id.clone(),
            now_ms: self.now_ms(),
            events: Vec::new(),
        })
    }
}

impl Edit {
    /// Tells the audit log what was done to `object`; `before` is `None` for something new, `after` for something gone.
    pub(crate) fn note<T: Serialize>(
        &mut self,
        action: &str,
        kind: Object,
        object: &str,
        before: Option<&T>,
        after: Option<&T>,
    ) {
        let json = |it: &T| serde_json::to_string(it).unwrap_or_else(|_| "null".to_owned());
        self.events.push(AuditRow {
            id: new_id(),
            account_id: self.account.clone(),
            at_ms: self.now_ms,
            actor: self.actor.clone(),
            action: action.to_owned(),
            object_kind: kind.as_str().to_owned(),
            object: object.to_owned(),
            before_json: before.map(json),
            after_json: after.map(json),
            request_id: self.request_id.clone(),
        });
    }

    /// Writes the events and makes all of it durable.
    pub(crate) async fn commit(mut self) -> Result<()> {
        for event in &self.events {
            self.tx.insert_audit_event(event).await?;
        }
        Ok(self.tx.commit().await?)
    }
}

impl Deref for Edit {
    type Target = Tx;
    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl DerefMut for Edit {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.tx
    }
}

/// A new identity: unique, and later ones sort after earlier ones.
pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
