//! Reading the audit log.

use domain::Action;
use store::audit::AuditRow;

use crate::{Actor, Control, Result};

/// Which events to read.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Only what those did whose name holds this; empty for anyone.
    pub actor: String,
    /// Only what was done to this kind of thing; empty for any.
    pub kind: String,
    /// Not before this instant.
    pub from_ms: Option<i64>,
    /// Before this instant.
    pub to_ms: Option<i64>,
    /// The instant and id of the last event of the page before.
    pub before: Option<(i64, String)>,
}

/// One page of events.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// The newest first.
    pub events: Vec<AuditRow>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<(i64, String)>,
}

/// The kinds of things an event can be about.
pub const KINDS: [&str; 8] = ["account", "provider", "model", "workspace", "limits", "key", "member", "increase"];

/// A page of the account's audit log.
///
/// # Errors
/// [`crate::ControlError::Forbidden`] for workspace admins and viewers.
pub async fn list(control: &Control, actor: &Actor, query: &AuditQuery, limit: usize) -> Result<AuditPage> {
    actor.authorise(Action::ReadAudit)?;
    let limit = limit.clamp(1, 1_000);
    let to_ms = query.to_ms.unwrap_or(i64::MAX);
    let before = query.before.as_ref().map_or((to_ms, ""), |(at, id)| (*at, id.as_str()));
    let from_ms = query.from_ms.unwrap_or(0);
    let mut conn = control.store().read().await?;
    // One more than shown tells whether there is a next page.
    let wanted = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let (who, kind) = (query.actor.trim(), query.kind.trim());
    let mut events = conn.audit_events(actor.account(), from_ms, before, who, kind, wanted).await?;
    let more = events.len() > limit;
    events.truncate(limit);
    let next = events.last().filter(|_| more).map(|it| (it.at_ms, it.id.clone()));
    Ok(AuditPage { events, next })
}
