#!/usr/bin/env bash
# What a sandbox's machine runs: a screen, and one gate with its browser. When the gate ends, the machine does.
#
# VALET_GATE_CONFIG names the gate's configuration, which the worker that made the machine wrote. A gate that ends with an error is told to the
# engine, where VALET_CALLBACK_URL and VALET_CALLBACK_TOKEN say how.
set -euo pipefail

CONFIG="${VALET_GATE_CONFIG:-/etc/valet/gate.json}"
OWN=/run/valet/gate.json
SCREEN=/tmp/.X11-unix/X99
SCREEN_TRIES=100 # of a tenth of a second

[[ -s $CONFIG ]] || {
    printf 'sandbox: there is no configuration at %s\n' "$CONFIG" >&2
    exit 1
}
install -d -m 0755 /run/valet
install -d -m 1777 /tmp/.X11-unix
# It holds the gate's secret: nobody else's to read.
install -m 0400 -o sandbox -g sandbox "$CONFIG" "$OWN"
rm -rf -- /var/lib/valet/sandbox
for part in profile uploads downloads logs home; do
    install -d -m 0700 -o sandbox -g sandbox /var/lib/valet/sandbox "/var/lib/valet/sandbox/$part"
done

as_sandbox() {
    exec setpriv --reuid=sandbox --regid=sandbox --init-groups \
        env HOME=/home/sandbox VALET_SANDBOX_DIR=/var/lib/valet/sandbox "$@"
}

# The screen's programs are no friends of the engine's: its token is not theirs to know.
env -u VALET_CALLBACK_URL -u VALET_CALLBACK_TOKEN supervisord -c /etc/valet/supervisord.conf &
around=$!
for ((tries = 0; tries < SCREEN_TRIES; tries++)); do
    [[ -S $SCREEN ]] && break
    sleep 0.1
done

as_sandbox valet gate --config "$OWN" &
gate=$!
trap 'kill -TERM "$gate" 2>/dev/null || true' TERM INT
# A signal ends a wait before the gate has ended.
while kill -0 "$gate" 2>/dev/null; do wait "$gate" || true; done
status=0
wait "$gate" || status=$?
if ((status != 0)) && [[ -n ${VALET_CALLBACK_URL:-} && -n ${VALET_CALLBACK_TOKEN:-} ]]; then
    # It gives up by itself, after some minutes.
    (as_sandbox valet sandbox-event error --id gate-ended --message "the gate ended with status $status") || true
fi
kill -TERM "$around" 2>/dev/null || true
wait "$around" 2>/dev/null || true
exit "$status"
