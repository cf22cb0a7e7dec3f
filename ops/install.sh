# shellcheck shell=bash
# Installs what Valet needs and this machine lacks. Sourced by `ops/up` and `ops/test`, which set ROOT.
#
# Nothing that is there is touched, nothing is upgraded, and no service is left running or enabled: Valet starts
# its own Postgres and Redis (ops/stack). apt's words go to .valet/log/install.log.

POSTGRES_LEAST_MAJOR=15
REDIS_LEAST_MAJOR=7
RUST_LEAST_MINOR=94 # of 1.x, as in Cargo.toml's rust-version
GECKODRIVER_VERSION=0.37.1
GECKODRIVER_BUILD_MAX=30m # some minutes on two cores
CARGO_DENY_VERSION=0.20.2
MOTO_VERSION=5.2.1
MOTO_INSTALL_MAX=5m
CARGO_DENY_BUILD_MAX=15m # 92 s of one core
APT_ATTEMPTS=3
APT_LOCK_WAIT_S=300

INSTALL_LOG="$ROOT/.valet/log/install.log"
POLICY=/usr/sbin/policy-rc.d
POLICY_MARK='# valet: written while installing, removed afterwards'
CLUSTER_CONF=/etc/postgresql-common/createcluster.conf
CLUSTER_MARK='# valet: set while installing, removed afterwards'

say() { printf 'valet: %s\n' "$*" >&2; }
die() {
    printf 'valet: %s\n' "$@" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# The number before the first dot of the first version in a text: 15 of "postgres (PostgreSQL) 15.18 (Debian)".
major_in() {
    local text="$1"
    [[ $text =~ (v=|[[:space:]])([0-9]+)[.0-9a-z]* ]] && printf '%s\n' "${BASH_REMATCH[2]}"
}

at_least() { [[ -n ${1:-} && $1 -ge $2 ]]; }

# --- what is there -------------------------------------------------------------------------------------------------

have_postgres() {
    local program
    for program in /usr/lib/postgresql/*/bin/postgres "$(command -v postgres || true)"; do
        [[ -x $program && -x ${program%/*}/initdb ]] || continue
        if at_least "$(major_in "$("$program" --version)")" "$POSTGRES_LEAST_MAJOR"; then return 0; fi
    done
    return 1
}

have_redis() {
    local name
    for name in redis-server valkey-server; do
        has "$name" || continue
        if at_least "$(major_in "$("$name" --version)")" "$REDIS_LEAST_MAJOR"; then return 0; fi
    done
    return 1
}

# Ubuntu's chromium-browser without a snap is a script that asks for one.
have_browser() {
    local name
    for name in chromium google-chrome google-chrome-stable chromium-browser; do
        has "$name" || continue
        if grep -qs 'snap install' "$(command -v "$name")"; then continue; fi
        return 0
    done
    return 1
}

have_driver() { has chromedriver; }

# Ubuntu's is a script that runs the snap.
have_firefox() {
    has firefox-esr || { has firefox && ! grep -qs '/snap/bin' "$(command -v firefox)"; }
}

# Where cargo puts what is built here; `valet` looks there too.
tools_folder() { printf '%s\n' "${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/valet/tools"; }

have_geckodriver() { has geckodriver || [[ -x $(tools_folder)/bin/geckodriver ]]; }

# Tests drive both kinds of browser; otherwise only who asked for Firefox needs it.
wants_firefox() { [[ $1 == all || ${VALET_BROWSER:-} == firefox ]]; }

# Not only the compiler: without the C library's headers ring does not build.
have_compiler() { has cc && printf '#include <stdio.h>\n' | cc -E - >/dev/null 2>&1; }

have_certificates() { [[ -s /etc/ssl/certs/ca-certificates.crt ]]; }

# --- Rust ----------------------------------------------------------------------------------------------------------

rust_is_new_enough() {
    local version
    version="$(cargo --version 2>/dev/null)" || return 1
    [[ $version =~ ^cargo\ ([0-9]+)\.([0-9]+) ]] || return 1
    ((BASH_REMATCH[1] > 1 || BASH_REMATCH[2] >= RUST_LEAST_MINOR))
}

# A toolchain that is too old for the workspace is left as it is; a newer one is added and used for this run only.
ensure_rust() {
    if rust_is_new_enough; then return 0; fi
    if has rustup; then
        say "installing a Rust toolchain (1.$RUST_LEAST_MINOR or newer is needed) with rustup"
        if rustup toolchain install stable --profile minimal --component clippy --component rustfmt \
            >>"$INSTALL_LOG" 2>&1; then
            export RUSTUP_TOOLCHAIN=stable
            if rust_is_new_enough; then return 0; fi
        fi
        show_log
        die "rustup could not install a new enough toolchain; see above, then run this again"
    fi
    die "Rust 1.$RUST_LEAST_MINOR or newer is missing (found: $(cargo --version 2>/dev/null || echo none)). Install it with" \
        "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile default" \
        "and run this again. Behind a mirror set RUSTUP_DIST_SERVER and RUSTUP_UPDATE_ROOT first."
}

# --- geckodriver ---------------------------------------------------------------------------------------------------

# No distribution packages it; Mozilla publishes its source as a crate.
ensure_geckodriver() {
    if ! wants_firefox "$1" || have_geckodriver; then return 0; fi
    say "building geckodriver $GECKODRIVER_VERSION, which takes some minutes (log: ${INSTALL_LOG#"$ROOT"/})"
    if ! timeout "$GECKODRIVER_BUILD_MAX" cargo install geckodriver --version "$GECKODRIVER_VERSION" --locked \
        --root "$(tools_folder)" >>"$INSTALL_LOG" 2>&1; then
        show_log
        # Tests go on without what needs it, and say so.
        [[ $1 == all ]] || die "geckodriver could not be built; see above and $INSTALL_LOG, then run this again"
        say "geckodriver could not be built; see above"
    fi
}

# --- moto ---------------------------------------------------------------------------------------------------------

# A server that speaks as S3 does, for the tests of buckets; from PyPI, in a folder of its own.
moto_server() {
    local own
    own="$(tools_folder)/moto/bin/moto_server"
    if [[ -x $own ]]; then printf '%s\n' "$own"; else command -v moto_server; fi
}

ensure_moto() {
    local folder
    if moto_server >/dev/null; then return 0; fi
    folder="$(tools_folder)/moto"
    say "installing moto, a server for tests (log: ${INSTALL_LOG#"$ROOT"/})"
    if ! { python3 -m venv "$folder" && timeout "$MOTO_INSTALL_MAX" "$folder/bin/pip" install --quiet "moto[s3,server]==$MOTO_VERSION"; } \
        >>"$INSTALL_LOG" 2>&1; then
        rm -rf -- "$folder"
        return 1
    fi
}

# --- cargo-deny ----------------------------------------------------------------------------------------------------

have_cargo_deny() { has cargo-deny || [[ -x $(tools_folder)/bin/cargo-deny ]]; }

# Where it is, once it is there.
cargo_deny() { command -v cargo-deny || printf '%s\n' "$(tools_folder)/bin/cargo-deny"; }

# Only `ops/test` wants it. Its own profile optimises across all crates, which takes minutes; without any of that a check
# still takes seconds.
ensure_cargo_deny() {
    if have_cargo_deny; then return 0; fi
    say "building cargo-deny $CARGO_DENY_VERSION, which takes a minute or two (log: ${INSTALL_LOG#"$ROOT"/})"
    if env -u CARGO_TARGET_DIR CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 timeout "$CARGO_DENY_BUILD_MAX" cargo install cargo-deny \
        --version "$CARGO_DENY_VERSION" --locked --root "$(tools_folder)" >>"$INSTALL_LOG" 2>&1; then
        return 0
    fi
    show_log
    say "cargo-deny could not be built; see above"
    return 1
}

# --- apt -----------------------------------------------------------------------------------------------------------

# Runs a command as root with nothing asked; sudo drops the environment, so that env comes after it.
as_root() {
    if ((EUID == 0)); then
        env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

can_be_root() {
    ((EUID == 0)) && return 0
    has sudo || return 1
    sudo -n true 2>/dev/null && return 0
    # sudo may ask for a password where somebody can answer.
    [[ -t 0 && -t 2 ]] && sudo -v
}

show_log() {
    printf '  | %s\n' "the end of $INSTALL_LOG:" >&2
    tail -n 20 "$INSTALL_LOG" | sed 's/^/  | /' >&2
}

# Mirrors fail for moments, and another apt may hold the lock while a machine starts: both are waited out.
apt_get() {
    local attempt
    for ((attempt = 1; ; attempt++)); do
        if as_root apt-get -y -o "DPkg::Lock::Timeout=$APT_LOCK_WAIT_S" -o Acquire::Retries=3 \
            -o Dpkg::Options::=--force-confold "$@" >>"$INSTALL_LOG" 2>&1 </dev/null; then
            return 0
        fi
        ((attempt < APT_ATTEMPTS)) || return 1
        say "apt-get $1 failed, trying again ($attempt of $((APT_ATTEMPTS - 1)))"
        sleep $((attempt * 5))
    done
}

# The version of a package that apt would install, nothing when it has none.
candidate() { LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n '/(none)/d; s/^  Candidate: //p'; }

is_installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# Each of these adds to PACKAGES what brings one missing thing, or ends the program with advice.

add_postgres() {
    local newest
    newest="$(apt-cache search --names-only '^postgresql-[0-9]+$' | sed -n 's/^postgresql-\([0-9]*\) .*/\1/p' | sort -n | tail -n 1)"
    if ! at_least "$newest" "$POSTGRES_LEAST_MAJOR"; then
        die "this system offers Postgres ${newest:-none}, Valet needs $POSTGRES_LEAST_MAJOR or newer. Add https://wiki.postgresql.org/wiki/Apt," \
            "or set VALET_DATABASE_URL to a Postgres that runs elsewhere, and run this again."
    fi
    PACKAGES+=("postgresql-$newest")
}

add_redis() {
    local offered
    offered="$(candidate redis-server)"
    offered="${offered#*:}"
    if ! at_least "${offered%%.*}" "$REDIS_LEAST_MAJOR"; then
        die "this system offers Redis ${offered:-none}, Valet needs $REDIS_LEAST_MAJOR or newer. Add the repository of" \
            "https://redis.io/docs/latest/operate/oss_and_stack/install, or set VALET_REDIS_URL to a Redis that runs" \
            "elsewhere, and run this again."
    fi
    PACKAGES+=(redis-server)
}

add_browser() {
    if [[ $DISTRIBUTION == ubuntu ]]; then
        die "Ubuntu has no Chromium package, only a snap, whose sandbox cannot be driven from here. Install Google Chrome" \
            "(https://www.google.com/chrome, the .deb) and, into /usr/local/bin, the chromedriver of the same version" \
            "(https://googlechromelabs.github.io/chrome-for-testing), and run this again."
    fi
    have_browser || PACKAGES+=(chromium)
    have_driver || PACKAGES+=(chromium-driver)
    # A screen for browsers with a window: sites that refuse headless ones get those.
    command -v Xvfb >/dev/null 2>&1 || PACKAGES+=(xvfb)
}

add_firefox() {
    if [[ -z $(candidate firefox-esr) ]]; then
        die "this system has no package of Firefox that can be driven from here (Ubuntu's is a snap). Install Mozilla's own" \
            "(https://support.mozilla.org/kb/install-firefox-linux), and run this again."
    fi
    PACKAGES+=(firefox-esr)
}

# Newer systems package rustup; on others `ensure_rust` says what to do, for which curl is needed.
add_rust() {
    if [[ -n $(candidate rustup) ]]; then PACKAGES+=(rustup); else has curl || PACKAGES+=(curl); fi
}

# --- no services ---------------------------------------------------------------------------------------------------
#
# Debian starts and enables a service as its package is installed. While we install, policy-rc.d forbids starting,
# and postgresql-common is told not to make a cluster; both are put back as they were, also after a failure.

# Writes standard input to a file that belongs to root.
write_as_root() { as_root tee "$1" >/dev/null; }

forbid_services() {
    if [[ -e $POLICY ]] && ! grep -qsF "$POLICY_MARK" "$POLICY"; then
        as_root mv "$POLICY" "$POLICY.before-valet"
    fi
    printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" | write_as_root "$POLICY"
    as_root chmod 0755 "$POLICY"
}

allow_services() {
    if grep -qsF "$POLICY_MARK" "$POLICY"; then
        as_root rm -f "$POLICY"
    fi
    if [[ -e $POLICY.before-valet ]]; then
        as_root mv "$POLICY.before-valet" "$POLICY"
    fi
    if grep -qsF "$CLUSTER_MARK" "$CLUSTER_CONF"; then
        as_root sed -i "/^$CLUSTER_MARK/,+1d" "$CLUSTER_CONF"
    fi
}

# The last setting of a name counts, so that ours goes to the end and comes off again.
forbid_clusters() {
    grep -qsF "$CLUSTER_MARK" "$CLUSTER_CONF" && return 0
    printf '%s\ncreate_main_cluster = false\n' "$CLUSTER_MARK" | as_root tee -a "$CLUSTER_CONF" >/dev/null
}

# policy-rc.d keeps a service from starting now, this from starting with the machine.
disable_service() {
    if has systemctl; then as_root systemctl disable "$1" >>"$INSTALL_LOG" 2>&1 || true; fi
    if has update-rc.d; then as_root update-rc.d "$1" disable >>"$INSTALL_LOG" 2>&1 || true; fi
}

apt_install() {
    local package had_redis=no had_postgres=no
    is_installed redis-server && had_redis=yes
    is_installed postgresql-common && had_postgres=yes
    trap allow_services EXIT
    forbid_services
    for package in "$@"; do
        if [[ $package == postgresql-* ]]; then
            # First, so that its settings are there when the server's package asks them.
            apt_get install --no-install-recommends postgresql-common || fail_install postgresql-common
            forbid_clusters
        fi
    done
    apt_get install --no-install-recommends "$@" || fail_install "$*"
    if [[ $had_redis == no ]] && is_installed redis-server; then disable_service redis-server; fi
    if [[ $had_postgres == no ]] && is_installed postgresql-common; then disable_service postgresql; fi
    allow_services
    trap - EXIT
}

fail_install() {
    show_log
    die "apt-get failed on $1; see above and $INSTALL_LOG, then run this again"
}

# --- the whole -----------------------------------------------------------------------------------------------------

detect_system() {
    case "$(uname -s)" in
        Linux) ;;
        Darwin)
            die "Valet's private servers need Linux; on macOS run it in a Linux virtual machine or container, or install" \
                "    brew install rustup postgresql@16 redis && brew install --cask chromium chromedriver" \
                "start both servers, set VALET_DATABASE_URL and VALET_REDIS_URL, and run: cargo run --release -p valet -- up"
            ;;
        *) die "$(uname -s) is not supported; use Debian or Ubuntu" ;;
    esac
    DISTRIBUTION=other
    local ids=""
    # shellcheck disable=SC1091 # a file of the system
    [[ -r /etc/os-release ]] && ids=" $(. /etc/os-release && printf '%s %s' "${ID:-}" "${ID_LIKE:-}") "
    case "$ids" in
        *' ubuntu '*) DISTRIBUTION=ubuntu ;;
        *' debian '*) DISTRIBUTION=debian ;;
    esac
}

# One word for each thing that is missing. "all" wants the servers even when others are named: tests start their own.
missing() {
    if [[ $1 == all || -z ${VALET_DATABASE_URL:-} ]] && ! have_postgres; then echo postgres; fi
    if [[ $1 == all || -z ${VALET_REDIS_URL:-} ]] && ! have_redis; then echo redis; fi
    if ! have_browser || ! have_driver; then echo browser; fi
    if wants_firefox "$1" && ! have_firefox; then echo firefox; fi
    if ! have_compiler; then echo compiler; fi
    if ! have_certificates; then echo certificates; fi
    if ! rust_is_new_enough && ! has rustup; then echo rust; fi
}

# install_missing all|configured: on return everything is there, or the program has ended with advice.
install_missing() {
    detect_system
    mkdir -p -- "$ROOT/.valet/log" || die "cannot make $ROOT/.valet; run this as the owner of that directory"
    local home="${CARGO_HOME:-${HOME:-/root}/.cargo}" lacking
    if [[ -d $home/bin ]]; then PATH="$PATH:$home/bin"; fi
    lacking="$(missing "$1")"
    if [[ -n $lacking ]]; then install_with_apt "$lacking"; fi
    # An installation that was killed left them forbidden.
    if grep -qsF "$POLICY_MARK" "$POLICY" && can_be_root; then allow_services; fi
    ensure_rust
    ensure_geckodriver "$1"
    lacking="$(missing "$1")"
    [[ -z $lacking ]] || die "still missing after the installation: ${lacking//$'\n'/, }; see $INSTALL_LOG"
}

install_with_apt() {
    local one what="${1//$'\n'/, }"
    if [[ $DISTRIBUTION == other ]] || ! has apt-get; then
        # Rust has its own advice, which holds everywhere.
        [[ $what != rust ]] || return 0
        die "missing: $what. Only Debian and Ubuntu are installed on automatically; install with this system's own tools:" \
            "Postgres $POSTGRES_LEAST_MAJOR+, Redis $REDIS_LEAST_MAJOR+, Chromium with chromedriver, a C compiler, CA certificates. Then run this again."
    fi
    if ! can_be_root; then
        [[ $what != rust ]] || return 0
        die "missing: $what. Installing needs root: run this as root, or make sudo work, and run it again."
    fi
    say "missing: $what"
    printf '== %s: missing %s\n' "$(date -u +%FT%TZ)" "$what" >>"$INSTALL_LOG"
    say "updating the package lists"
    # A mirror that is not needed may be broken; without this option apt would also pass over one that is.
    if ! apt_get update -o APT::Update::Error-Mode=any; then
        show_log
        say "some package lists could not be updated, see above; going on with what there is"
    fi
    PACKAGES=()
    for one in $1; do
        case "$one" in
            postgres) add_postgres ;;
            redis) add_redis ;;
            browser) add_browser ;;
            firefox) add_firefox ;;
            compiler) PACKAGES+=(gcc libc6-dev) ;;
            certificates) PACKAGES+=(ca-certificates) ;;
            rust) add_rust ;;
        esac
    done
    if ((${#PACKAGES[@]} == 0)); then return 0; fi
    say "installing ${PACKAGES[*]} (log: ${INSTALL_LOG#"$ROOT"/})"
    apt_install "${PACKAGES[@]}"
}
