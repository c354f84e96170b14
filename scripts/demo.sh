#!/usr/bin/env bash
# From nothing to an answer. With the demo model in the tree: questions about a picture, and a picture of the answers.
# Without it: a synthetic checkpoint in the published layout, converted as a real one would be, asked about a box in
# a photo. Called by `make demo`, which has built the programs. SCENE chooses one of the demo model's scenes by
# name, or a fresh one by number.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${1:-target}/release
out=${1:-target}/demo
photo=models/photos/coffee.jpg
box=326,66,425,327 # the spoon

rm -rf "$out"
mkdir -p "$out"

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

if compgen -G 'models/demo/gpt4roi-demo-*.gguf' >/dev/null && compgen -G 'models/demo/mmproj-gpt4roi-demo-*.gguf' >/dev/null; then
    run "$bin/gpt4roi" demo --out "$out/gpt4roi-demo.png" ${SCENE:+--scene "$SCENE"}
    exit
fi

run "$bin/gpt4roi-convert" synth --preset tiny --out "$out/source"
run "$bin/gpt4roi-convert" convert "$out/source/checkpoint" --clip "$out/source/clip" --out "$out" --name tiny \
    --llm q8_0 --vision f16 --region f16
run "$bin/gpt4roi" ask --model "$out/tiny-Q8_0.gguf" --mmproj "$out/mmproj-tiny-F16.gguf" --image "$photo" \
    --box "$box" --greedy --max-tokens 24 "What is <region1>?"

cat <<'TEXT'

The words above are noise: the weights of this model are random numbers. The demo shows that the whole path
works, from a checkpoint through conversion to an answer about a box in a photo, not what a trained model says.
To ask a real one, convert the published weights as the README describes.
TEXT
