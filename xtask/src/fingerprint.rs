//! One hash over everything the browser part is made of, so that nothing to do takes no time.

use crate::Result;
use sha2::{Digest, Sha256};
use std::{fs, path::Path};

/// What decides which code the browser gets.
pub(crate) const CODE: &[&str] =
    &["Cargo.lock", "Cargo.toml", "app/Cargo.toml", "app/src", "crates/domain", "crates/hydrate", "xtask/src"];
/// What else decides what the browser gets.
pub(crate) const LOOKS: &[&str] = &["public", "style"];

/// The hash over files and folders, names and contents, in a fixed order.
pub(crate) fn of(root: &Path, sources: &[&str]) -> Result<String> {
    let mut hash = Sha256::new();
    for source in sources {
        add(root, Path::new(source), &mut hash)?;
    }
    Ok(hex(&hash.finalize()))
}

/// The hash of one file.
pub(crate) fn of_file(path: &Path) -> Result<String> {
    Ok(hex(&Sha256::digest(fs::read(path)?)))
}

fn add(root: &Path, path: &Path, hash: &mut Sha256) -> Result<()> {
    let full = root.join(path);
    if full.is_dir() {
        let mut names: Vec<_> = fs::read_dir(&full)?.map(|it| it.map(|it| it.file_name())).collect::<Result<_, _>>()?;
        names.sort();
        for name in names {
            add(root, &path.join(name), hash)?;
        }
        return Ok(());
    }
    let content = fs::read(&full).map_err(|error| format!("cannot read {}: {error}", full.display()))?;
    hash.update(path.to_string_lossy().as_bytes());
    hash.update(content.len().to_le_bytes());
    hash.update(&content);
    Ok(())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
