#!/usr/bin/env bash
# Builds the programs for every processor of an architecture and lays out what a package installs, in
# target/package/ARCH/usr. It can be used from there, or from wherever the folder is moved to.
#
#   scripts/package/stage.sh amd64|arm64
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/package/toolchain.sh
. scripts/package/toolchain.sh

arch=${1:-$(dpkg --print-architecture)}
triple=$(triple_of "$arch")
root=$target/package/$arch
usr=$root/usr
# What the libraries may ask of the system at most: Ubuntu 22.04 has these, and with it JetPack 6.
declare -A newest=([GLIBC]=2.35 [GLIBCXX]=3.4.30 [CXXABI]=1.3.13)

libraries() {
    local out
    out=$(llama_out "$arch")
    [ -d "$out/backends" ] || die "no modules of ggml's CPU backend in $out: remove $target/$triple and build again"
    install -d "$usr/lib/gpt4roi"
    install -m 644 "$out"/lib/libggml.so "$out"/lib/libggml-base.so "$out"/lib/libllama.so "$out"/backends/*.so \
        "$usr/lib/gpt4roi"
}

programs() {
    install -d "$usr/bin"
    install -m 755 "$target/$triple/release/gpt4roi" "$target/$triple/release/gpt4roi-convert" "$usr/bin"
    "${triple/-unknown/}-strip" --strip-unneeded "$usr"/bin/* "$usr"/lib/gpt4roi/*
}

demo_model() {
    install -d "$usr/share/gpt4roi/demo/scenes"
    install -m 644 models/demo/README.md models/demo/*.gguf "$usr/share/gpt4roi/demo"
    install -m 644 models/demo/scenes/* "$usr/share/gpt4roi/demo/scenes"
}

# The pages are made of what the programs say.
pages() {
    local program
    for program in gpt4roi gpt4roi-convert pages; do
        wrap "$usr/lib/gpt4roi" "$target/$triple/release/$program" "$root/run/$program"
    done
    "$root/run/pages" --share "$usr/share" "$root/run/gpt4roi" "$root/run/gpt4roi-convert"
}

# The newest version of everything that the files want of the C and C++ libraries, a line each: GLIBC 2.34 and the like.
wanted() {
    local file
    for file in "$usr"/bin/* "$usr"/lib/gpt4roi/*; do
        "${triple/-unknown/}-objdump" -T "$file"
    done | sed -n 's/.*(\?\(GLIBC\|GLIBCXX\|CXXABI\)_\([0-9.]*\)).*/\1 \2/p' | sort -k 1,1 -k 2,2V -u |
        awk '{ newest[$1] = $2 } END { for (name in newest) print name, newest[name] }'
}

check_versions() {
    local name version
    wanted >"$root/wanted"
    while read -r name version; do
        printf '%s\n%s\n' "$version" "${newest[$name]}" | sort -CV ||
            die "$arch wants ${name}_$version, and Ubuntu 22.04 (JetPack 6) has ${newest[$name]}: build on an older system"
    done <"$root/wanted"
}

use_toolchain "$arch"
say "building for $arch"
build "$arch" build
rm -rf "$root"
libraries
programs
demo_model
check_versions
pages
say "$usr is complete: $(du -sh "$usr" | cut -f 1)"
