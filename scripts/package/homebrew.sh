#!/usr/bin/env bash
# The sources of the last commit as an archive, and Homebrew's formula for it, both in target/package.
#
#   scripts/package/homebrew.sh URL     where the archive will lie, its name included
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/package/toolchain.sh
. scripts/package/toolchain.sh

[ $# = 1 ] || die "say where the archive will lie: scripts/package/homebrew.sh https://.../gpt4roi-VERSION.tar.gz"
version=$(version_of_sources)
archive=$target/package/gpt4roi-$version.tar.gz
mkdir -p "$target/package"
git archive --format tar.gz --prefix "gpt4roi-$version/" --output "$archive" HEAD
sum=$(sha256sum "$archive" | cut -d ' ' -f 1)
sed -e "s|@URL@|$1|" -e "s|@SHA256@|$sum|" scripts/package/gpt4roi.rb >"$target/package/gpt4roi.rb"
if command -v ruby >/dev/null 2>&1; then ruby -c "$target/package/gpt4roi.rb" >&2; fi
ls -l "$archive" "$target/package/gpt4roi.rb"
