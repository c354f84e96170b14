#!/usr/bin/env bash
# Boots a fresh Debian in a container and runs the service of examples/stream there, as it is: it must answer, come back
# and answer again when it is killed (kill -9) and when it hangs (its watchdog), and stop in order. Needs root.
#
#   scripts/service_test.sh TARGET     # where the build is
#   scripts/service_test.sh --check    # only what systemd-analyze says of the unit; needs no root
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/package/toolchain.sh
. scripts/package/toolchain.sh

if [ "${1:-}" = --check ]; then
    need systemd-analyze systemd
    unit=examples/stream/gpt4roi-stream.service
    systemd-analyze verify --man=no "$unit"
    # Exposure in tenths: 2.0 is the end of what it calls safe.
    systemd-analyze security --offline=true --threshold=20 --no-pager "$unit" | tail -n 1
    exit
fi
target=$(realpath "${1:-$target}")
root=$target/service-test/root
patience=${PATIENCE:-300}

[ "$(id -u)" = 0 ] || die "a container can be booted by root only: run it with sudo"
need mmdebstrap mmdebstrap
need systemd-nspawn systemd-container

if [ ! -e "$root.ready" ]; then
    mkdir -p "$(dirname "$root")"
    bootstrap "$(dpkg --print-architecture)" "$root" --variant=minbase --include=systemd,systemd-sysv,libstdc++6,libgomp1
    touch "$root.ready"
fi
install -D -t "$root/usr/bin" "$target/release/gpt4roi"
install -D -m 644 -t "$root/usr/share/gpt4roi/demo" models/demo/*.gguf
install -D -m 644 -t "$root/usr/share/gpt4roi/demo/scenes" models/demo/scenes/*
install -D -m 644 -t "$root/etc/systemd/system" examples/stream/gpt4roi-stream.service

# In the container, when it has booted: what it finds out is in /said.
install -D -m 755 /dev/stdin "$root/usr/local/bin/try-service" <<'INSIDE'
#!/bin/bash
unit=gpt4roi-stream pipe=/run/gpt4roi/detections
frame='{"image":"/usr/share/gpt4roi/demo/scenes/picnic.jpg","detections":[{"box":[60,450,380,820],"track":TRACK}]}'
answers() { journalctl -u $unit -o cat | grep -c '"event":"answer"'; }
property() { systemctl show -P "$1" $unit; }
# within SECONDS WHAT CONDITION...
within() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "FAILED: $what, $(property ActiveState)"; journalctl -u $unit -o cat | tail -n 20; exit 1; }
        sleep 0.2
    done
    echo "$what: ok"
}
answered() { [ "$(answers)" -ge "$1" ]; }
again() { [ "$(property NRestarts)" = "$1" ] && [ "$(property ActiveState)" = active ]; }
ask() { echo "${frame/TRACK/$1}" >$pipe; }
main() { property MainPID; }

systemctl start $unit || echo "FAILED: it does not start"
ask 1
within 60 "an answer" answered 1
journalctl -u $unit -o cat | grep -m 1 '"event":"answer"'
systemctl kill -s KILL $unit
within 30 "back after kill -9" again 1
ask 2
within 60 "an answer after it" answered 2
kill -STOP "$(main)"
within 60 "back after hanging for longer than its watchdog waits" again 2
ask 3
within 60 "an answer after that" answered 3
systemctl stop $unit
[ "$(property Result)" = success ] && [ "$(property ExecMainStatus)" = 0 ] || { echo "FAILED: stopped with $(property Result)"; exit 1; }
journalctl -u $unit -o cat | grep '"event":"stats"' | tail -n 1
systemd-analyze security --no-pager $unit | tail -n 1
echo "stopped in order"
INSIDE
install -D -m 644 /dev/stdin "$root/etc/systemd/system/try-service.service" <<'UNIT'
[Unit]
After=multi-user.target
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=oneshot
ExecStart=/usr/local/bin/try-service
StandardOutput=truncate:/said
StandardError=inherit
[Install]
WantedBy=multi-user.target
UNIT
# The watchdog waits two minutes: here as many as are needed to see it.
install -D -m 644 /dev/stdin "$root/etc/systemd/system/gpt4roi-stream.service.d/test.conf" <<'DROPIN'
[Service]
WatchdogSec=10
DROPIN
rm -f "$root/said"
systemctl --root "$root" enable try-service.service 2>/dev/null
timeout "$patience" systemd-nspawn -q -D "$root" --private-network --register=no --keep-unit --boot \
    </dev/null >"$target/service-test/boot.log" 2>&1 || say "the container ended with exit code $?: see $target/service-test/boot.log"
[ -e "$root/said" ] || die "it did not boot: see $target/service-test/boot.log"
cat "$root/said"
grep -q '^stopped in order$' "$root/said"
