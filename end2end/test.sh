#!/bin/bash
# Every test, from the quick to the slow.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { echo "==> test: $* (after $SECONDS s)"; }

step "the browser part, as it is shipped"
cargo run -p xtask -- browser
step "Rust"
cargo test
step "every interleaving at the limiter's locks"
RUSTFLAGS="--cfg loom" cargo test -p limiter --test loom --target-dir target/loom
step "official SDKs"
cargo build -p sluice -p testkit --bins
.venv/bin/python -m pytest -q end2end/sdk
end2end/e2e.sh
step "all done"
