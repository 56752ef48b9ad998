//! Whether the key file at hand is the one that a database's credentials are sealed under: a backup that meets another
//! key is told at once, not at the first call that a provider refuses.

use store::Store;

use crate::{Result, Vault};

/// What is sealed, and for what.
const TEXT: &str = "this key file";
const CONTEXT: &str = "installation";

/// How a key file and a database go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Nothing in the database is sealed yet.
    New,
    /// The database is sealed under this key.
    Right,
    /// The database is sealed under another key: credentials in it cannot be opened.
    Other,
}

/// How `vault` and `store`, which may be of an earlier version, go together.
///
/// # Errors
/// When the store cannot answer.
pub async fn fit(store: &Store, vault: &Vault) -> Result<Fit> {
    let mut conn = store.read().await?;
    let columns = conn.columns().await?;
    if columns.iter().any(|it| it.table == "installation" && it.name == "key_check")
        && let Some(sealed) = conn.key_check().await?
    {
        return Ok(if vault.open_sealed(&sealed, CONTEXT).is_some() { Fit::Right } else { Fit::Other });
    }
    // From before there was a check: one credential that opens is proof enough.
    let providers = conn.all_providers().await?;
    let sealed = providers.iter().filter_map(|it| Some((it.credential.as_deref()?, it.id.as_str())));
    let opens: Vec<bool> = sealed.map(|(sealed, id)| vault.open_sealed(sealed, id).is_some()).collect();
    Ok(match opens.as_slice() {
        [] => Fit::New,
        opens if opens.contains(&true) => Fit::Right,
        _ => Fit::Other,
    })
}

/// Makes `vault` the one that the migrated `store` knows. Credentials sealed under another have to be typed again.
///
/// # Errors
/// When the store cannot.
pub async fn adopt(store: &Store, vault: &Vault) -> Result<()> {
    let mut tx = store.begin().await?;
    tx.set_key_check(Some(&vault.seal(TEXT, CONTEXT))).await?;
    Ok(tx.commit().await?)
}

/// [`fit`], and adopts the key of a store that has none, or that does not know yet that it fits.
///
/// # Errors
/// When the store cannot.
pub async fn check(store: &Store, vault: &Vault) -> Result<Fit> {
    let fit = fit(store, vault).await?;
    if fit != Fit::Other && store.read().await?.key_check().await?.is_none() {
        adopt(store, vault).await?;
    }
    Ok(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_knows_its_key_from_the_first_time_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite://{}/x.db", folder.path().display())).await.unwrap();
        store.migrate().await.unwrap();
        let (own, other) = (Vault::from_key(&[1; 32]).unwrap(), Vault::from_key(&[2; 32]).unwrap());
        assert_eq!(check(&store, &own).await.unwrap(), Fit::New);
        assert_eq!(check(&store, &own).await.unwrap(), Fit::Right);
        assert_eq!(check(&store, &other).await.unwrap(), Fit::Other);
        assert_eq!(check(&store, &own).await.unwrap(), Fit::Right, "the look changed nothing");
        adopt(&store, &other).await.unwrap();
        assert_eq!((fit(&store, &own).await.unwrap(), fit(&store, &other).await.unwrap()), (Fit::Other, Fit::Right));
    }
}
