#!/usr/bin/env bash
# Builds geckodriver with cargo: geckodriver.sh <folder to put it in>
#
# No distribution packages it; Mozilla publishes its source as a crate. cargo holds the crate against the checksum in its registry's index, and
# all that it is built of against the lock file inside; before it is put in place the crate is held against the sum below as well.
set -euo pipefail

VERSION=0.37.1
SHA256=79f38cf1541aaf57f6f7eb270f691bcb702485a95dbaaefe740141a8ea46f0ef

die() {
    printf 'geckodriver: %s\n' "$*" >&2
    exit 1
}

(($# == 1)) || die "usage: geckodriver.sh <folder>"
command -v cargo >/dev/null || die "cargo is needed to build it"
WORK="$(mktemp -d)"
trap 'rm -rf -- "$WORK"' EXIT

# A registry of its own: what cargo fetched is then what lies here.
CARGO_HOME="$WORK/home" CARGO_TARGET_DIR="$WORK/target" \
    cargo install geckodriver --version "=$VERSION" --locked --root "$WORK/root"
sha256sum --check --quiet <<<"$SHA256  $(echo "$WORK"/home/registry/cache/*/"geckodriver-$VERSION.crate")" ||
    die "the crate is not the one that is expected"
install -D -m 0755 "$WORK/root/bin/geckodriver" "$1/geckodriver"
