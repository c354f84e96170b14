# shellcheck shell=bash
# What the scripts for packages and for 64-bit Arm have in common: sourced, not run.
#
# use_toolchain ARCH    amd64 or arm64: sets the environment for cargo, and makes sure that the compilers are there
# bootstrap ARCH FOLDER ARGS...   a fresh Debian in a folder
# build ARCH CARGO...   cargo's arguments for a build with one set of features, into TARGET/TRIPLE

# shellcheck disable=SC2034
target=${CARGO_TARGET_DIR:-target}

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

die() {
    say "$@"
    exit 1
}

triple_of() {
    case $1 in
    amd64) echo x86_64-unknown-linux-gnu ;;
    arm64) echo aarch64-unknown-linux-gnu ;;
    *) die "no packages for $1: only for amd64 and arm64" ;;
    esac
}

# need PROGRAM PACKAGE...: installs the packages if the program is not there.
need() {
    local program=$1
    shift
    command -v "$program" >/dev/null 2>&1 && return 0
    say "no $program: installing $*"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120)
    if [ "$(id -u)" != 0 ]; then apt=(sudo "${apt[@]}"); fi
    "${apt[@]}" install -y --no-install-recommends "$@" >&2 ||
        { "${apt[@]}" update >&2 && "${apt[@]}" install -y --no-install-recommends "$@" >&2; } ||
        die "install $* by hand (Debian's names), then run this again"
}

# Rust's library for another target. rustup has it; other installations must bring it along.
need_rust_target() {
    local sysroot
    sysroot=$(rustc --print sysroot)
    [ -d "$sysroot/lib/rustlib/$1/lib" ] && return 0
    command -v rustup >/dev/null 2>&1 || die "no Rust library for $1 in $sysroot, and no rustup to fetch it"
    rustup target add "$1" || die "rustup could not fetch the Rust library for $1"
}

# The newest modules for Arm need SME, which gcc knows from version 14 on and clang from 18 on.
use_arm64() {
    need aarch64-linux-gnu-g++ gcc-aarch64-linux-gnu g++-aarch64-linux-gnu
    need clang-19 clang-19
    need_rust_target aarch64-unknown-linux-gnu
    local sysroot=/usr/aarch64-linux-gnu
    export CC_aarch64_unknown_linux_gnu=clang-19 CXX_aarch64_unknown_linux_gnu=clang++-19
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu="-isystem $sysroot/include"
    need qemu-aarch64-static qemu-user-static
    # A processor with dot products and half precision, but nothing newer.
    qemu="qemu-aarch64-static -L $sysroot -cpu ${QEMU_CPU:-cortex-a76}"
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=$qemu
}

use_toolchain() {
    local triple variable
    triple=$(triple_of "$1")
    # Instead of `target-cpu=native` from .cargo/config.toml; libraries are found from where the program lies.
    variable=${triple^^}
    # shellcheck disable=SC2016
    export "CARGO_TARGET_${variable//-/_}_RUSTFLAGS"='-C link-arg=-Wl,-rpath,$ORIGIN/../lib/gpt4roi'
    # llama.cpp's build: libraries that are called what they are called, that find each other, and need nothing else.
    export CMAKE_PLATFORM_NO_VERSIONED_SONAME=ON CMAKE_DISABLE_FIND_PACKAGE_OpenSSL=ON
    # shellcheck disable=SC2016
    export CMAKE_INSTALL_RPATH='$ORIGIN'
    if [ "$1" = arm64 ]; then use_arm64; fi
}

build() {
    local triple
    triple=$(triple_of "$1")
    shift
    "${CARGO:-cargo}" "$@" --release --workspace --features dynamic-cpu --target "$triple"
}

# llama_out ARCH: where llama.cpp was built, as cargo says; its libraries are in `lib`, its modules in `backends`.
llama_out() {
    build "$1" build --message-format json 2>/dev/null |
        sed -n 's/.*"build-script-executed".*#llama-cpp-sys-2@.*"out_dir":"\([^"]*\)".*/\1/p' | tail -n 1
}

# bootstrap ARCH FOLDER ARGS...: a fresh Debian of this machine's release, from its mirror.
bootstrap() {
    local uri codename arch=$1 folder=$2
    shift 2
    # shellcheck disable=SC2016
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    rm -rf "$folder"
    mmdebstrap --quiet --architectures="$arch" "$@" "$codename" "$folder" "$uri"
}

# wrap LIBRARIES PROGRAM SCRIPT: writes a script that runs the program, with QEMU where it is for Arm.
wrap() {
    install -d "$(dirname "$3")"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %s %q "$@"\n' "$(realpath "$1")" "${qemu:-}" "$(realpath "$2")" >"$3"
    chmod +x "$3"
}

version_of_sources() { sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1; }
