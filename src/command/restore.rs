//! `sluice restore`: a backup in the place of the database, while nothing runs on it. What was there is kept beside it.

use control::{
    Store, SystemWallClock, Vault, WallClock as _,
    key_file::{self, Fit},
    transfer,
};

use super::{Outcome, Restore};
use crate::config::Settings;

pub(super) async fn run(settings: &Settings, command: Restore) -> Outcome {
    let Restore { file, other_key } = command;
    let key = settings.secret_key_file.display();
    let fit = fit(settings, &file).await?;
    if fit == Some(Fit::Other) && !other_key {
        return Err(format!(
            "{} was sealed under another key file than {key}: put the one that belongs to it there, or add --other-key and \
             type the providers' credentials again",
            file.display()
        )
        .into());
    }
    if fit.is_none() && !other_key {
        return Err(format!(
            "there is no key file {key}: put the one that belongs to {} there, or add --other-key and type the providers' \
             credentials again",
            file.display()
        )
        .into());
    }
    let now_ms = SystemWallClock.now_ms();
    let now = chrono::DateTime::from_timestamp_millis(now_ms).unwrap_or_default();
    let stamp = format!("before-{}", now.format("%Y%m%dT%H%M%SZ"));
    let restored = transfer::restore(&file, &settings.database_url, &stamp, now_ms).await?;
    let store = Store::open(&settings.database_url).await?;
    store.migrate().await?;
    if other_key && fit != Some(Fit::Right) {
        key_file::adopt(&store, &Vault::open(&settings.secret_key_file)?).await?;
    }
    let rows: i64 = restored.tables.iter().map(|it| it.1).sum();
    println!("{} holds what {} held: {rows} rows, byte for byte.", store.address(), file.display());
    if let Some(former) = restored.former {
        println!("What was there before is {} now.", former.display());
    }
    if let Some(damage) = restored.damage {
        println!("It could not be read any more: {damage}.");
    }
    store.close().await;
    Ok(())
}

/// How the backup and the key file go together; `None` if there is no key file.
async fn fit(settings: &Settings, file: &std::path::Path) -> Outcome<Option<Fit>> {
    let backup = transfer::open_backup(file).await?;
    let path = &settings.secret_key_file;
    let fit = if path.is_file() { Some(key_file::fit(&backup, &Vault::open(path)?).await?) } else { None };
    backup.close().await;
    Ok(fit)
}
