//! The one architecture rule that a machine checks: which crate may know which. ARCHITECTURE.md says why.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

const ALLOWED: &[(&str, &[&str])] = &[
    ("app", &["control", "domain"]),
    ("control", &["domain", "limiter", "store"]),
    ("domain", &[]),
    ("gateway", &["domain", "limiter"]),
    ("hydrate", &["app"]),
    ("limiter", &["domain"]),
    ("sluice", &["app", "control", "domain", "gateway", "limiter", "store", "testkit"]),
    ("store", &["domain"]),
    ("testkit", &["domain"]),
    ("xtask", &[]),
];

#[test]
fn crates_know_only_whom_they_may() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs this test, so it can be started");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages are a list");
    let members: BTreeSet<&str> = packages.iter().filter_map(|it| it["name"].as_str()).collect();

    let edges: BTreeMap<&str, BTreeSet<&str>> = packages
        .iter()
        .map(|package| {
            let known = package["dependencies"].as_array().into_iter().flatten();
            // A dependency of tests and build scripts has a kind; what ships has none.
            let shipped = known.filter(|it| it["kind"].is_null()).filter_map(|it| it["name"].as_str());
            (package["name"].as_str().unwrap_or_default(), shipped.filter(|it| members.contains(it)).collect())
        })
        .collect();

    let listed: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    assert_eq!(members, listed, "every crate has a line above");
    for (name, allowed) in ALLOWED {
        let too_much: Vec<_> = edges[name].iter().filter(|it| !allowed.contains(it)).collect();
        assert!(too_much.is_empty(), "{name} must not know {too_much:?}");
    }
}
