#!/usr/bin/env bash
# Questions about a picture, answered by the demo model, and a picture of the answers. Called by `make demo`, which has
# built the programs. SCENE chooses one of the demo model's scenes by name, or a fresh one by number.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${1:-target}/release
out=${1:-target}/demo

rm -rf "$out"
mkdir -p "$out"

demo=("$bin/gpt4roi" demo --out "$out/gpt4roi-demo.png" ${SCENE:+--scene "$SCENE"})
printf '$ %s\n' "${demo[*]}"
"${demo[@]}"
