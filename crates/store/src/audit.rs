//! The audit log: appended to, read by cursor, never edited.

use sqlx::FromRow;

use crate::{Conn, Result, Tx};

statements! {
    EVENTS = "select id, account_id, at_ms, actor, action, object_kind, object, before_json, after_json, request_id
        from audit_event
        where account_id = $1 and at_ms <= $2 and (at_ms < $2 or id < $3)
            and ($4 = '' or lower(actor) like $4 escape '\\') and ($5 = '' or object_kind = $5) and at_ms >= $6
        order by at_ms desc, id desc
        limit $7";
    INSERT_EVENT = "insert into audit_event (id, account_id, at_ms, actor, action, object_kind, object, before_json,
            after_json, request_id)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
}

/// Who changed what, when, from what to what.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct AuditRow {
    /// Its identity, which grows with time.
    pub id: String,
    /// Its account.
    pub account_id: String,
    /// When.
    pub at_ms: i64,
    /// Who: an address, or a word for what no person did.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what kind of thing.
    pub object_kind: String,
    /// To which.
    pub object: String,
    /// How it was, as JSON; `None` for something new.
    pub before_json: Option<String>,
    /// How it is, as JSON; `None` for something gone.
    pub after_json: Option<String>,
    /// The request that asked for it.
    pub request_id: Option<String>,
}

impl Conn {
    /// A page of events from `from_ms` on and before `(before_ms, before_id)`, the newest first; an empty `actor` or `kind`
    /// means any. `actor` may stand anywhere in the name, in any case.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn audit_events(
        &mut self,
        account: &str,
        from_ms: i64,
        before: (i64, &str),
        actor: &str,
        kind: &str,
        limit: i64,
    ) -> Result<Vec<AuditRow>> {
        all!(self, AuditRow, EVENTS, account, before.0, before.1, pattern(actor), kind, from_ms, limit)
    }
}

/// What `like` compares with, so that `part` is found anywhere; empty for an empty one.
fn pattern(part: &str) -> String {
    if part.is_empty() {
        return String::new();
    }
    let mut pattern = String::from("%");
    for letter in part.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

impl Tx {
    /// Appends an event, in the transaction of the change it tells of.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn insert_audit_event(&mut self, row: &AuditRow) -> Result<u64> {
        run!(
            self,
            INSERT_EVENT,
            &row.id,
            &row.account_id,
            row.at_ms,
            &row.actor,
            &row.action,
            &row.object_kind,
            &row.object,
            row.before_json.as_deref(),
            row.after_json.as_deref(),
            row.request_id.as_deref(),
        )
    }
}
