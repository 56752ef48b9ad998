#!/bin/bash
# The quick loop: format, lints in two lanes (server and browser exclude each other), unit tests, licences.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { echo "==> check: $*"; }

step "format"
cargo fmt --all --check
step "lints of the server"
cargo clippy --all-targets -- -D warnings
step "lints of the browser part"
if [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown/lib" ]; then
    CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target-browser} cargo clippy -p hydrate --target wasm32-unknown-unknown -- -D warnings
else
    echo "left out: this toolchain has no standard library for wasm32-unknown-unknown"
fi
step "unit tests"
cargo test --lib --bins
if cargo deny --version >/dev/null 2>&1; then
    step "licences and advisories"
    cargo deny check
else
    step "licences and advisories left out: cargo-deny is not installed"
fi
