//! Everything the gateway decides by, read as of one revision.

use std::collections::BTreeMap;

use store::{
    Conn, api_key::KeyRow, model::ModelRow, provider::ProviderRow, workspace::LimitRow, workspace::WorkspaceRow,
};

use crate::{Control, Result, Secret};

/// The rows of all accounts that a gateway's snapshot is made of.
#[derive(Clone, Debug)]
pub struct SnapshotRows {
    /// As of which revision.
    pub revision: i64,
    /// When something changes by itself, since an increase's time is over; read anew then.
    pub next_change_ms: Option<i64>,
    /// Providers with their credentials.
    pub providers: Vec<SnapshotProvider>,
    /// Models; [`ModelRow::effective_tpm`] tells the limit of an instant.
    pub models: Vec<ModelRow>,
    /// Workspaces that are not archived.
    pub workspaces: Vec<WorkspaceRow>,
    /// Grants by workspace id. The default workspace has none and may call every model of its account.
    pub grants: BTreeMap<String, Vec<LimitRow>>,
    /// Keys that are not revoked. Whether one has expired is judged at each call.
    pub keys: Vec<KeyRow>,
}

/// A provider as the gateway needs it.
#[derive(Clone, Debug)]
pub struct SnapshotProvider {
    /// The provider; its credential is still sealed here.
    pub row: ProviderRow,
    /// The credential; `None` if there is none, or if it was sealed under another key file.
    pub credential: Option<Secret<String>>,
}

/// The present revision: one row, cheap enough to ask for several times a second.
///
/// # Errors
/// When the store cannot answer.
pub async fn revision(control: &Control) -> Result<i64> {
    Ok(control.store().read().await?.revision().await?)
}

/// Reads everything, as of one revision.
///
/// # Errors
/// When the store cannot answer.
pub async fn read(control: &Control) -> Result<SnapshotRows> {
    let mut conn = control.store().read().await?;
    loop {
        // Several statements, one state: read again if someone committed between the first and the last.
        let revision = conn.revision().await?;
        let rows = rows(control, &mut conn, revision).await?;
        if conn.revision().await? == revision {
            return Ok(rows);
        }
    }
}

async fn rows(control: &Control, conn: &mut Conn, revision: i64) -> Result<SnapshotRows> {
    let now_ms = control.now_ms();
    let mut grants: BTreeMap<String, Vec<LimitRow>> = BTreeMap::new();
    for limit in conn.all_limits().await? {
        grants.entry(limit.workspace_id.clone()).or_default().push(limit);
    }
    let open = |row: ProviderRow| {
        let credential = row.credential.as_deref().and_then(|it| control.vault().open_sealed(it, &row.id));
        if row.credential.is_some() && credential.is_none() {
            tracing::error!(provider.id = %row.id, provider.name = %row.name,
                "the provider's credential was sealed under another key file and is not sent");
        }
        SnapshotProvider { row, credential }
    };
    let models = conn.all_models().await?;
    Ok(SnapshotRows {
        revision,
        next_change_ms: models.iter().filter_map(|it| it.increase_valid_until).filter(|it| *it > now_ms).min(),
        providers: conn.all_providers().await?.into_iter().map(open).collect(),
        models,
        workspaces: conn.all_workspaces().await?,
        grants,
        keys: conn.usable_keys().await?,
    })
}
