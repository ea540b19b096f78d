#!/usr/bin/env bash
# The full figures: every chaos check at its full size, the benches, and how long a build takes. Takes long, wants a quiet machine.
#
#   scripts/soak.sh [chaos] [bench] [build] all of them when none is named
#   scripts/soak.sh import FILE.jsonl ...   imports real orders twice, into each store, and checks every count
#
# The chaos checks are the tests of scripts/test.sh under SOAK=1, which makes them about ten times as large. The change from one release
# to the next is made from the binary that TEST_BOOKMARKET_BEFORE names by its whole path, a release build of the release before;
# without one, from this build to itself.
# Prints one line per figure: `figure: ...` from the checks; from each bench one line of JSON, and after all of them the rows of
# the README's tables. All else goes to a file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly PAIRS=5 # of baseline and figure: two more than the least, for a steadier median
readonly LENGTH=10s
readonly OPEN_LENGTH=2m # long enough that memory that grows is seen to
readonly BUILD_SECONDS=30 # after a change to one file of the orchestrator, everything else being built

scratch=$(mktemp -d "${TMPDIR:-/tmp}/bookmarket-soak.XXXXXX")
log=$PWD/target/soak.log
server= # of the import under way, if any
cleanup() {
    if [ -n "$server" ]; then kill -KILL "$server" 2>/dev/null || true; fi
    scripts/postgres.sh stop "$scratch/postgres" immediate >/dev/null 2>&1 || true
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start_postgres() { scripts/postgres.sh start "$scratch/postgres" 2>>"$log" | tail -n 1; }

chaos() {
    local url nats
    url=$(start_postgres)
    nats=$(scripts/nats.sh install 2>>"$log")
    eval "$nats" && export TEST_NATS_OLD TEST_NATS_NEW TEST_NATS_PYTHON
    TEST_HAPROXY=${TEST_HAPROXY:-$(scripts/haproxy.sh 2>>"$log")} && export TEST_HAPROXY
    # One at a time: a chaos check that shares the cores measures its neighbours.
    SOAK=1 TEST_POSTGRES_URL=$url cargo test --release --locked --workspace --no-fail-fast -- --nocapture --test-threads=1 \
        2>>"$log" | tee -a "$log" | grep -oE '(figure|test result): .*'
}

measure() {
    printf 'bench %s\n' "$*" >>"$log"
    local line
    line=$(DATABASE_URL=$url "${CARGO_TARGET_DIR:-target}/release/bookmarket" bench "$@" --pairs "$PAIRS" --output json 2>>"$log")
    printf '%s\n' "$line"
    [[ $line != *'"met":false'* ]] || missed=1
}

# Everything the README's tables hold, out of what the benches said beside their JSON.
tables() {
    printf '\n| bench | ratio | figure | baseline | p99 | baseline p99 | Postgres CPU per event | baseline CPU |\n|---|---|---|---|---|---|---|---|\n'
    grep -E '^(\| [^|]*){8}\|$' "$log"
    printf '\n| bench | what | value | bound |\n|---|---|---|---|\n'
    grep -E '^(\| [^|]*){4}\|$' "$log"
}

bench() {
    local url
    cargo build --release --locked --bin bookmarket 2>>"$log"
    url=$(start_postgres)
    local missed=0
    measure append --length "$LENGTH"
    measure orders --length "$LENGTH" --open-length "$OPEN_LENGTH"
    measure replay
    measure views --length "$LENGTH"
    tables
    # A figure that misses its bound fails the run, after all have been measured.
    [ "$missed" = 0 ]
}

# What whoever works on the orchestrator waits for: its files are touched one by one, a deep one and two that all use.
build() {
    local file began took worst=0
    cargo build --locked 2>>"$log"
    for file in cli/demo.rs saga/engine.rs lib.rs; do
        touch "orchestrator/src/$file"
        began=$(date +%s%N)
        cargo build --locked 2>>"$log"
        took=$((($(date +%s%N) - began) / 1000000))
        printf 'figure: build touched=%s ms=%d bound=%d\n' "$file" "$took" $((BUILD_SECONDS * 1000))
        if [ "$took" -gt "$worst" ]; then worst=$took; fi
    done
    [ "$worst" -le $((BUILD_SECONDS * 1000)) ]
}

# Starts a server on the data directory $1 and waits for its address; sets `server` and `address`.
start_server() {
    "$binary" serve --data-dir "$1" --listen 127.0.0.1:0 >"$1.log" 2>&1 &
    server=$!
    until address=$(grep -o 'http://127[0-9.:]*' "$1.log" | head -n 1) && [ -n "$address" ]; do
        kill -0 "$server" 2>/dev/null || { cat "$1.log" >&2; return 1; }
        sleep 0.1
    done
}

field() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" <<<"$2"; }

# A file once and once more: what it must come to is counted in the file itself.
import_file() {
    local store=$1 file=$2 lines canceled first again
    lines=$(grep -c . "$file")
    canceled=$(grep -Ec '"outcome": *"Cancell?ed"' "$file" || true)
    first=$("$binary" orders import "$file" --server "$address" --output json 2>>"$log")
    again=$("$binary" orders import "$file" --server "$address" --output json 2>>"$log")
    printf 'figure: import store=%s file=%s first=%s again=%s\n' "$store" "${file##*/}" "$first" "$again"
    [ "$(field placed "$first")" = "$lines" ] && [ "$(field canceled "$first")" = "$canceled" ] &&
        [ "$(field placed "$again")" = 0 ] && [ "$(field repeated "$again")" = "$lines" ]
}

# Every refund in the provider's ledger gives back all of its order's charge, and there are as many as cancellations.
check_refunds() {
    awk -v wanted="$2" '
        function text(name) { match($0, "\"" name "\":\"[^\"]*"); return substr($0, RSTART + length(name) + 4, RLENGTH - length(name) - 4) }
        function number(name) { match($0, "\"" name "\":[0-9]+"); return substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) }
        /"result":"done"/ && /"op":"charge"/ { charged[text("orderId")] += number("amount") }
        /"result":"done"/ && /"op":"refund"/ { refunded[text("orderId")] += number("amount"); refunds++ }
        END {
            for (order in refunded) if (refunded[order] != charged[order]) wrong++
            printf "figure: refunds=%d wanted=%d not-in-full=%d\n", refunds, wanted, wrong
            exit !(refunds == wanted && wrong == 0)
        }' "$1"
}

import_into() {
    local store=$1 file canceled=0
    shift
    start_server "$scratch/data-$store"
    for file in "$@"; do
        import_file "$store" "$file"
        canceled=$((canceled + $(grep -Ec '"outcome": *"Cancell?ed"' "$file" || true)))
    done
    kill -TERM "$server" && wait "$server"
    server=
    check_refunds "$scratch/data-$store/simulator.jsonl" "$canceled"
}

import() {
    cargo build --release --locked --bin bookmarket 2>>"$log"
    local binary=${CARGO_TARGET_DIR:-target}/release/bookmarket
    unset DATABASE_URL
    import_into sqlite "$@"
    DATABASE_URL=$(start_postgres)
    export DATABASE_URL
    import_into postgres "$@"
}

mkdir -p target
: >"$log"
printf 'all output: %s\n' "$log" >&2
[ $# -gt 0 ] || set -- chaos bench build
if [ "$1" = import ]; then
    shift
    import "$@"
    exit
fi
for part in "$@"; do
    case $part in
    chaos | bench | build) "$part" ;;
    *)
        sed -n '4,5s/^# *//p' "$0" >&2
        exit 2
        ;;
    esac
done
