//! `sluice copy`: a stopped installation from one database to another, compared at the end.

use control::{Store, SystemWallClock, WallClock as _, transfer::Moved};

use super::{Copy, Outcome, sqlite_file};

pub(super) async fn run(command: Copy) -> Outcome {
    let Copy { from, to } = command;
    // Opening makes a SQLite file that is not there; a source that is not there is a mistake.
    if let Some(path) = sqlite_file(&from).filter(|it| !it.is_file()) {
        return Err(format!("--from {from}: there is no file {}", path.display()).into());
    }
    let source = Store::open(&from).await?;
    let target = Store::open(&to).await?;
    let moved = source.copy_to(&target, SystemWallClock.now_ms()).await;
    source.close().await;
    target.close().await;
    report(&moved?);
    println!("Everything in {} is in {} now; the key file stays where it is.", source.address(), target.address());
    println!("Set SLUICE_DATABASE_URL to the new address, then start it.");
    Ok(())
}

fn report(moved: &[Moved]) {
    let full: Vec<&Moved> = moved.iter().filter(|it| it.tally.rows > 0).collect();
    let width = full.iter().map(|it| it.table.len()).max().unwrap_or(0);
    for it in &full {
        println!("{:<width$}  {:>12} rows", it.table, it.tally.rows);
    }
    let rows: u64 = full.iter().map(|it| it.tally.rows).sum();
    println!("{rows} rows of {} tables: counts, sums and contents are the same on both sides.", moved.len());
}
