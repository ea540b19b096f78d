#!/usr/bin/env bash
# The full figures: every chaos check at its full size, and the benches. Takes long, wants a quiet machine.
#
#   scripts/soak.sh [chaos] [bench]       both when none is named
#
# The chaos checks are the tests of scripts/test.sh under SOAK=1, which makes them about ten times as large.
# Prints one line per figure: `figure: ...` from the checks, one line of JSON from each bench. All else goes to a file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly PAIRS=5 # of baseline and figure: two more than the least, for a steadier median
readonly LENGTH=10s

scratch=$(mktemp -d "${TMPDIR:-/tmp}/bookmarket-soak.XXXXXX")
log=$PWD/target/soak.log
cleanup() {
    scripts/postgres.sh stop "$scratch/postgres" immediate >/dev/null 2>&1 || true
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start_postgres() { scripts/postgres.sh start "$scratch/postgres" 2>>"$log" | tail -n 1; }

chaos() {
    local url
    url=$(start_postgres)
    # One at a time: a chaos check that shares the cores measures its neighbours.
    SOAK=1 TEST_POSTGRES_URL=$url cargo test --release --locked --workspace --no-fail-fast -- --nocapture --test-threads=1 \
        2>>"$log" | tee -a "$log" | grep -oE '(figure|test result): .*'
}

measure() {
    printf 'bench %s\n' "$*" >>"$log"
    DATABASE_URL=$url "${CARGO_TARGET_DIR:-target}/release/bookmarket" bench "$@" --pairs "$PAIRS" --output json 2>>"$log"
}

bench() {
    local url
    cargo build --release --locked --bin bookmarket 2>>"$log"
    url=$(start_postgres)
    measure append --length "$LENGTH"
    measure orders --length "$LENGTH"
    measure replay
}

mkdir -p target
: >"$log"
printf 'all output: %s\n' "$log" >&2
[ $# -gt 0 ] || set -- chaos bench
for part in "$@"; do
    case $part in
    chaos | bench) "$part" ;;
    *)
        sed -n '4s/^# *//p' "$0" >&2
        exit 2
        ;;
    esac
done
