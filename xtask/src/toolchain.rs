//! Finds a compiler that can build for wasm32, fetching or building the standard library when it is missing.

use crate::{Result, step};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The cargo and rustc that build the browser part, and where they keep what they made.
pub(crate) struct Toolchain {
    pub(crate) cargo: OsString,
    pub(crate) rustc: OsString,
    /// Two compilers never share a folder: each would throw away what the other made.
    pub(crate) target_dir: PathBuf,
}

/// Tries the installed toolchain, then rustup, then Debian's packages for browsers.
pub(crate) fn find(root: &Path) -> Result<Toolchain> {
    let own = Toolchain {
        cargo: std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
        rustc: std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()),
        target_dir: root.join("target-browser"),
    };
    if has_std(&own.rustc) {
        return Ok(own);
    }
    step(&format!("wasm: the standard library for {TARGET} is missing, asking rustup for it"));
    if succeeds(Command::new("rustup").args(["target", "add", TARGET])) && has_std(&own.rustc) {
        return Ok(own);
    }
    let debian = Toolchain {
        cargo: "/usr/bin/cargo".into(),
        rustc: "/usr/bin/rustc".into(),
        target_dir: root.join("target-browser/debian"),
    };
    if !has_std(&debian.rustc) {
        build_debian_std(&debian)?;
    }
    if has_std(&debian.rustc) {
        return Ok(debian);
    }
    Err(format!(
        "no compiler here can build for {TARGET}; `rustup target add {TARGET}` helps where rustup can download"
    )
    .into())
}

fn sysroot_lib(rustc: &OsString) -> Option<PathBuf> {
    let output = Command::new(rustc).args(["--print", "sysroot"]).stderr(Stdio::null()).output().ok()?;
    let sysroot = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).join("lib"))
}

fn has_std(rustc: &OsString) -> bool {
    let Some(entries) = sysroot_lib(rustc).and_then(|lib| fs::read_dir(lib).ok()) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

/// Debian ships the compiler and the sources but no standard library for wasm32. lld has to be the one that the
/// package's `rust-lld` points to.
fn build_debian_std(debian: &Toolchain) -> Result<()> {
    step("wasm: rustup cannot help, installing Debian's rustc-web cargo-web rust-web-src lld-22");
    let install = ["install", "-y", "--no-install-recommends", "rustc-web", "cargo-web", "rust-web-src", "lld-22"];
    succeeds(Command::new("apt-get").arg("update"));
    if !succeeds(Command::new("apt-get").args(install).env("DEBIAN_FRONTEND", "noninteractive")) {
        return Err("Debian's compiler for browsers could not be installed (it needs root and a package mirror)".into());
    }
    if has_std(&debian.rustc) {
        return Ok(());
    }
    step(&format!("wasm: building the standard library for {TARGET}, about a minute"));
    let package = debian.target_dir.join("std");
    fs::create_dir_all(package.join("src"))?;
    fs::write(
        package.join("Cargo.toml"),
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n[profile.release]\npanic = \"abort\"\n",
    )?;
    fs::write(package.join("src/lib.rs"), "#![no_std]\n")?;
    let mut build = Command::new(&debian.cargo);
    build
        .current_dir(&package)
        .args(["build", "-Z", "build-std=std,panic_abort", "--release", "--target", TARGET, "--target-dir", "target"])
        .env("RUSTC", &debian.rustc)
        .env("RUSTC_BOOTSTRAP", "1");
    for name in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO_TARGET_DIR"] {
        build.env_remove(name);
    }
    if !succeeds(&mut build) {
        return Err(format!("the standard library for {TARGET} could not be built").into());
    }
    let lib = sysroot_lib(&debian.rustc).ok_or("Debian's rustc does not answer")?;
    fs::create_dir_all(&lib)?;
    for entry in fs::read_dir(package.join("target").join(TARGET).join("release/deps"))? {
        let path = entry?.path();
        if let (Some("rlib"), Some(name)) = (path.extension().and_then(|it| it.to_str()), path.file_name()) {
            fs::copy(&path, lib.join(name)).map_err(|error| format!("cannot write to {}: {error}", lib.display()))?;
        }
    }
    Ok(())
}

fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}
