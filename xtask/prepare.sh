#!/bin/bash
# Brings a fresh Debian machine to where a goal of the Makefile can run. Says one line for each thing it does, and is
# quick and silent when everything is there. Usage: xtask/prepare.sh run|check|test|bench
set -euo pipefail
cd "$(dirname "$0")/.."
goal=${1:?run, check, test or bench}

say() { echo "==> prepare: $*"; }

need() { # need COMMAND WHY
    command -v "$1" >/dev/null || { echo "prepare: $1 is needed: $2" >&2; exit 1; }
}

missing=()
want() { # want PACKAGE PROOF: the package is wanted when the shell command PROOF fails
    bash -c "$2" >/dev/null 2>&1 || missing+=("$1")
}

install_packages() {
    [ ${#missing[@]} -eq 0 ] && return
    say "installing ${missing[*]} with apt-get"
    [ "$(id -u)" -eq 0 ] || { echo "prepare: run as root, or install them yourself: apt-get install ${missing[*]}" >&2; exit 1; }
    export DEBIAN_FRONTEND=noninteractive
    local quiet=(-qq -o=Dpkg::Use-Pty=0 -o=Acquire::Retries=3)
    local log
    log=$(mktemp)
    # Debian starts what it installs, and tests use instances of their own; so services stay down.
    local policy=/usr/sbin/policy-rc.d made_policy=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made_policy=yes
    fi
    local done_well=yes
    { apt-get update "${quiet[@]}" && apt-get install -y --no-install-recommends "${quiet[@]}" "${missing[@]}"; } >"$log" 2>&1 || done_well=
    [ -n "$made_policy" ] && rm -f "$policy"
    if [ -z "$done_well" ]; then
        tail -n 20 "$log" >&2
        echo "prepare: apt-get could not install ${missing[*]}" >&2
        exit 1
    fi
    rm -f "$log"
}

python_environment() {
    local wanted=end2end/sdk/requirements.txt
    cmp -s "$wanted" .venv/requirements.txt && return
    say "python packages of $wanted into .venv"
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" .venv/requirements.txt
}

node_packages() { # node_packages FOLDER
    cmp -s "$1/package-lock.json" "$1/node_modules/.installed" && return
    say "npm packages of $1/package-lock.json"
    (cd "$1" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --silent --no-audit --no-fund)
    cp "$1/package-lock.json" "$1/node_modules/.installed"
}

need cargo "install a Rust toolchain from https://rustup.rs"
need cc "apt-get install build-essential"

case $goal in
run | check) ;;
test)
    need node "install Node.js 20 or newer"
    want postgresql 'ls /usr/lib/postgresql/*/bin/initdb'
    want redis-server 'command -v redis-server'
    want chromium 'command -v chromium'
    want libfaketime 'ls /usr/lib/*/faketime/libfaketimeMT.so.1'
    want python3-venv 'python3 -c "import ensurepip, venv"'
    install_packages
    python_environment
    node_packages end2end
    ;;
bench)
    want postgresql 'ls /usr/lib/postgresql/*/bin/initdb'
    want wrk 'command -v wrk'
    want nginx-light 'command -v nginx || test -x /usr/sbin/nginx'
    want python3 'command -v python3'
    want chromium 'command -v chromium'
    need node "install Node.js 20 or newer"
    install_packages
    node_packages bench/console
    ;;
*)
    echo "prepare: run, check, test or bench, not $goal" >&2
    exit 1
    ;;
esac
