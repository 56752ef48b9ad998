//! Lets the gateway know whose the things at providers are, over the store.

use std::sync::Arc;

use domain::{ModelCode, ProviderId, WorkspaceId};
use gateway::{
    WallClock as _,
    owners::{Answer, Kind, Object, Owners, Unknown},
};
use store::{Store, provider_object::ProviderObjectRow};
use tokio::runtime::Handle;

use crate::clock::SystemWallClock;

/// Owners in the store, for good.
pub struct StoredOwners {
    store: Store,
    /// The store's own: a connection that a listener's runtime had made would end with that listener.
    runtime: Handle,
}

impl StoredOwners {
    /// Of the runtime that this is called on.
    pub fn new(store: Store) -> Self {
        Self { store, runtime: Handle::current() }
    }

    fn run<'a, T: Send + 'static>(
        &'a self,
        work: impl Future<Output = store::Result<T>> + Send + 'static,
    ) -> Answer<'a, T> {
        let work = self.runtime.spawn(work);
        Box::pin(async move {
            match work.await {
                Ok(Ok(done)) => Ok(done),
                Ok(Err(error)) => Err(Unknown(error.into())),
                Err(error) => Err(Unknown(error.into())),
            }
        })
    }
}

impl Owners for StoredOwners {
    fn find<'a>(&'a self, workspace: &'a WorkspaceId, kind: Kind, id: &'a str) -> Answer<'a, Option<Object>> {
        let (store, workspace, id) = (self.store.clone(), workspace.clone(), id.to_owned());
        self.run(async move {
            let found = store.read().await?.provider_object(workspace.as_str(), kind.as_str(), &id).await?;
            Ok(found.map(|row| object(kind, row)))
        })
    }

    fn list<'a>(&'a self, workspace: &'a WorkspaceId, kind: Kind) -> Answer<'a, Vec<Object>> {
        let (store, workspace) = (self.store.clone(), workspace.clone());
        self.run(async move {
            let rows = store.read().await?.provider_objects(workspace.as_str(), kind.as_str()).await?;
            Ok(rows.into_iter().map(|row| object(kind, row)).collect())
        })
    }

    fn keep<'a>(&'a self, workspace: &'a WorkspaceId, object: Object) -> Answer<'a, ()> {
        let (store, workspace) = (self.store.clone(), workspace.clone());
        self.run(async move {
            let row = ProviderObjectRow {
                kind: object.kind.as_str().to_owned(),
                object_id: object.id,
                provider_id: object.provider.as_str().to_owned(),
                model_code: object.model.map(|it| it.as_str().to_owned()),
                checked: object.checked,
                created_at: SystemWallClock.now_ms(),
            };
            let mut tx = store.begin().await?;
            tx.keep_provider_object(workspace.as_str(), &row).await?;
            tx.commit().await
        })
    }

    fn forget<'a>(&'a self, workspace: &'a WorkspaceId, kind: Kind, id: &'a str) -> Answer<'a, ()> {
        let (store, workspace, id) = (self.store.clone(), workspace.clone(), id.to_owned());
        self.run(async move {
            let mut tx = store.begin().await?;
            tx.forget_provider_object(workspace.as_str(), kind.as_str(), &id).await?;
            tx.commit().await
        })
    }

    fn count<'a>(&'a self, workspace: &'a WorkspaceId, batch: &'a str) -> Answer<'a, bool> {
        let (store, workspace, batch) = (self.store.clone(), workspace.clone(), batch.to_owned());
        self.run(async move {
            let mut tx = store.begin().await?;
            let changed = tx.count_batch(workspace.as_str(), &batch, SystemWallClock.now_ms()).await?;
            tx.commit().await?;
            Ok(changed > 0)
        })
    }
}

fn object(kind: Kind, row: ProviderObjectRow) -> Object {
    Object {
        kind,
        id: row.object_id,
        provider: ProviderId::new(row.provider_id),
        model: row.model_code.and_then(|it| ModelCode::parse(&it).ok()).map(Arc::new),
        checked: row.checked,
    }
}
