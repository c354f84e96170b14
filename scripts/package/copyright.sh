#!/usr/bin/env bash
# The copyright file of the Debian package, on standard output.
set -euo pipefail
cd "$(dirname "$0")/../.."

# As a field of a Debian control file: indented, with a dot for an empty line.
field() { sed -e 's/^> \?//' -e 's/^[[:space:]]*$/./' -e 's/^/ /'; }

# What is linked in, a line each; our own crates have a path in place of a licence.
libraries() {
    cargo tree --locked --prefix none --edges normal --format '{p} ({l})' --package gpt4roi --package gpt4roi-convert |
        sed -n -e 's/ ([*])$//' -e 's/^\([^ ]*\) v\([^ ]*\) \((proc-macro) \)\?(\([^/].*\))$/ \1 \2: \4/p' | sort -u
}

holder=$(sed -n 's/^Copyright (c) //p' LICENSE-MIT)
cat <<TEXT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: gpt4roi
Comment:
 Models of other people that are run with these programs have licences of their own.
 .
 The programs contain, besides llama.cpp, these libraries from crates.io:
$(libraries)

Files: *
Copyright: $holder
License: MIT or Apache-2.0

Files: usr/lib/gpt4roi/*
Copyright: 2023-2026 The ggml authors
License: MIT

Files: usr/share/gpt4roi/demo/scenes/sprites.webp
 usr/share/gpt4roi/demo/scenes/picnic.jpg
 usr/share/gpt4roi/demo/scenes/desk.jpg
Copyright: Microsoft Corporation
License: MIT

Files: usr/share/gpt4roi/demo/scenes/street.jpg
 usr/share/gpt4roi/demo/scenes/sea.jpg
Copyright: Google Inc.
License: Apache-2.0

Files: usr/bin/gpt4roi
Copyright: $holder
 2020 The Inter Project Authors (the font in it)
License: OFL-1.1 and (MIT or Apache-2.0)

License: MIT
$(sed 1,4d LICENSE-MIT | field)

License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.

License: OFL-1.1
$(field <runtime/src/annotate/fonts/OFL.txt)
TEXT
