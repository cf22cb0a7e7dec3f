#!/usr/bin/env bash
# Whether this sandbox can be used: its gate answers, its screen is there, and it is seen and shown. For a health check.
#
# A gate without a browser ends, and its machine with it: one that answers has a browser, or is about to.
set -euo pipefail

GATE_PORT="${VALET_GATE_PORT:-7400}"
SCREEN="${SANDBOX_SCREEN:-/tmp/.X11-unix/X99}"
VIEW_PORT="${SANDBOX_VIEW_PORT:-5900}"
WEB_PORT="${SANDBOX_WEB_PORT:-6080}"
ANSWER_MAX_S=5

# first_line PORT [REQUEST]: what is said there first.
first_line() {
    local line=
    {
        [[ -z ${2:-} ]] || printf '%s' "$2" >&3
        IFS= read -r -t "$ANSWER_MAX_S" line <&3 || true
    } 3<>"/dev/tcp/127.0.0.1/$1"
    printf '%s' "${line%$'\r'}"
} 2>/dev/null

page() { first_line "$1" "GET $2 HTTP/1.0"$'\r\n'"Host: localhost"$'\r\n\r\n'; }

wrong() {
    echo "$1"
    exit 1
}

[[ "$(page "$GATE_PORT" /)" == HTTP/1.?\ ???\ * ]] || wrong "the gate does not answer on port $GATE_PORT"
[[ -S $SCREEN ]] || wrong "there is no screen at $SCREEN"
[[ "$(first_line "$VIEW_PORT")" == RFB\ * ]] || wrong "the screen cannot be seen"
[[ "$(page "$WEB_PORT" /vnc.html)" == HTTP/1.?\ 200\ * ]] || wrong "nobody is shown the screen"
