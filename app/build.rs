//! Puts the browser part inside the program when `SLUICE_EMBED_SITE` names the folder it was built into.

use std::{
    env,
    error::Error,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

const NOTHING: &str = "pub(super) const MANIFEST: &str = \"\";\npub(super) static FILES: &[(&str, &[u8])] = &[];\n";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=SLUICE_EMBED_SITE");
    println!("cargo:rerun-if-changed=build.rs");
    let mut code = String::new();
    match env::var_os("SLUICE_EMBED_SITE").map(PathBuf::from) {
        None => code.push_str(NOTHING),
        Some(folder) => {
            // A relative folder lies in the workspace, wherever the build script runs.
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
            let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
            let manifest = folder.join("manifest.json");
            println!("cargo:rerun-if-changed={}", manifest.display());
            writeln!(code, "pub(super) const MANIFEST: &str = include_str!({manifest:?});")?;
            writeln!(code, "pub(super) static FILES: &[(&str, &[u8])] = &[")?;
            list(&folder, &folder, &mut code)?;
            writeln!(code, "];")?;
        }
    }
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("embedded.rs"), code)?;
    Ok(())
}

fn list(root: &Path, folder: &Path, code: &mut String) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, code)?;
        } else {
            writeln!(code, "    ({:?}, include_bytes!({path:?})),", path.strip_prefix(root)?.to_string_lossy())?;
        }
    }
    Ok(())
}
