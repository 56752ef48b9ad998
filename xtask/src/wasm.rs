//! Compiles `crates/hydrate` for the browser, makes its glue and shrinks it.

use crate::{Flavour, Result, fingerprint, step, toolchain};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use wasm_bindgen_cli_support::Bindgen;

/// The two files the browser loads.
pub(crate) struct Code {
    pub(crate) wasm: Vec<u8>,
    pub(crate) glue: Vec<u8>,
    /// Whether wasm-opt has been over it; only then does its size say anything.
    pub(crate) optimised: bool,
}

const WASM: &str = "sluice_bg.wasm";
const BINARYEN: &str = "binaryen@132.0.0";

// Named one by one: with all features, binaryen 132 writes compact imports that browsers refuse to load.
const OPTIMISE: &[&str] = &[
    "-Oz",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-multivalue",
];

/// What was made last in `target-browser/bindgen`, and of what.
#[derive(PartialEq, Serialize, Deserialize)]
struct Made {
    flavour: String,
    /// Fingerprint of the sources.
    sources: String,
    /// Hash of what the compiler made of them: often the same for other sources, since most code is the server's.
    compiled: String,
    optimised: bool,
}

/// Builds everything that is code, or takes what was built before of the same.
pub(crate) fn build(root: &Path, flavour: Flavour, sources: &str) -> Result<Code> {
    let out = root.join("target-browser/bindgen");
    let last: Option<Made> = fs::read(out.join("made.json")).ok().and_then(|it| serde_json::from_slice(&it).ok());
    let last = last.filter(|it| it.flavour == flavour.as_str());
    if let Some(last) = last.as_ref().filter(|it| it.sources == sources) {
        return read(&out, last.optimised);
    }
    let compiled = compile(root, flavour)?;
    let hash = fingerprint::of_file(&compiled)?;
    let mut made = Made { flavour: flavour.as_str().into(), sources: sources.into(), compiled: hash, optimised: false };
    match last {
        Some(last) if last.compiled == made.compiled => made.optimised = last.optimised,
        _ => {
            step("wasm: making the glue");
            fs::create_dir_all(&out)?;
            let mut bindgen = Bindgen::new();
            bindgen.input_path(&compiled).out_name("sluice").typescript(false);
            bindgen.remove_name_section(true).remove_producers_section(true);
            bindgen.web(true).map_err(|error| format!("wasm-bindgen: {error:#}"))?;
            bindgen.generate(&out).map_err(|error| format!("wasm-bindgen: {error:#}"))?;
            made.optimised = flavour == Flavour::Full && optimise(root, &out.join(WASM))?;
        }
    }
    fs::write(out.join("made.json"), serde_json::to_vec(&made)?)?;
    read(&out, made.optimised)
}

fn read(out: &Path, optimised: bool) -> Result<Code> {
    Ok(Code { wasm: fs::read(out.join(WASM))?, glue: fs::read(out.join("sluice.js"))?, optimised })
}

fn compile(root: &Path, flavour: Flavour) -> Result<PathBuf> {
    let tools = toolchain::find(root)?;
    step(&format!("wasm: compiling the browser part ({}; the first time takes minutes)", flavour.as_str()));
    let mut cargo = Command::new(&tools.cargo);
    cargo
        .current_dir(root)
        .args(["build", "-p", "hydrate", "--target", toolchain::TARGET, "--profile", flavour.profile(), "--target-dir"])
        .arg(&tools.target_dir)
        .env("RUSTC", &tools.rustc)
        .env_remove("CARGO_TARGET_DIR");
    if !cargo.status()?.success() {
        return Err("the browser part does not compile".into());
    }
    Ok(tools.target_dir.join(toolchain::TARGET).join(flavour.profile()).join("hydrate.wasm"))
}

fn optimise(root: &Path, wasm: &Path) -> Result<bool> {
    let Some(program) = wasm_opt(root) else {
        step("wasm: no wasm-opt of version 117 or later; the browser part stays larger than it could be");
        return Ok(false);
    };
    step("wasm: shrinking it with wasm-opt");
    let status = Command::new(&program).args(OPTIMISE).arg(wasm).arg("-o").arg(wasm).status()?;
    if status.success() { Ok(true) } else { Err(format!("{} failed", program.display()).into()) }
}

/// The one the browser tests bring, the one fetched before, one on the path that is new enough, or one fetched now.
fn wasm_opt(root: &Path) -> Option<PathBuf> {
    let fetched = root.join("target-browser/npm/node_modules/.bin/wasm-opt");
    let local = [root.join("end2end/node_modules/.bin/wasm-opt"), fetched.clone()].into_iter().find(|it| it.exists());
    local.or_else(|| version("wasm-opt".as_ref()).filter(|it| *it >= 117).map(|_| "wasm-opt".into())).or_else(|| {
        step(&format!("wasm: fetching {BINARYEN} from npm"));
        let folder = root.join("target-browser/npm");
        fs::create_dir_all(&folder).ok()?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-save", "--no-audit", "--no-fund", "--silent", "--prefix"])
            .arg(&folder)
            .arg(BINARYEN);
        npm.status().ok().filter(|status| status.success() && fetched.exists()).map(|_| fetched)
    })
}

/// Debian's 108 refuses instructions that compilers have emitted since 1.87.
fn version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().find_map(|word| word.parse().ok())
}
