#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lints, docs, and all tests, those on Postgres
# included. Starts a private Postgres and stops it again; needs Rust and a C compiler, nothing else.
#
#   scripts/test.sh [ARGUMENTS FOR cargo test]       e.g. scripts/test.sh -p eventstore
#
# With arguments only the tests they select are run. A failed stage does not hide the next one.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

readonly TESTS_MINUTES=40 # far above a cold run on two cores; a hung test must not hold a CI machine
stages=()
failed=0

die() {
    printf 'test.sh: %s\n' "$*" >&2
    exit 1
}

# Runs one stage, keeps its name, result and time for the closing table.
stage() {
    local name=$1 began=$SECONDS result=ok
    shift
    printf '\n==> %s\n' "$name" >&2
    "$@" || {
        result=FAILED
        failed=1
    }
    stages+=("$(printf '%-10s %-7s %5d s' "$name" "$result" $((SECONDS - began)))")
    [ "$result" = ok ]
}

limited() {
    if command -v timeout >/dev/null 2>&1; then
        timeout --foreground --kill-after=30 "${TESTS_MINUTES}m" "$@"
    else
        "$@"
    fi
}

start_postgres() {
    TEST_POSTGRES_URL=$(scripts/postgres.sh start "$scratch/postgres" | tail -n 1) && export TEST_POSTGRES_URL
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
    set -- --workspace
fi
if stage postgres start_postgres; then
    stage build cargo test --locked --no-run "$@" &&
        stage tests limited cargo test --locked --no-fail-fast "$@"
fi

printf '\n' >&2
printf '%s\n' "${stages[@]}" >&2
exit "$failed"
