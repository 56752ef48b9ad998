//! `sluice backup`: everything in one file, while the installation runs.

use control::Store;

use super::{File, Outcome, sqlite_file};
use crate::config::Settings;

pub(super) async fn run(settings: &Settings, command: File) -> Outcome {
    let File { file } = command;
    let store = open(settings).await?;
    let tables = store.back_up(&file).await;
    store.close().await;
    let rows: i64 = tables?.iter().map(|it| it.1).sum();
    println!("{} holds {rows} rows.", file.display());
    let key = settings.secret_key_file.display();
    println!(
        "Keep {key} with it, in another place: without that file the providers' credentials have to be typed again."
    );
    Ok(())
}

/// Opens what is there and makes nothing.
async fn open(settings: &Settings) -> Outcome<Store> {
    let url = &settings.database_url;
    if let Some(path) = sqlite_file(url).filter(|it| !it.is_file()) {
        return Err(format!("there is no database {}", path.display()).into());
    }
    Ok(Store::open(url).await?)
}
