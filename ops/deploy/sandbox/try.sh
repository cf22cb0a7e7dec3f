#!/usr/bin/env bash
# Installs a sandbox into a fresh Debian and uses it: try.sh <valet> <geckodriver>
#
# As root, with debootstrap. The system lies in a temporary folder and, once it is installed, sees neither the network nor other processes.
# SANDBOX_MIRROR and SANDBOX_SECURITY_MIRROR are where packages come from; nothing is left behind, and nothing goes on running.
set -euo pipefail

MIRROR="${SANDBOX_MIRROR:-http://deb.debian.org/debian}"
SECURITY_MIRROR="${SANDBOX_SECURITY_MIRROR:-http://deb.debian.org/debian-security}"
SUITE=bookworm
SIZE_MAX_MB=2000
FROM="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"

say() { printf 'try: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# Mounts belong to this script, and end with it.
if [[ ${1:-} != --inside ]]; then
    (($# == 2)) || die "usage: try.sh <valet> <geckodriver>"
    ((EUID == 0)) || die "must be run as root"
    command -v debootstrap >/dev/null || die "debootstrap is not installed"
    WORK="$(mktemp -d --tmpdir valet-sandbox.XXXXXX)"
    trap 'rm -rf --one-file-system -- "$WORK"' EXIT
    unshare --mount "${BASH_SOURCE[0]}" --inside "$WORK" "$@"
    exit
fi

WORK="$2"
# The system's own users pass its root.
ROOT="$WORK/system"
install -d -m 0755 "$ROOT"
LOG="$WORK/log"
# One that the new system has too.
export TMPDIR=/tmp

# logged WHAT COMMAND...: its last words are shown when it fails.
logged() {
    local what="$1"
    shift
    "$@" >"$LOG" 2>&1 || {
        tail -n 40 "$LOG" >&2
        die "$what failed"
    }
}

say "a fresh Debian"
logged debootstrap debootstrap --variant=minbase "$SUITE" "$ROOT" "$MIRROR"
cat >"$ROOT/etc/apt/sources.list" <<LIST
deb $MIRROR $SUITE main
deb $MIRROR $SUITE-updates main
deb $SECURITY_MIRROR $SUITE-security main
LIST
# As in Debian's own images: what is thrown away need not outlive a power cut.
echo force-unsafe-io >"$ROOT/etc/dpkg/dpkg.cfg.d/unsafe-io"
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs tmpfs "$ROOT/run"
mount -t tmpfs tmpfs "$ROOT/tmp"
cp /etc/resolv.conf "$ROOT/etc/resolv.conf"
install -d "$ROOT/tmp/sandbox"
cp "$FROM"/*.sh "$FROM"/supervisord.conf "$ROOT/tmp/sandbox/"
# What was built for debugging is not what an image brings.
strip -o "$ROOT/tmp/valet" "$3" 2>/dev/null || cp "$3" "$ROOT/tmp/valet"
cp "$4" "$ROOT/tmp/geckodriver"

say "install.sh"
logged install.sh chroot "$ROOT" /tmp/sandbox/install.sh /tmp/valet /tmp/geckodriver
grep '^sandbox: ' "$LOG" >&2
# As with a browser that came by other means.
other=/usr/lib/firefox-esr/firefox-esr
say "once more, with the browser $other"
logged install.sh chroot "$ROOT" env SANDBOX_BROWSER="$other" /tmp/sandbox/install.sh /tmp/valet
[[ $(readlink "$ROOT/usr/local/bin/browser") == "$other" ]] || die "install.sh took another browser"

size_mb="$(du -sxm "$ROOT" | cut -f 1)"
say "size: $size_mb MB, of which $(du -m "$ROOT/usr/local/bin/valet" | cut -f 1) MB are valet"
((size_mb < SIZE_MAX_MB)) || die "that is more than $SIZE_MAX_MB MB"

say "a sandbox in use"
cp "$FROM/try-inside.py" "$ROOT/tmp/"
unshare --pid --fork --kill-child --net --ipc --mount-proc="$ROOT/proc" chroot "$ROOT" /usr/bin/python3 /tmp/try-inside.py
say "it works"
