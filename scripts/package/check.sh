#!/usr/bin/env bash
# Installs a package that scripts/package/deb.sh has made into a fresh Debian, and runs it there; then on old and new
# processors, which QEMU imitates: all must give the same answer, each with the module that is meant for it. Of another
# architecture than this machine's, the package is unpacked rather than installed. Needs root.
#
#   scripts/package/check.sh [ARCH]
#
# PROCESSORS   processors for QEMU, each with the module that it must take: "cortex-a76:armv8.2_2 max:"
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/package/toolchain.sh
. scripts/package/toolchain.sh

host=$(dpkg --print-architecture)
arch=${1:-$host}
root=$target/package/root-$arch
question=(ask --greedy --image tests/data/demo/images/000000.png --box "10,0,66,89" 'What is <region1>?')
# Processors, and the module for each; of `max`, which is all that QEMU knows, any.
case $arch in
amd64) qemu=qemu-x86_64-static processors=(core2duo:x64 Nehalem:sse42 Haswell:haswell max:) ;;
arm64) qemu=qemu-aarch64-static processors=(cortex-a53:armv8.0_1 cortex-a76:armv8.2_2 max:) ;;
*) die "no packages for $arch" ;;
esac

if [ -n "${PROCESSORS:-}" ]; then read -ra processors <<<"$PROCESSORS"; fi

package=$(find "$target/package" -name "gpt4roi_*_$arch.deb" 2>/dev/null | sort -V | tail -n 1)
[ -n "$package" ] || die "no package for $arch in $target/package: run \`scripts/package/deb.sh $arch\` first"
[ "$(id -u)" = 0 ] || die "a fresh Debian can be set up by root only: run it with sudo"

# inside COMMAND...: there, where programs find out from /proc where they lie. The mount ends with the command.
inside() {
    # shellcheck disable=SC2016
    unshare --mount sh -c 'mount --bind /proc "$0/proc" && exec chroot "$0" "$@"' "$root" "$@"
}

installed() {
    bootstrap "$arch" "$root" --variant=minbase --include=libstdc++6,man-db,systemd
    cp "$package" "$root/gpt4roi.deb"
    inside dpkg -i /gpt4roi.deb
    say "running it in $root"
    inside gpt4roi --version
    inside gpt4roi-convert --version
    inside gpt4roi demo --out /tmp/demo.png
    inside man -w gpt4roi gpt4roi-ask gpt4roi-convert
    inside systemd-analyze verify gpt4roi-stream.service
    lacking
}

unpacked() {
    bootstrap "$arch" "$root" --variant=extract --include=libstdc++6
    dpkg-deb -x "$package" "$root"
}

# Without its modules the program says so.
lacking() {
    local said lib
    install -d "$root/lacking/bin" "$root/lacking/lib/gpt4roi"
    cp "$root/usr/bin/gpt4roi" "$root/lacking/bin"
    for lib in libllama libggml libggml-base; do
        cp "$root/usr/lib/gpt4roi/$lib.so" "$root/lacking/lib/gpt4roi"
    done
    said=$(inside env GPT4ROI_DEMO_DIR=/usr/share/gpt4roi/demo /lacking/bin/gpt4roi demo 2>&1) &&
        die "without modules it should not run: $said"
    case $said in
    *"no module of ggml's CPU backend"*/lacking/lib/gpt4roi*) say "without modules: $(tail -n 1 <<<"$said")" ;;
    *) die "without modules it says: $said" ;;
    esac
}

# on PROCESSOR MODULE: the answer there.
on() {
    local answer module
    answer=$(GPT4ROI_LOG=warn,llama.cpp=info "$qemu" -cpu "$1" -L "$root" "$root/usr/bin/gpt4roi" "${question[@]}" \
        2>"$root/said") || die "on $1: $(tail -n 3 "$root/said")"
    module=$(sed -n 's/.*loaded CPU backend from .*libggml-cpu-\(.*\)\.so.*/\1/p' "$root/said")
    [ "${2:-$module}" = "$module" ] || die "on $1 it takes module $module, not $2"
    say "on $1, with module $module: $answer"
    echo "$answer"
}

need "$qemu" qemu-user-static
need mmdebstrap mmdebstrap
need lintian lintian
lintian --fail-on error "$package"
if [ "$arch" = "$host" ]; then installed; else unpacked; fi
for processor in "${processors[@]}"; do on "${processor%:*}" "${processor#*:}"; done | uniq >"$root/answers"
[ "$(wc -l <"$root/answers")" = 1 ] || die "answers differ: $(paste -sd ' ' "$root/answers")"
say "$package: in order"
