#!/usr/bin/env bash
# Makes a sandbox of this system: a browser of the Firefox family with its driver and its gate, a screen, and where people look at it.
#
#   install.sh <valet> [<geckodriver>]
#
# As root, on Debian 12 or newer: in a container, in a chroot, or on a machine of its own. `valet` and `geckodriver` are programs that were built
# for this system; without the second one geckodriver.sh builds it, unless there is one. SANDBOX_BROWSER names a browser that is installed here
# by other means (Camoufox, say); without it Debian's Firefox is. Can be run again.
set -euo pipefail

say() { printf 'sandbox: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

FROM="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
PROGRAMS=/usr/local/bin
PACKAGES=(ca-certificates fonts-dejavu-core fonts-liberation fonts-noto-core novnc supervisor websockify x11vnc xvfb)
# What a browser of this family is linked to, where no package brings it.
BROWSER_NEEDS=(libasound2 libdbus-glib-1-2 libgtk-3-0 libpci3 libx11-xcb1 libxt6)

(($# >= 1 && $# <= 2)) || die "usage: install.sh <valet> [<geckodriver>]"
((EUID == 0)) || die "must be run as root"
command -v apt-get >/dev/null || die "only Debian and its kin are installed on"
[[ -x $1 ]] || die "$1 is no program"

if [[ -z ${SANDBOX_BROWSER:-} ]]; then PACKAGES+=(firefox-esr); else PACKAGES+=("${BROWSER_NEEDS[@]}"); fi
export DEBIAN_FRONTEND=noninteractive
apt-get -y -o Acquire::Retries=3 update
# Services are the entry's to start, not the installation's.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
apt-get -y -o Acquire::Retries=3 install --no-install-recommends "${PACKAGES[@]}"
rm -f /usr/sbin/policy-rc.d
apt-get clean
rm -rf /var/lib/apt/lists/*

browser="${SANDBOX_BROWSER:-$(command -v firefox-esr)}"
[[ -x $browser ]] || die "there is no browser at $browser: set SANDBOX_BROWSER"
ln -sfn "$browser" "$PROGRAMS/browser"
install -m 0755 "$1" "$PROGRAMS/valet"
if [[ -n ${2:-} ]]; then
    install -m 0755 "$2" "$PROGRAMS/geckodriver"
elif [[ ! -x $PROGRAMS/geckodriver ]]; then
    "$FROM/geckodriver.sh" "$PROGRAMS"
fi

id -u sandbox >/dev/null 2>&1 || useradd --system --create-home --home-dir /home/sandbox --shell /usr/sbin/nologin sandbox
install -d -m 0755 /etc/valet /usr/local/lib/valet
install -d -m 0700 -o sandbox -g sandbox /var/lib/valet
install -m 0644 "$FROM/supervisord.conf" /etc/valet/supervisord.conf
install -m 0755 "$FROM/entry.sh" "$FROM/healthy.sh" /usr/local/lib/valet/

for program in "$PROGRAMS/valet" "$PROGRAMS/geckodriver" "$PROGRAMS/browser"; do
    "$program" --version >/dev/null || die "$program does not run on this system"
done
say "installed: $("$PROGRAMS/browser" --version 2>/dev/null | head -n 1), $("$PROGRAMS/geckodriver" --version | head -n 1)"
