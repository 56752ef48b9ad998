#!/bin/bash
# All measurements. Arguments go to compare.py: make bench BENCH="--record", BENCH="--scene '16 connections' --rounds 5"
set -euo pipefail
cd "$(dirname "$0")/.."

echo "==> bench: building in release mode"
cargo run -q -p xtask -- browser
cargo build --release -p sluice -p testkit --bins
echo "==> bench: the limiter"
cargo bench -q -p limiter
echo "==> bench: 200 kills under load, every window checked"
KILLS=200 cargo test -q -p sluice --test process killed -- --nocapture
echo "==> bench: a call through Sluice, through nginx, and direct"
python3 bench/compare.py "$@"
