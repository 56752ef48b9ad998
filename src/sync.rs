//! Turns committed rows into the gateway's snapshot: reads one row when an edit is told of, and four times a second in
//! case one was not; and everything when that row changed or when an increase's time is over.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use control::{
    Control,
    snapshot::{self, SnapshotRows},
};
use domain::{
    AccountId, ErrorDialect, KeyId, Limits, Metering, ModelCode, ProviderId, ProviderName, Rpm, Tpm, WorkspaceId,
};
use gateway::{
    Credential, KeyDigest, Snapshot,
    snapshot::{Contents, Grants, Key, Model, Provider, Timeouts, Workspace},
};
use limiter::{Learned, Ledger};
use store::Changes;
use tokio_util::sync::CancellationToken;

use crate::command::Outcome;

/// Edits hold within a second on every process; this leaves room for reading.
const EVERY: Duration = Duration::from_millis(250);

/// What the sync task keeps up to date.
pub struct Sync {
    /// Where rows come from.
    pub control: Control,
    /// Whose cells the snapshot points to.
    pub ledger: Arc<Ledger>,
    /// What the gateway reads.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
}

impl Sync {
    /// Reads everything and makes it the gateway's snapshot.
    ///
    /// # Errors
    /// When the store cannot answer; the former snapshot stays.
    pub async fn load(&self) -> Outcome<SnapshotRows> {
        let rows = snapshot::read(&self.control).await?;
        let contents = contents(&rows, self.control.now_ms());
        let (snapshot, problems) = Snapshot::build(contents, &self.ledger);
        for problem in problems {
            tracing::error!(%problem, "part of the configuration cannot be used");
        }
        self.snapshot.store(Arc::new(snapshot));
        Ok(rows)
    }

    /// Gives every cell what was learned of its model before the start.
    pub fn restore_learned(&self, rows: &SnapshotRows) {
        for model in &rows.models {
            let (Some(factor), Ok(code)) = (model.learned_factor_ppm, ModelCode::parse(&model.code)) else { continue };
            let output = model.learned_output_tokens.and_then(|it| u64::try_from(it).ok());
            #[expect(clippy::cast_precision_loss, reason = "millionths of a number within 0.5 and 4")]
            let ratio = factor as f64 / 1e6;
            self.ledger.cell(&AccountId::new(&model.account_id), &code).set_learned(Learned { ratio, output });
        }
    }

    /// Follows the store until `stop`.
    pub async fn run(self, mut known: i64, mut next_change_ms: Option<i64>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        let mut changes: Option<Changes> = None;
        loop {
            // While nothing is told, as on SQLite, the poll alone notices.
            if changes.is_none() {
                tokio::select! {
                    listening = self.control.store().changes() => changes = listening.ok(),
                    () = stop.cancelled() => return,
                }
            }
            tokio::select! {
                _ = ticks.tick() => {}
                told = told(&mut changes) => if told.is_err() { changes = None },
                () = stop.cancelled() => return,
            }
            let outcome = match snapshot::revision(&self.control).await {
                Ok(revision) if revision == known && next_change_ms.is_none_or(|it| self.control.now_ms() < it) => {
                    Ok(None)
                }
                Ok(_) => self.load().await.map(Some),
                Err(error) => Err(error.into()),
            };
            match outcome {
                Ok(Some(rows)) => (known, next_change_ms, failing) = (rows.revision, rows.next_change_ms, false),
                Ok(None) => failing = false,
                Err(error) if !failing => {
                    tracing::error!(%error, "changes cannot be read; calls go on under the limits known so far");
                    failing = true;
                }
                Err(_) => {}
            }
        }
    }
}

async fn told(changes: &mut Option<Changes>) -> store::Result<()> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

fn contents(rows: &SnapshotRows, now_ms: i64) -> Contents {
    Contents {
        revision: u64::try_from(rows.revision).unwrap_or(0),
        providers: rows.providers.iter().filter_map(provider).collect(),
        models: rows.models.iter().filter_map(|it| model(it, now_ms)).collect(),
        workspaces: rows.workspaces.iter().map(|it| workspace(it, rows)).collect(),
        keys: rows.keys.iter().filter_map(key).collect(),
    }
}

fn provider(it: &snapshot::SnapshotProvider) -> Option<Provider> {
    Some(Provider {
        id: ProviderId::new(&it.row.id),
        name: ProviderName::parse(&it.row.name).ok()?,
        openai_base_url: it.row.openai_base_url.clone(),
        dashscope_base_url: it.row.dashscope_base_url.clone(),
        anthropic_base_url: it.row.anthropic_base_url.clone(),
        credential: it.credential.as_ref().map(|it| Credential::new(it.expose().clone())),
    })
}

fn model(it: &store::model::ModelRow, now_ms: i64) -> Option<Model> {
    Some(Model {
        account: AccountId::new(&it.account_id),
        code: ModelCode::parse(&it.code).ok()?,
        provider: ProviderId::new(&it.provider_id),
        upstream: Some(it.upstream.clone()),
        metering: Metering::parse(&it.metering)?,
        limits: limits(Some(it.rpm), it.effective_tpm(now_ms)),
        default_output_tokens: u64::try_from(it.default_output_tokens).unwrap_or(0),
        backup: it.backup.as_deref().and_then(|it| ModelCode::parse(it).ok()),
        fallback: it.fallback,
        created_at_ms: it.created_at,
        timeouts: Timeouts { first_byte: seconds(it.first_byte_timeout_s), silence: seconds(it.stream_silence_s) },
    })
}

fn workspace(it: &store::workspace::WorkspaceRow, rows: &SnapshotRows) -> Workspace {
    let granted =
        |it: &store::workspace::LimitRow| Some((ModelCode::parse(&it.model_code).ok()?, limits(it.rpm, it.tpm)));
    let grants = if it.is_default {
        Grants::Everything
    } else {
        Grants::These(rows.grants.get(&it.id).into_iter().flatten().filter_map(granted).collect())
    };
    Workspace {
        account: AccountId::new(&it.account_id),
        id: WorkspaceId::new(&it.id),
        name: it.command_name().to_owned(),
        grants,
    }
}

fn key(it: &store::api_key::KeyRow) -> Option<Key> {
    Some(Key {
        id: KeyId::new(&it.id),
        workspace: WorkspaceId::new(&it.workspace_id),
        digest: KeyDigest::new(it.digest.as_slice().try_into().ok()?),
        error_dialect: ErrorDialect::parse(&it.error_dialect)?,
        expires_at_ms: it.expires_at,
    })
}

fn seconds(it: Option<i64>) -> Option<Duration> {
    it.and_then(|it| u64::try_from(it).ok()).map(Duration::from_secs)
}

/// Stored limits as the limiter takes them.
pub fn limits(rpm: Option<i64>, tpm: Option<i64>) -> Limits {
    let number = |it: i64| u64::try_from(it).unwrap_or(0);
    Limits { rpm: rpm.map(number).and_then(Rpm::new), tpm: tpm.map(number).and_then(Tpm::new) }
}
