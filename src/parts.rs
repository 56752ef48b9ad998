//! What every command needs: the store, brought up to date, and the use cases on top of it.

use std::sync::Arc;

use control::{
    Control, Passwords, Store, SystemWallClock, Vault,
    key_file::{self, Fit},
};

use crate::{command::Outcome, config::Settings};

/// Opens the store and the key file, and brings the schema up to date.
///
/// # Errors
/// What cannot be opened, and why.
pub async fn control(settings: &Settings) -> Outcome<Control> {
    let store = Store::open(&settings.database_url).await?;
    store.migrate().await?;
    let vault = Vault::open(&settings.secret_key_file)?;
    if key_file::check(&store, &vault).await? == Fit::Other {
        tracing::error!(
            key_file = %settings.secret_key_file.display(),
            "the key file is not the one that this database was sealed under: put that one back, or type the providers' \
             credentials again"
        );
    }
    let control = Control::new(store, vault, Arc::new(SystemWallClock), Passwords::default());
    Ok(control.with_kept(settings.keep_minutes_days, settings.keep_hours_days).with_surge(settings.surge()))
}
