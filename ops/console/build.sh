# shellcheck shell=bash
# Builds the operators' console where its sources changed. Sourced by `ops/up` and `ops/test`, after `ops/install.sh`.
#
# Valet works without it: where Node or npm's registry cannot be had, the program is built without a console, and `/console/` says so.

NODE_LEAST_MAJOR=20
NODE_LEAST_MINOR=19
NODE_VERSION=22 # of npm's package `node`, where the system's is too old

CONSOLE="$ROOT/ops/console"
CONSOLE_STAMP="$CONSOLE/bundle/app/.stamp" # what the bundle was built of; a new build takes it away first

# The same sources give the same word.
console_sources() {
    (
        cd -- "$CONSOLE" &&
            find . \( -name node_modules -o -path ./bundle -o -path ./serve -o -path ./pictures \) -prune -o -type f ! -name '*.md' -print |
            LC_ALL=C sort | xargs sha256sum
    ) | sha256sum | cut -d' ' -f1
}

node_is_new_enough() {
    local version
    version="$(node --version 2>/dev/null)" || return 1
    [[ $version =~ ^v([0-9]+)\.([0-9]+) ]] || return 1
    ((BASH_REMATCH[1] > NODE_LEAST_MAJOR)) && return 0
    ((BASH_REMATCH[1] == NODE_LEAST_MAJOR && BASH_REMATCH[2] >= NODE_LEAST_MINOR))
}

# A Node that is too old for the console is left as it is; npm's own package of a newer one is used here.
ensure_node() {
    if has npm && node_is_new_enough; then return 0; fi
    local kept
    kept="$(tools_folder)/node"
    PATH="$kept/node_modules/.bin:$PATH"
    if has npm && node_is_new_enough; then return 0; fi
    if ! has npm; then
        [[ $DISTRIBUTION != other ]] && has apt-get && can_be_root || return 1
        say "installing npm (log: ${INSTALL_LOG#"$ROOT"/})"
        [[ -n $(candidate npm) ]] || apt_get update || true
        apt_get install --no-install-recommends nodejs npm || return 1
    fi
    if node_is_new_enough; then return 0; fi
    say "fetching Node $NODE_VERSION from npm (log: ${INSTALL_LOG#"$ROOT"/})"
    mkdir -p -- "$kept" && npm install --prefix "$kept" --no-audit --no-fund "node@$NODE_VERSION" >>"$INSTALL_LOG" 2>&1 || return 1
    node_is_new_enough
}

# What the lock file names, as it names it.
ensure_packages() {
    local got="$CONSOLE/node_modules/.got" wanted
    wanted="$(sha256sum <"$CONSOLE/package-lock.json")"
    if [[ -f $got && $(<"$got") == "$wanted" ]]; then return 0; fi
    (cd -- "$CONSOLE" && npm ci --prefer-offline --no-audit --no-fund) >>"$INSTALL_LOG" 2>&1 || return 1
    printf '%s\n' "$wanted" >"$got"
}

# Fails, with the reason said, where there is no console afterwards.
build_console() {
    local now started=$SECONDS
    now="$(console_sources)"
    if [[ -f $CONSOLE_STAMP && $(<"$CONSOLE_STAMP") == "$now" ]]; then return 0; fi
    say "building the console (log: ${INSTALL_LOG#"$ROOT"/})"
    if ! ensure_node; then
        say "no Node $NODE_LEAST_MAJOR.$NODE_LEAST_MINOR or newer with npm: valet is built without its console"
        return 1
    fi
    if ! ensure_packages; then
        show_log
        say "the console's packages could not be fetched: valet is built without its console"
        return 1
    fi
    if ! (cd -- "$CONSOLE" && npm run build) >>"$INSTALL_LOG" 2>&1; then
        show_log
        say "the console could not be built; see above"
        return 1
    fi
    printf '%s\n' "$now" >"$CONSOLE_STAMP"
    say "built the console in $((SECONDS - started)) s"
}
