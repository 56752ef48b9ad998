//! What an account has configured, read as of one revision and kept until the next: pages ask for it many times between
//! two edits. Knows rows; whoever asks has authorised already.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use store::{
    Conn,
    model::ModelRow,
    workspace::{LimitRow, WorkspaceRow},
};
use tokio::sync::OnceCell;

use crate::{ControlError, Result};

/// Accounts whose configuration is kept at most.
const KEPT: usize = 16;

/// What one account has configured, as of one revision.
#[derive(Debug)]
pub(crate) struct Configuration {
    revision: i64,
    /// By code. What was learned of a model is as old as this is.
    pub(crate) models: Vec<ModelRow>,
    /// The default one first, archived ones included.
    pub(crate) workspaces: Vec<WorkspaceRow>,
    /// Places in `models`, by code.
    by_code: HashMap<String, usize>,
    /// What workspaces that are not archived may call, by workspace and model.
    limits: HashMap<String, HashMap<String, LimitRow>>,
}

impl Configuration {
    pub(crate) fn model(&self, code: &str) -> Option<&ModelRow> {
        self.by_code.get(code).map(|&place| &self.models[place])
    }

    /// What a workspace was granted of a model; the default one has no grants.
    pub(crate) fn grant(&self, workspace: &str, model: &str) -> Option<&LimitRow> {
        self.limits.get(workspace)?.get(model)
    }

    async fn read(conn: &mut Conn, account: &str, revision: i64) -> Result<Self> {
        let models = conn.models(account).await?;
        let mut limits: HashMap<String, HashMap<String, LimitRow>> = HashMap::new();
        for row in conn.account_limits(account).await? {
            limits.entry(row.workspace_id.clone()).or_default().insert(row.model_code.clone(), row);
        }
        let by_code = models.iter().enumerate().map(|(place, it)| (it.code.clone(), place)).collect();
        Ok(Self { revision, workspaces: conn.workspaces(account).await?, models, by_code, limits })
    }
}

/// What one page has read already.
#[derive(Debug, Default)]
pub(crate) struct OfOnePage(OnceCell<(String, Arc<Configuration>)>);

impl OfOnePage {
    /// What `account` has configured, read with `read` if nobody has yet.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) async fn of(
        &self,
        account: &str,
        read: impl Future<Output = Result<Arc<Configuration>>>,
    ) -> Result<Arc<Configuration>> {
        let mut read = pin!(read);
        let first = async { Ok::<_, ControlError>((account.to_owned(), read.as_mut().await?)) };
        let (of, known) = self.0.get_or_try_init(|| first).await?;
        if of == account { Ok(Arc::clone(known)) } else { read.await }
    }
}

/// What was read last of some accounts.
#[derive(Debug, Default)]
pub(crate) struct Configurations(Mutex<HashMap<String, Arc<Configuration>>>);

impl Configurations {
    /// What `account` has configured at this moment: asks for the revision, and for more only if it is another one.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub(crate) async fn of(&self, conn: &mut Conn, account: &str) -> Result<Arc<Configuration>> {
        loop {
            let revision = conn.revision().await?;
            if let Some(known) = self.lock().get(account).filter(|it| it.revision == revision) {
                return Ok(Arc::clone(known));
            }
            let read = Arc::new(Configuration::read(conn, account, revision).await?);
            // Several statements, one state: read again if someone committed between the first and the last.
            if conn.revision().await? == revision {
                self.keep(account, Arc::clone(&read));
                return Ok(read);
            }
        }
    }

    fn keep(&self, account: &str, read: Arc<Configuration>) {
        let mut known = self.lock();
        if known.len() >= KEPT && !known.contains_key(account) {
            known.clear();
        }
        known.insert(account.to_owned(), read);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Configuration>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
