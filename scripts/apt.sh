# shellcheck shell=bash
# For scripts that install what they lack. Whoever reads this in has `say` and `die`.

apt_install() {
    command -v apt-get >/dev/null 2>&1 || die "$* is missing, and there is no apt-get to install it with"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1 || ! sudo -n true 2>/dev/null; then
            die "$* is missing; run once as an administrator: apt-get install $*"
        fi
        as_root=(sudo -n)
    fi
    say "installing $* with apt-get"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    {
        "${as_root[@]}" "${apt[@]}" update
        "${as_root[@]}" "${apt[@]}" install -y --no-install-recommends "$@"
    } >&2
}
