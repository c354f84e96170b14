#!/usr/bin/env bash
# Makes sure that what the build needs is there: CMake, a C++ compiler, and libclang with its headers
# (bindgen reads llama.cpp's headers with it). Installs what is missing with the system's package manager,
# says so, and says what to do by hand where it cannot. Does nothing when everything is there.
#
#   scripts/setup.sh           install what is missing
#   scripts/setup.sh --check   only say what is missing; exit status 1 if anything is
set -uo pipefail
shopt -s nullglob

say() { printf 'setup: %s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }

# A compiler without its standard library is as good as none, so this compiles and links a program.
has_cxx() {
    local out status
    out=$(mktemp) || return 1
    printf '#include <cstdio>\n#include <string>\nint main() { return std::string("x").size() != 1; }\n' |
        "${CXX:-c++}" -std=c++17 -x c++ - -o "$out" >/dev/null 2>&1
    status=$?
    rm -f "$out"
    return $status
}

has_cc() { have "${CC:-cc}"; }

# Where bindgen looks for libclang, in its order.
libclang_dirs() {
    if [ -n "${LIBCLANG_PATH:-}" ]; then
        if [ -d "$LIBCLANG_PATH" ]; then echo "$LIBCLANG_PATH"; else dirname "$LIBCLANG_PATH"; fi
    fi
    if have llvm-config; then llvm-config --libdir; fi
    printf '%s\n' /usr/lib/llvm-*/lib /usr/lib/llvm*/lib /usr/lib64/llvm*/lib /usr/lib/*-linux-*/ /usr/lib64 \
        /usr/lib /usr/local/lib /usr/local/lib64 /opt/homebrew/opt/llvm*/lib /usr/local/opt/llvm*/lib \
        /Library/Developer/CommandLineTools/usr/lib \
        /Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib
}

has_libclang() {
    local dir found
    while read -r dir; do
        found=("$dir"/libclang.so "$dir"/libclang.so.* "$dir"/libclang-*.so* "$dir"/libclang.dylib)
        for lib in "${found[@]}"; do
            case $lib in *libclang-cpp*) continue ;; esac
            [ -e "$lib" ] && return 0
        done
    done < <(libclang_dirs)
    return 1
}

# stdbool.h and its like come with clang, not with the C library.
has_clang_headers() {
    local headers dir
    if have clang && [ -e "$(clang -print-resource-dir 2>/dev/null)/include/stdbool.h" ]; then return 0; fi
    while read -r dir; do
        headers=("$dir"/clang/*/include/stdbool.h)
        [ ${#headers[@]} -gt 0 ] && return 0
    done < <(libclang_dirs)
    return 1
}

missing() {
    have cmake || echo cmake
    has_cc && has_cxx || echo c++
    has_libclang && has_clang_headers || echo libclang
}

# Runs a command with the rights to install packages.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif ! have sudo; then
        say "not root and no sudo: cannot run \`$*\`"
        return 1
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# apt's lists are absent on a fresh image and stale on an old one: fetched only when the first try fails.
apt_install() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120)
    as_root "${apt[@]}" install -y --no-install-recommends "$@" && return 0
    say "fetching the package lists and trying again"
    as_root "${apt[@]}" update && as_root "${apt[@]}" install -y --no-install-recommends "$@"
}

# install_with MANAGER THING...: the packages that carry the things, in each manager's names.
install_with() {
    local manager=$1 packages=()
    shift
    for thing in "$@"; do
        case $manager:$thing in
        *:cmake) packages+=(cmake) ;;
        apt-get:c++) packages+=(g++ libc6-dev) ;;
        apt-get:libclang) packages+=(clang libclang-dev) ;;
        dnf:c++) packages+=(gcc-c++) ;;
        dnf:libclang) packages+=(clang-devel) ;;
        pacman:c++) packages+=(gcc) ;;
        pacman:libclang) packages+=(clang) ;;
        apk:c++) packages+=(g++ musl-dev linux-headers) ;;
        apk:libclang) packages+=(clang-dev clang-libclang) ;;
        zypper:c++) packages+=(gcc-c++) ;;
        zypper:libclang) packages+=(clang-devel) ;;
        brew:c++ | brew:libclang) packages+=(llvm) ;;
        esac
    done
    say "installing ${packages[*]} with $manager"
    case $manager in
    apt-get) apt_install "${packages[@]}" ;;
    dnf) as_root dnf install -y "${packages[@]}" ;;
    pacman) as_root pacman -S --needed --noconfirm "${packages[@]}" ;;
    apk) as_root apk add "${packages[@]}" ;;
    zypper) as_root zypper --non-interactive install "${packages[@]}" ;;
    brew) brew install "${packages[@]}" ;;
    esac
}

by_hand() {
    cat >&2 <<'TEXT'
setup: please install by hand what is missing:
  cmake     CMake 3.14 or newer
  c++       a C and C++17 compiler (gcc 9, clang 10 or Apple clang 12, or newer) with its standard library
  libclang  libclang 9 or newer with clang's own headers (Debian, Ubuntu: clang libclang-dev; Fedora, SUSE:
            clang-devel; Arch: clang; macOS: xcode-select --install); if it lies in an unusual place, set
            LIBCLANG_PATH to the folder of libclang.so
TEXT
}

if ! have cargo; then
    say "cargo is not on the PATH: install Rust first (see the README)" >&2
    exit 1
fi

# Words, not an array: the bash of macOS has neither mapfile nor empty arrays under `set -u`.
lacks=$(missing | tr '\n' ' ')
[ -z "$lacks" ] && exit 0
say "missing for the build: $lacks"
[ "${1:-}" = --check ] && exit 1

manager=
for candidate in apt-get dnf pacman apk zypper brew; do
    if have "$candidate"; then manager=$candidate && break; fi
done
if [ -z "$manager" ]; then
    say "no known package manager (apt-get, dnf, pacman, apk, zypper, brew)" >&2
    by_hand
    exit 1
fi
# shellcheck disable=SC2086
install_with "$manager" $lacks || say "$manager reported a failure"

lacks=$(missing | tr '\n' ' ')
if [ -n "$lacks" ]; then
    say "still missing: $lacks" >&2
    by_hand
    exit 1
fi
say "done"
