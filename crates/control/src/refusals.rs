//! Why calls were refused: the list of refusals, and one of them with who else called inside its window. Of what the
//! actor may see; from the call log within bounds of time and rows, never over all calls.

mod callers;
mod provider;

use domain::{Action, BrokenLimit, Cause, Explanation, Scope, Window, ceil60};
use serde::Deserialize;
use store::{
    Conn,
    api_key::KeyRow,
    call_log::CallRow,
    model::ModelRow,
    workspace::{LimitRow, WorkspaceRow},
};
use uuid::Uuid;

use crate::{Actor, Control, Result};

pub use callers::{CallerUse, Callers};
pub use provider::ProviderRefusal;

/// Rows of the log that one page looks through before it shows what it has found.
const LOOKED_THROUGH: usize = 5_000;

/// Rows that are read at a time.
const CHUNK: i64 = 250;

/// By when a decision is in the log: the flush runs ten times a second.
const WRITTEN_AFTER_MS: i64 = 2_000;

const MINUTE_MS: i64 = 60_000;

/// Which refusals to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The id of a workspace, or its name in commands; empty for all that the actor may see.
    pub workspace: String,
    /// A model's code; empty for all.
    pub model: String,
    /// What ran out.
    pub cause: Option<Cause>,
    /// Whose limit it was.
    pub scope: Option<Scope>,
    /// Where the page before ended.
    pub before: Option<(i64, String)>,
}

/// One page of refusals.
#[derive(Clone, Debug)]
pub struct RefusalPage {
    /// The newest first.
    pub refusals: Vec<Refusal>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<(i64, String)>,
    /// Whether the page ended because so many rows were looked through, not because it was full.
    pub stopped_looking: bool,
    /// The first instant that the log holds; `None` while it is empty.
    pub begins_ms: Option<i64>,
    /// Refused and failed calls that the log had no room for, since [`Self::begins_ms`].
    pub left_out: i64,
    /// The id of the workspace that the list is kept to; empty for all.
    pub workspace: String,
}

/// One call that a limit refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The `x-request-id` of the answer.
    pub id: String,
    /// When it was refused.
    pub at_ms: i64,
    /// The model it called.
    pub model: String,
    /// The workspace it counted for.
    pub workspace_id: String,
    /// That workspace's name.
    pub workspace: String,
    /// The key it came with.
    pub key_id: String,
    /// That key's name; empty if nobody knows it any more.
    pub key: String,
    /// Every limit it would have broken, and when it would have passed.
    pub explanation: Explanation,
    /// Whether the model's backup took it.
    pub fell_back: bool,
    /// How often its client had tried before.
    pub retries: i64,
    /// Whether it asked for a stream.
    pub streamed: bool,
}

impl Refusal {
    /// The limit that the refusal names.
    pub fn named(&self) -> &BrokenLimit {
        self.explanation.limits.first().expect("an explanation names a limit")
    }
}

/// A refusal with all that explains it.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The call.
    pub refusal: Refusal,
    /// Who used the named limit inside its window; `None` where no use would let the call pass.
    pub callers: Option<Callers>,
    /// What could be done about it now.
    pub now: Now,
}

/// The named limit and its surroundings as they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Whether the model still exists.
    pub model_exists: bool,
    /// The named limit; `None` for a surge's threshold, or if it is gone.
    pub limit: Option<u64>,
    /// The account's limit of the same kind and window.
    pub of_account: Option<u64>,
    /// The account's tokens in 60 s, an increase included.
    pub tpm: Option<u64>,
    /// The highest temporary increase.
    pub tpm_upper_limit: Option<u64>,
    /// What could take such calls.
    pub backup: Backup,
}

/// A model's backup as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backup {
    /// Its code; `None` where the model names none.
    pub model: Option<String>,
    /// Whether the workspace may call it.
    pub granted: bool,
    /// Whether every call may fall back.
    pub of_every_call: bool,
}

impl Backup {
    async fn of(
        conn: &mut Conn,
        actor: &Actor,
        model: ModelRow,
        workspace_id: &str,
        limits: &[LimitRow],
    ) -> Result<Self> {
        let grants_all = conn.workspace(actor.account(), workspace_id).await?.is_some_and(|it| it.is_default);
        let granted = |backup: &String| grants_all || limits.iter().any(|it| it.model_code == *backup);
        Ok(Self {
            granted: model.backup.as_ref().is_some_and(granted),
            model: model.backup,
            of_every_call: model.fallback,
        })
    }
}

/// What is known of an id.
#[derive(Clone, Debug)]
pub enum Found {
    /// It is that of a refusal.
    Refusal(Box<Explained>),
    /// It is that of a call that was admitted, and that the provider refused.
    OfProvider(Box<ProviderRefusal>),
    /// It is that of none that is kept and may be seen.
    Missing(Missing),
}

/// Why there may be nothing under an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing is known of it.
    Unknown,
    /// It is of this moment, and perhaps not yet written.
    NotYet,
    /// It is older than the log, which begins here.
    Older(i64),
    /// In its minute so many refused and failed calls found no room in the log.
    LeftOut(i64),
}

/// A page of refusals.
///
/// # Errors
/// [`crate::ControlError::NotFound`] for a workspace the actor does not see.
pub async fn list(control: &Control, actor: &Actor, filter: &Filter, limit: usize) -> Result<RefusalPage> {
    actor.authorise(Action::View)?;
    let mut conn = control.store().read().await?;
    let names = Names::read(&mut conn, actor).await?;
    let workspace = crate::monitoring::filter(actor, &names.workspaces, &filter.workspace)?;
    let (mut refusals, mut looked) = (Vec::new(), 0);
    let mut before = filter.before.clone().unwrap_or((i64::MAX, String::new()));
    let mut more = true;
    while more && refusals.len() < limit && looked < LOOKED_THROUGH {
        let rows = conn.refusals(actor.account(), &workspace, 0, (before.0, &before.1), CHUNK).await?;
        more = i64::try_from(rows.len()).is_ok_and(|it| it == CHUNK);
        let count = rows.len();
        for (i, row) in rows.into_iter().enumerate() {
            looked += 1;
            before = (row.at_ms, row.id.clone());
            if let Some(refusal) = names.refusal(row).filter(|it| filter.matches(it)) {
                refusals.push(refusal);
            }
            if refusals.len() == limit {
                more |= i + 1 < count;
                break;
            }
        }
    }
    let begins_ms = conn.call_log_begins().await?;
    let now_ms = control.now_ms();
    let left_out = conn.gaps(actor.account(), (begins_ms.unwrap_or(now_ms), now_ms), &workspace, true).await?;
    Ok(RefusalPage {
        stopped_looking: more && refusals.len() < limit,
        next: more.then_some(before),
        refusals,
        begins_ms,
        left_out,
        workspace,
    })
}

impl Filter {
    fn matches(&self, refusal: &Refusal) -> bool {
        let named = refusal.named();
        (self.model.is_empty() || self.model == refusal.model)
            && self.cause.is_none_or(|it| it == named.cause)
            && self.scope.is_none_or(|it| it == named.scope)
    }
}

/// The refusal that was answered with this id, explained; or why there may be none.
///
/// # Errors
/// When the store cannot answer. What the actor may not see does not exist.
pub async fn explain(control: &Control, actor: &Actor, id: &str) -> Result<Found> {
    actor.authorise(Action::View)?;
    let unknown = Ok(Found::Missing(Missing::Unknown));
    let Some(uuid) = Uuid::parse_str(id.trim()).ok().filter(|it| it.get_version_num() == 7) else { return unknown };
    // The first 48 bits of a version 7 are the milliseconds at which the call came in.
    let arrived_ms = i64::try_from(uuid.as_u128() >> 80).unwrap_or(i64::MAX);
    let mut conn = control.store().read().await?;
    let names = Names::read(&mut conn, actor).await?;
    let id = uuid.hyphenated().to_string();
    let row = conn.refusal(actor.account(), &id, arrived_ms).await?.filter(|it| actor.sees(&it.workspace_id));
    let Some(refusal) = row.and_then(|it| names.refusal(it)) else {
        if let Some(found) = provider::find(&mut conn, actor, &names, &id, arrived_ms).await? {
            return Ok(Found::OfProvider(Box::new(found)));
        }
        return Ok(Found::Missing(missing(control, actor, &mut conn, arrived_ms).await?));
    };
    let callers = match refusal.explanation.retry_after_us {
        Some(_) => Some(callers::read(&mut conn, actor, &names, &refusal).await?),
        None => None,
    };
    let now = now(control, actor, &mut conn, &refusal).await?;
    Ok(Found::Refusal(Box::new(Explained { refusal, callers, now })))
}

async fn missing(control: &Control, actor: &Actor, conn: &mut Conn, arrived_ms: i64) -> Result<Missing> {
    let now_ms = control.now_ms();
    if arrived_ms > now_ms + MINUTE_MS {
        return Ok(Missing::Unknown);
    }
    if arrived_ms > now_ms - WRITTEN_AFTER_MS {
        return Ok(Missing::NotYet);
    }
    if let Some(begins_ms) = conn.call_log_begins().await?.filter(|it| arrived_ms < *it) {
        return Ok(Missing::Older(begins_ms));
    }
    let own = actor.standing.workspace.as_ref().filter(|_| !actor.standing.sees_all());
    let minute_ms = arrived_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
    let range = (minute_ms, minute_ms + MINUTE_MS);
    let left_out = conn.gaps(actor.account(), range, own.map_or("", |it| it.as_str()), true).await?;
    Ok(if left_out > 0 { Missing::LeftOut(left_out) } else { Missing::Unknown })
}

async fn now(control: &Control, actor: &Actor, conn: &mut Conn, refusal: &Refusal) -> Result<Now> {
    let Some(model) = conn.model(actor.account(), &refusal.model).await? else { return Ok(Now::default()) };
    let limits = conn.workspace_limits(actor.account(), &refusal.workspace_id).await?;
    let own = limits.iter().find(|it| it.model_code == refusal.model);
    let named = refusal.named();
    let tpm = model.effective_tpm(control.now_ms()).map(unsigned);
    let (of_account, own) = match named.cause {
        Cause::Requests => (Some(unsigned(model.rpm)), own.and_then(|it| it.rpm)),
        Cause::Tokens => (tpm, own.and_then(|it| it.tpm)),
        Cause::Surge => (None, None),
    };
    let own = own.map(unsigned);
    let limit = match named.scope {
        Scope::Account => of_account,
        Scope::Workspace => of_account.zip(own).map(|(account, own)| own.min(account)),
    };
    let in_window = |limit: u64| if named.window == Window::Second { ceil60(limit) } else { limit };
    let tpm_upper_limit = model.tpm_upper_limit.map(unsigned);
    Ok(Now {
        model_exists: true,
        limit: limit.map(in_window),
        of_account: of_account.map(in_window),
        tpm,
        tpm_upper_limit,
        backup: Backup::of(conn, actor, model, &refusal.workspace_id, &limits).await?,
    })
}

/// The names of an account's workspaces and keys.
pub(crate) struct Names {
    pub(crate) workspaces: Vec<WorkspaceRow>,
    keys: Vec<KeyRow>,
}

impl Names {
    async fn read(conn: &mut Conn, actor: &Actor) -> Result<Self> {
        Ok(Self { workspaces: conn.workspaces(actor.account()).await?, keys: conn.keys(actor.account()).await? })
    }

    fn workspace(&self, id: &str) -> String {
        self.workspaces.iter().find(|it| it.id == id).map_or_else(|| id.to_owned(), |it| it.name.clone())
    }

    fn key(&self, id: &str) -> String {
        self.keys.iter().find(|it| it.id == id).map(|it| it.name.clone()).unwrap_or_default()
    }

    /// The call as a refusal; `None` if it failed otherwise, or its explanation cannot be read.
    fn refusal(&self, row: CallRow) -> Option<Refusal> {
        let explanation = explanation(&row)?;
        Some(Refusal {
            workspace: self.workspace(&row.workspace_id),
            key: self.key(&row.key_id),
            explanation,
            id: row.id,
            at_ms: row.at_ms,
            model: row.model_code,
            workspace_id: row.workspace_id,
            key_id: row.key_id,
            fell_back: row.fell_back,
            retries: row.retries,
            streamed: row.streamed,
        })
    }
}

/// How the log explained a refusal before it kept every limit: the named one's numbers alone.
#[derive(Deserialize)]
struct FormerExplanation {
    limit: u64,
    used: u64,
    needed: u64,
    retry_after_us: Option<u64>,
}

fn explanation(row: &CallRow) -> Option<Explanation> {
    if row.outcome != "refused" {
        return None;
    }
    let text = row.explanation.as_deref()?;
    if let Ok(it) = serde_json::from_str::<Explanation>(text) {
        return (!it.limits.is_empty()).then_some(it);
    }
    let FormerExplanation { limit, used, needed, retry_after_us } = serde_json::from_str(text).ok()?;
    let cause = Cause::parse(row.cause.as_deref()?)?;
    let scope = Scope::parse(row.scope.as_deref()?)?;
    let window = if row.window_s == Some(1) { Window::Second } else { Window::Minute };
    let named = BrokenLimit { cause, scope, window, limit, used, needed, retry_after_us };
    Some(Explanation { limits: vec![named], retry_after_us })
}

/// Stored limits are never negative.
fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
