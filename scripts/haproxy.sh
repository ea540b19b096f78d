#!/usr/bin/env bash
# The proxy of docker-compose.yml, for the tests of what goes on behind it.
#
#   scripts/haproxy.sh      finds `haproxy` on the PATH, or installs it with apt-get, and prints where it is
#
# Nothing is started here. Where the package starts a service, it serves nothing: Debian's own configuration has no address to serve.
set -euo pipefail

say() { printf '%s\n' "haproxy.sh: $*" >&2; }
die() {
    say "$*"
    exit 1
}
# shellcheck source=scripts/apt.sh
source "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

# Where administrators' programs lie is not on everybody's PATH.
find_it() { PATH=$PATH:/usr/local/sbin:/usr/sbin command -v haproxy; }

find_it || {
    apt_install haproxy
    find_it || die "apt-get installed no haproxy"
}
