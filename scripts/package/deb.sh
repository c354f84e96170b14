#!/usr/bin/env bash
# Debian packages of the programs, in target/package: for amd64 and arm64, or those that are named.
#
#   scripts/package/deb.sh [ARCH...]
#
# DEBFULLNAME, DEBEMAIL   whom the package names as its maintainer (default: git's user, or the last commit's)
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/package/toolchain.sh
. scripts/package/toolchain.sh

version=$(version_of_sources)
maintainer="${DEBFULLNAME:-$(git log -1 --format=%an)} <${DEBEMAIL:-$(git log -1 --format=%ae)}>"
# Everything in the package is as old as the last commit, so that the same sources give the same package.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
now=$(date -uRd "@$SOURCE_DATE_EPOCH")

# The C++ library whose symbols are wanted: the numbers of gcc's releases.
gcc_of() {
    case $1 in
    3.4.30) echo 12 ;;
    3.4.29) echo 11 ;;
    *) echo 10 ;;
    esac
}

control() {
    local libc cxx
    libc=$(sed -n 's/^GLIBC //p' "$root/wanted")
    cxx=$(sed -n 's/^GLIBCXX //p' "$root/wanted")
    cat <<TEXT
Package: gpt4roi
Version: $version-1
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -sk --exclude DEBIAN "$root/deb" | cut -f 1)
Depends: libc6 (>= $libc), libgcc-s1, libstdc++6 (>= $(gcc_of "$cxx"))
Section: science
Priority: optional
Description: answers about boxes in an image, on this machine
 A runtime for GPT4RoI, a vision-language model that reads regions: every
 region of a question becomes one embedding, and the model answers in text. One
 process, no Python, weights mapped from two GGUF files.
 .
 The instructions that a processor has are found out when the program starts.
 A small model to try it with comes along: gpt4roi demo.
TEXT
}

changelog() {
    printf 'gpt4roi (%s-1) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- %s  %s\n' "$version" "$maintainer" "$now"
}

# doc NAME FILE: into the package's documentation, compressed as Debian wants it.
doc() { gzip -9nc "$2" >"$deb/usr/share/doc/gpt4roi/$1.gz"; }

documentation() {
    local deb=$1 share=$1/usr/share/doc/gpt4roi
    install -d "$share/examples"
    doc changelog CHANGELOG.md
    changelog | gzip -9nc >"$share/changelog.Debian.gz"
    install -m 644 README.md "$share"
    install -m 644 docs/stream.md "$share"
    install -m 644 examples/camera/detect.py examples/batch/* "$share/examples"
    scripts/package/copyright.sh >"$share/copyright"
    gzip -9n "$deb"/usr/share/man/man1/*.1
}

service() {
    install -D -m 644 examples/stream/gpt4roi-stream.service "$1/lib/systemd/system/gpt4roi-stream.service"
    install -D -m 644 examples/stream/gpt4roi-stream.default "$1/etc/default/gpt4roi-stream"
}

package() {
    local arch=$1 root=$target/package/$1 deb=$target/package/$1/deb
    scripts/package/stage.sh "$arch"
    rm -rf "$deb"
    install -d "$deb/DEBIAN"
    cp -a "$root/usr" "$deb"
    documentation "$deb"
    service "$deb"
    find "$deb" -type d -exec chmod 755 {} + -o -path '*/bin/*' -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
    control >"$deb/DEBIAN/control"
    echo /etc/default/gpt4roi-stream >"$deb/DEBIAN/conffiles"
    (cd "$deb" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$deb/DEBIAN/md5sums"
    dpkg-deb --root-owner-group -Zxz --build "$deb" "$target/package/gpt4roi_$version-1_$arch.deb" >&2
    rm -rf "$deb"
}

need dpkg-deb dpkg
if [ $# = 0 ]; then set -- amd64 arm64; fi
for arch; do package "$arch"; done
ls -l "$target"/package/*.deb
