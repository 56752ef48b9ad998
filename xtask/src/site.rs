//! Lays out `target/site`: names with a content hash, compressed copies, and the manifest the server reads.
//!
//! `manifest.json` names the three files a page loads and lists every path with its type, its tag and whether its
//! name changes with its content. Beside `x` lie `x.br` and `x.gz` where compression pays.

use crate::{Flavour, Result, fingerprint::hex, step, wasm::Code};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// Whether `target/site` was made from `sources`; a full build also serves where a quick one is asked for.
pub(crate) fn is_current(root: &Path, flavour: Flavour, sources: &str) -> bool {
    let Some(manifest) = manifest(root) else { return false };
    let made = manifest["flavour"].as_str();
    let enough = made == Some(flavour.as_str()) || made == Some(Flavour::Full.as_str());
    let present = |file: &Value| file["path"].as_str().is_some_and(|path| folder(root).join(&path[1..]).exists());
    manifest["sources"] == sources
        && enough
        && manifest["files"].as_array().is_some_and(|files| files.iter().all(present))
}

/// What was built last, if anything.
pub(crate) fn manifest(root: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(folder(root).join("manifest.json")).ok()?).ok()
}

/// Where the files lie.
pub(crate) fn folder(root: &Path) -> PathBuf {
    root.join("target/site")
}

/// Replaces the folder by what was built. It is written beside and swapped, so a server never reads half of it.
pub(crate) fn write(root: &Path, flavour: Flavour, sources: &str, code: &Code, css: &str) -> Result<()> {
    step("site: hashing, compressing");
    let next = root.join("target/site.next");
    remove(&next)?;
    fs::create_dir_all(next.join("pkg"))?;
    let mut site = Site { folder: next, flavour, files: Vec::new() };
    let script = site.add_hashed("sluice", "js", &code.glue)?;
    let wasm = site.add_hashed("sluice", "wasm", &code.wasm)?;
    let style = site.add_hashed("main", "css", css.as_bytes())?;
    for entry in fs::read_dir(root.join("public"))? {
        let path = entry?.path();
        if let Some(name) = path.file_name().and_then(|it| it.to_str()).filter(|name| !name.starts_with('.')) {
            site.add(&format!("/{name}"), &fs::read(&path)?, false)?;
        }
    }
    site.files.sort_by_key(|file| file["path"].to_string());
    let manifest = json!({
        "flavour": flavour.as_str(), "sources": sources, "optimised": code.optimised,
        "script": script, "wasm": wasm, "style": style, "files": site.files,
    });
    fs::write(site.folder.join("manifest.json"), serde_json::to_vec_pretty(&manifest)?)?;
    let (last, now) = (root.join("target/site.last"), folder(root));
    remove(&last)?;
    if now.exists() {
        fs::rename(&now, &last)?;
    }
    fs::rename(&site.folder, &now)?;
    remove(&last)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() { Ok(fs::remove_dir_all(folder)?) } else { Ok(()) }
}

struct Site {
    folder: PathBuf,
    flavour: Flavour,
    files: Vec<Value>,
}

impl Site {
    fn add_hashed(&mut self, stem: &str, extension: &str, body: &[u8]) -> Result<String> {
        let path = format!("/pkg/{stem}-{}.{extension}", &digest(body)[..12]);
        self.add(&path, body, true)?;
        Ok(path)
    }

    fn add(&mut self, path: &str, body: &[u8], immutable: bool) -> Result<()> {
        let file = self.folder.join(&path[1..]);
        fs::write(&file, body)?;
        let mut encodings = Vec::new();
        for (name, extension, packed) in
            [("br", "br", brotli(body, self.flavour)?), ("gzip", "gz", gzip(body, self.flavour)?)]
        {
            if packed.len() < body.len() {
                fs::write(format!("{}.{extension}", file.display()), packed)?;
                encodings.push(name);
            }
        }
        self.files.push(json!({
            "path": path, "type": mime(path), "etag": &digest(body)[..16], "immutable": immutable, "encodings": encodings,
        }));
        Ok(())
    }
}

fn digest(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

fn brotli(body: &[u8], flavour: Flavour) -> Result<Vec<u8>> {
    let mut packed = Vec::new();
    let quality = if flavour == Flavour::Dev { 5 } else { 11 };
    brotli::CompressorWriter::new(&mut packed, 1 << 16, quality, 22).write_all(body)?;
    Ok(packed)
}

fn gzip(body: &[u8], flavour: Flavour) -> Result<Vec<u8>> {
    let level = if flavour == Flavour::Dev { Compression::fast() } else { Compression::best() };
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(body)?;
    Ok(encoder.finish()?)
}

fn mime(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("txt") => "text/plain; charset=utf-8",
        Some("json" | "webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}
