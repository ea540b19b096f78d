#!/usr/bin/env bash
# A private Postgres for tests: one server per directory, found, made, started and stopped here.
#
#   scripts/postgres.sh start DIR [PORT]              prints the server's URL as its last line
#   scripts/postgres.sh stop DIR [fast|immediate]
#   scripts/postgres.sh url DIR
#   scripts/postgres.sh install                       only makes sure that the server binaries are there
#
# `start` makes a cluster if DIR is empty or missing, takes a free port unless one is given, keeps it over
# restarts, and does nothing to a server that already runs. fsync stays on. The server listens on
# 127.0.0.1 only (trust), its socket lives in DIR. Postgres refuses to run as root, so root drops to the
# user `postgres` or `nobody`; anybody else runs it as themselves.
# A directory that was not made here is never touched, and neither is the server in it.
set -euo pipefail

readonly OLDEST_MAJOR=14 # the oldest release whose SQL the event store uses
readonly MARKER=.bookmarket-postgres
readonly START_TRIES=10  # another process may take the free port between the look and the bind
readonly START_SECONDS=120
readonly SOCKET_PATH_MAX=90 # sun_path holds 108 bytes; the socket's own name needs the rest

# A caller's PGDATA or PGPORT must not lead our commands to somebody else's server.
for variable in $(compgen -e | grep '^PG' || true); do unset "$variable"; done

say() { printf '%s\n' "postgres.sh: $*" >&2; }
die() {
    say "$*"
    exit 1
}
# shellcheck source=scripts/apt.sh
source "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

usage() {
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# "15" for a directory of server binaries, nothing for anything else.
major_of() {
    [ -x "$1/initdb" ] && [ -x "$1/pg_ctl" ] && [ -x "$1/postgres" ] || return 0
    "$1/postgres" --version | sed -n 's/^.* \([0-9][0-9]*\)[.a-z0-9]*.*$/\1/p' | head -n 1
}

candidates() {
    local on_path
    if on_path=$(command -v postgres 2>/dev/null); then dirname "$(readlink -f "$on_path")"; fi
    if command -v pg_config >/dev/null 2>&1; then pg_config --bindir 2>/dev/null || true; fi
    local dir
    for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin \
        /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; do
        if [ -d "$dir" ]; then printf '%s\n' "$dir"; fi
    done
}

# The newest server binaries, or those of one major release: a cluster only starts under its own.
find_binaries() {
    local wanted=${1:-} dir major best='' best_major=0
    while IFS= read -r dir; do
        major=$(major_of "$dir")
        [ -n "$major" ] || continue
        if [ -n "$wanted" ] && [ "$major" != "$wanted" ]; then continue; fi
        if [ "$major" -ge "$OLDEST_MAJOR" ] && [ "$major" -gt "$best_major" ]; then
            best=$dir
            best_major=$major
        fi
    done <<<"$(candidates)"
    printf '%s' "$best"
}

install_binaries() {
    command -v apt-get >/dev/null 2>&1 ||
        die "no Postgres $OLDEST_MAJOR or newer found, and no apt-get to install it with; install it by hand" \
            "(dnf install postgresql-server, apk add postgresql, pacman -S postgresql, brew install postgresql@17)"
    apt_install postgresql
}

binaries() {
    local found
    found=$(find_binaries "${1:-}")
    if [ -z "$found" ] && [ -z "${1:-}" ]; then
        install_binaries
        found=$(find_binaries)
    fi
    [ -n "$found" ] || die "no Postgres ${1:-$OLDEST_MAJOR or newer} server binaries found"
    printf '%s' "$found"
}

server_user() {
    local name
    for name in postgres nobody; do
        if id -u "$name" >/dev/null 2>&1; then
            printf '%s' "$name"
            return
        fi
    done
    die "root may not run Postgres, and there is neither a user postgres nor a user nobody"
}

# Runs a command as the user that owns the server: ourselves, or as root the unprivileged one.
as_server() {
    if [ "$(id -u)" -ne 0 ]; then
        (cd / && "$@")
        return
    fi
    local user
    user=$(server_user)
    if command -v setpriv >/dev/null 2>&1; then
        (cd / && setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups "$@")
    elif command -v runuser >/dev/null 2>&1; then
        (cd / && runuser -u "$user" -- "$@")
    else
        die "neither setpriv nor runuser is here to drop root's rights with"
    fi
}

# The server's user must be able to walk to DIR. Temporary directories are made private (0700), so those
# get the right to be walked through (not read); no other directory is changed.
make_reachable() {
    local dir=$1 parent
    as_server test -x "$dir" && return
    parent=$(dirname "$dir")
    while [ "$parent" != / ]; do
        case $parent in
        /tmp | /var/tmp | "${TMPDIR:-/tmp}") ;;
        /tmp/* | /var/tmp/* | "${TMPDIR:-/tmp}"/*) chmod o+x "$parent" ;;
        esac
        parent=$(dirname "$parent")
    done
    as_server test -x "$dir" || die "the user $(server_user) cannot enter $dir; choose a directory under /tmp"
}

make_cluster() {
    local dir=$1 bin=$2
    if [ -d "$dir" ] && [ -n "$(ls -A "$dir")" ]; then
        die "$dir holds files that were not made here"
    fi
    mkdir -p "$dir"
    chmod 711 "$dir"
    if [ "$(id -u)" -eq 0 ]; then chown "$(server_user)" "$dir"; fi
    make_reachable "$dir"
    as_server touch "$dir/$MARKER"
    # The tree is private and short-lived, so initdb's own final sync buys nothing.
    as_server "$bin/initdb" --pgdata="$dir/data" --username=postgres --encoding=UTF8 --locale=C --auth=trust --no-sync \
        >"/dev/null" || die "initdb failed in $dir"
    local socket=$dir
    if [ "${#dir}" -gt "$SOCKET_PATH_MAX" ]; then socket=''; fi
    as_server tee -a "$dir/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$socket'
max_connections = 300
CONF
    as_server tee "$dir/data/pg_hba.conf" >/dev/null <<CONF
host all all 127.0.0.1/32 trust
CONF
}

# Below the range that the kernel hands out to outgoing connections.
free_port() {
    local port
    while :; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s' "$port"
            return
        fi
    done
}

running() { as_server "$2/pg_ctl" --pgdata="$1/data" status >/dev/null 2>&1; }

url() { printf 'postgres://postgres@127.0.0.1:%s/postgres\n' "$(cat "$1/port")"; }

launch() {
    as_server "$2/pg_ctl" --pgdata="$1/data" --log="$1/server.log" --options="-p $3" --wait --timeout=$START_SECONDS \
        --silent start >/dev/null 2>&1 </dev/null
}

start() {
    local dir=$1 wanted=${2:-} bin port try
    if [ -e "$dir/$MARKER" ] && [ -e "$dir/data/PG_VERSION" ]; then
        bin=$(binaries "$(cat "$dir/data/PG_VERSION")")
    else
        bin=$(binaries)
        make_cluster "$dir" "$bin"
    fi
    if running "$dir" "$bin"; then
        if [ -n "$wanted" ] && [ "$wanted" != "$(cat "$dir/port")" ]; then
            die "the server in $dir already runs on port $(cat "$dir/port")"
        fi
        url "$dir"
        return
    fi
    # After a restart clients come back to the port they know.
    if [ -z "$wanted" ] && [ -e "$dir/port" ]; then wanted=$(cat "$dir/port"); fi
    for ((try = 1; try <= START_TRIES; try++)); do
        port=${wanted:-$(free_port)}
        if launch "$dir" "$bin" "$port"; then
            printf '%s\n' "$port" | as_server tee "$dir/port" >/dev/null
            url "$dir"
            return
        fi
        if ! tail -n 20 "$dir/server.log" | grep -q 'could not bind'; then break; fi
    done
    tail -n 20 "$dir/server.log" >&2 || true
    die "the server in $dir did not start"
}

stop() {
    local dir=$1 mode=${2:-fast} bin
    [ -e "$dir/$MARKER" ] || die "$dir was not made here; its server is left alone"
    [ -e "$dir/data/postmaster.pid" ] || return 0
    bin=$(binaries "$(cat "$dir/data/PG_VERSION")")
    if ! running "$dir" "$bin"; then return 0; fi
    as_server "$bin/pg_ctl" --pgdata="$dir/data" --mode="$mode" --wait --silent stop >/dev/null
}

absolute() {
    case $1 in
    /*) printf '%s' "${1%/}" ;;
    *) printf '%s' "$PWD/${1%/}" ;;
    esac
}

[ $# -ge 1 ] || usage
command=$1
shift
case $command in
install) binaries >/dev/null ;;
start)
    [ $# -ge 1 ] && [ $# -le 2 ] || usage
    start "$(absolute "$1")" "${2:-}"
    ;;
stop)
    [ $# -ge 1 ] && [ $# -le 2 ] || usage
    case ${2:-fast} in fast | immediate) ;; *) usage ;; esac
    stop "$(absolute "$1")" "${2:-fast}"
    ;;
url)
    [ $# -eq 1 ] || usage
    url "$(absolute "$1")"
    ;;
*) usage ;;
esac
