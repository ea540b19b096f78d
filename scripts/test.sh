#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lints, docs, and all tests, those on Postgres
# and on NATS included. Starts a private Postgres and stops it again; needs Rust and a C compiler, and installs with apt-get
# what else it lacks: Postgres, NATS, HAProxy, Python's pip.
#
#   scripts/test.sh [ARGUMENTS FOR cargo test]       e.g. scripts/test.sh -p eventstore
#
# With arguments only the tests they select are run. A failed stage does not hide the next one. Everything together may take
# 30 minutes, and a test a minute: the slowest are listed, and one that took longer is run once more by itself and fails if it
# does so again.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

readonly MINUTES=30      # all of it, from a cold cache on two cores; a hung test must not hold a CI machine
readonly TEST_SECONDS=60 # a single test, by itself
readonly ALONE_SECONDS=180 # what has to be left to look at a slow one by itself
readonly SLOWEST=10      # tests that are listed
# Tests that keep every core busy, by what their names begin with. They are run as many at a time as there are cores, and before all others,
# which wait more than they compute: of those, twice as many, but for machines that have more cores than they may use.
readonly BUSY=(many:: storm:: model:: fulfilment::chaos broker::relay::speed edge::bench edge::reads edge::replay edge::moves)
readonly MANY_MAX=16
readonly OUT_OF_TIME=124 # what `timeout` ends with
stages=()
reasons=()
failed=0

die() {
    printf 'test.sh: %s\n' "$*" >&2
    exit 1
}

# Runs one stage, keeps its name, result and time for the closing table.
stage() {
    local name=$1 began=$SECONDS result=ok code=0
    shift
    printf '\n==> %s\n' "$name" >&2
    "$@" || code=$?
    if [ "$code" -ne 0 ]; then
        result=FAILED
        failed=1
    fi
    if [ "$code" -eq "$OUT_OF_TIME" ]; then reasons+=("$name: cut off after $MINUTES minutes in all"); fi
    stages+=("$(printf '%-10s %-7s %5d s' "$name" "$result" $((SECONDS - began)))")
    [ "$result" = ok ]
}

# Runs a command within what is left of the time.
limited() {
    local left=$((MINUTES * 60 - SECONDS))
    if [ "$left" -le 0 ]; then return "$OUT_OF_TIME"; fi
    if command -v timeout >/dev/null 2>&1; then
        timeout --foreground --kill-after=30 "$left" "$@"
    else
        "$@"
    fi
}

# Tests with the time that each takes. The test programs tell it only where unstable options are allowed, so those and
# nothing else run with that variable: to the compiler it would mean another build.
tests() {
    local host
    host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
    limited env "CARGO_TARGET_${host}_RUNNER=env RUSTC_BOOTSTRAP=1" \
        cargo test --locked --no-fail-fast --workspace --lib --bins --tests -- -Z unstable-options --report-time "$@"
}

timed_tests() {
    local code=0 why many
    many=$((2 * $(getconf _NPROCESSORS_ONLN)))
    if [ "$many" -gt "$MANY_MAX" ]; then many=$MANY_MAX; fi
    tests "${BUSY[@]}" 2>&1 | tee "$scratch/tests.log" || code=$?
    tests "${BUSY[@]/#/--skip=}" --test-threads="$many" 2>&1 | tee -a "$scratch/tests.log" || code=$?
    while IFS= read -r why; do reasons+=("$why"); done < <(failures_of "$scratch/tests.log")
    return "$code"
}

# Every test of a log that failed, with where and why: thousands of lines further up nobody finds it.
failures_of() {
    awk '
        /^---- .* stdout ----$/ { name = $2; next }
        name && / panicked at / { sub(/.* panicked at /, ""); where = $0; next }
        name && where { print name ": " where " " $0; name = where = "" }
    ' "$1"
}

# Every test of a log with its seconds, the slowest first: test some::name ... ok <1.234s>
times_of() { sed -n 's/^test \(.*\) \.\.\. [a-zA-Z]* <\([0-9.]*\)s>$/\2 \1/p' "$1" | sort -rn; }

too_long() { awk -v most="$TEST_SECONDS" '$1 > most { print $2 }'; }

# A test that shares the machine with others may be slow because of them. By itself it may not. Where so many were that no time is left to
# look at them alone, the machine was slow, which is said and is no failure.
slow_tests() {
    local name code=0
    times_of "$scratch/tests.log" >"$scratch/times"
    printf 'the slowest of %d tests:\n' "$(wc -l <"$scratch/times")" >&2
    head -n "$SLOWEST" "$scratch/times" | sed 's/^/    /; s/ \([^ ]*\)$/ s \1/' >&2
    [ -s "$scratch/times" ] || return
    for name in $(too_long <"$scratch/times"); do
        if [ "$((MINUTES * 60 - SECONDS))" -lt "$ALONE_SECONDS" ]; then
            reasons+=("longer than $TEST_SECONDS s beside others, and no time left to run it alone: $name")
            continue
        fi
        printf 'once more, by itself: %s\n' "$name" >&2
        # With one thread the harness would begin the line of a test before its end.
        tests --exact "$name" --test-threads=2 >"$scratch/again.log" 2>&1
        times_of "$scratch/again.log" >"$scratch/again"
        head -n 1 "$scratch/again" | sed 's/^/    /; s/ \([^ ]*\)$/ s \1/' >&2
        if [ ! -s "$scratch/again" ] || [ -n "$(too_long <"$scratch/again")" ]; then
            reasons+=("longer than $TEST_SECONDS s, also by itself: $name")
            code=1
        fi
    done
    return "$code"
}

start_postgres() {
    TEST_POSTGRES_URL=$(scripts/postgres.sh start "$scratch/postgres" | tail -n 1) && export TEST_POSTGRES_URL
}

# Tests that need what is missing fail by themselves; all others are run.
find_nats() {
    local lines lack found=0
    lines=$(scripts/nats.sh install 2>"$scratch/nats.log") || found=1
    cat "$scratch/nats.log" >&2
    eval "$lines"
    # shellcheck disable=SC2163 # the names of variables
    export $(sed 's/=.*//' <<<"$lines")
    if [ "$found" -eq 0 ]; then return; fi
    while IFS= read -r lack; do
        reasons+=("some tests on NATS cannot pass: $lack")
    done < <(sed -n '/downloading\|installing/d; s/^nats.sh: //p' "$scratch/nats.log")
    return 1
}

find_haproxy() {
    TEST_HAPROXY=${TEST_HAPROXY:-$(scripts/haproxy.sh)} && export TEST_HAPROXY
}

cleanup() {
    scripts/postgres.sh stop "$scratch/postgres" immediate >/dev/null 2>&1 || true
    rm -rf "$scratch"
}

command -v cargo >/dev/null 2>&1 || die "cargo is missing: install Rust from https://rustup.rs"
command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || command -v clang >/dev/null 2>&1 ||
    die "a C compiler is missing: apt-get install gcc libc6-dev"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/bookmarket-test.XXXXXX") || die "no temporary directory"
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A machine that builds once gains nothing from incremental files.
if [ -n "${CI:-}" ]; then export CARGO_INCREMENTAL=0; fi

if [ $# -eq 0 ]; then
    stage format cargo fmt --all --check
    stage clippy cargo clippy --workspace --all-targets --locked -- -D warnings
    # Private items are documented too, so links to them lead somewhere.
    stage docs env RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" \
        cargo doc --workspace --no-deps --document-private-items --locked
fi
stage postgres start_postgres || reasons+=("tests on Postgres cannot pass")
stage nats find_nats
stage haproxy find_haproxy || reasons+=("tests behind the proxy cannot pass")
if [ $# -eq 0 ]; then
    if stage build cargo test --locked --no-run --workspace; then
        stage tests timed_tests
        stage times slow_tests
        stage doctests limited cargo test --locked --workspace --doc
    fi
    if [ "$SECONDS" -gt $((MINUTES * 60)) ]; then
        reasons+=("it took more than $MINUTES minutes")
        failed=1
    fi
else
    stage tests limited cargo test --locked --no-fail-fast "$@"
fi

printf '\n' >&2
printf '%s\n' "${stages[@]}" >&2
printf '%-18s %5d s\n' all "$SECONDS" >&2
if [ "${#reasons[@]}" -gt 0 ]; then printf 'test.sh: %s\n' "${reasons[@]}" >&2; fi
exit "$failed"
