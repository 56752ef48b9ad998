#!/bin/bash
# The browser tests, against the real process. Arguments go to Playwright: end2end/e2e.sh increase --project=mobile
set -euo pipefail
cd "$(dirname "$0")/.."

echo "==> e2e: building what is tested; the browser part as it is shipped, held to its budget"
cargo run -q -p xtask -- browser --check-budget
cargo build -p sluice -p testkit --bins
echo "==> e2e: browser tests"
cd end2end
exec npx playwright test "$@"
