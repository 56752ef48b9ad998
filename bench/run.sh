#!/bin/bash
# All measurements. With SCALE=1 also the long ones: filled stores and databases in trouble (an hour, 10 GB in target/scale).
# Arguments go to compare.py: make bench BENCH="--record", BENCH="--scene '16 connections' --rounds 5"
set -euo pipefail
cd "$(dirname "$0")/.."

echo "==> bench: building in release mode"
cargo run -q -p xtask -- browser
SLUICE_EMBED_SITE=$PWD/target/site cargo build --release -p sluice -p testkit --bins
echo "==> bench: the limiter"
cargo bench -q -p limiter
echo "==> bench: 200 kills under load, every window checked"
KILLS=200 cargo test -q -p sluice --test process killed -- --nocapture
echo "==> bench: a call through Sluice, through nginx, and direct"
python3 bench/compare.py "$@"
echo "==> bench: memory under ten minutes of full load"
[[ "$*" == *--scene* ]] || python3 bench/compare.py --scene "flat memory" "$@"
echo "==> bench: what a flush costs"
cargo bench -q -p store
if [ -n "${SCALE:-}" ]; then
    cargo build --release -p store --example fill
    echo "==> bench: pages on filled stores, SQLite and PostgreSQL"
    python3 bench/scale.py --copy --record
    echo "==> bench: a database in trouble"
    python3 bench/faults.py --record
fi
echo "==> bench: what a person waits for on each page (medians of 5, about half an hour)"
node bench/console/measure.mjs --record
