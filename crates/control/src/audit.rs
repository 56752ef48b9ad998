//! Reading the audit log.

use domain::Action;
use store::audit::AuditRow;

use crate::{Actor, Control, Result};

/// Which events to read.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Only what this one did; empty for anyone.
    pub actor: String,
    /// Only what was done to this kind of thing; empty for any.
    pub kind: String,
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
    let before = query.before.as_ref().map_or((i64::MAX, ""), |(at, id)| (*at, id.as_str()));
    let mut conn = control.store().read().await?;
    // One more than shown tells whether there is a next page.
    let wanted = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let mut events = conn.audit_events(actor.account(), before, query.actor.trim(), query.kind.trim(), wanted).await?;
    let more = events.len() > limit;
    events.truncate(limit);
    let next = events.last().filter(|_| more).map(|it| (it.at_ms, it.id.clone()));
    Ok(AuditPage { events, next })
}
