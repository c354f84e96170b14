#!/usr/bin/env bash
# Tests `gpt4roi stream --mqtt` with a real broker: installs mosquitto, its clients and openssl if they are missing (apt-get
# alone; elsewhere by hand), and runs the tests that start it. Fails if anything cannot be had.
#
#   scripts/mqtt_test.sh [ARGS OF THE TESTS]
#
# FEATURES   of the tests' crate (default mqtt), to use a build that has others, too
set -euo pipefail
cd "$(dirname "$0")/.."
FEATURES=${FEATURES:-mqtt}

say() { printf 'mqtt_test: %s\n' "$*" >&2; }
# Distributions put the broker where only root looks for programs.
PATH=$PATH:/usr/sbin:/usr/local/sbin

missing() {
    command -v mosquitto >/dev/null || echo mosquitto
    command -v mosquitto_passwd >/dev/null || echo mosquitto
    command -v mosquitto_pub >/dev/null && command -v mosquitto_sub >/dev/null || echo mosquitto-clients
    command -v openssl >/dev/null || echo openssl
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

lacks=$(missing | sort -u | tr '\n' ' ')
if [ -n "$lacks" ]; then
    say "missing: $lacks"
    if command -v apt-get >/dev/null; then
        apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120)
        # shellcheck disable=SC2086
        as_root "${apt[@]}" install -y --no-install-recommends $lacks ||
            { as_root "${apt[@]}" update && as_root "${apt[@]}" install -y --no-install-recommends $lacks; }
    fi
    lacks=$(missing | sort -u | tr '\n' ' ')
    if [ -n "$lacks" ]; then
        say "still missing: $lacks- please install by hand"
        exit 1
    fi
fi

with_mqtt=(--release -p gpt4roi-tests -p gpt4roi)
for feature in ${FEATURES//,/ }; do with_mqtt+=(--features "gpt4roi-tests/$feature"); done
# The program first: the tests run the one that lies there.
cargo build "${with_mqtt[@]}" --bin gpt4roi
# The library's own tests of the connection, then those with the broker.
cargo test "${with_mqtt[@]}" --lib -- stream::mqtt
cargo test "${with_mqtt[@]}" --test suite -- mqtt:: "$@"
