//! `sluice migrate`.

use control::Store;

use super::Outcome;
use crate::config::Settings;

pub(super) async fn run(settings: &Settings) -> Outcome {
    let store = Store::open(&settings.database_url).await?;
    store.migrate().await?;
    println!("{} has this version's schema", store.address());
    Ok(())
}
