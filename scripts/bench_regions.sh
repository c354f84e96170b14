#!/bin/sh
# Many regions of one picture at once, against one at a time, separate runs, and crops in llama.cpp's libmtmd (for
# which llama.cpp is built once more): bench-regions, which `make bench-regions` has built. And against PyTorch, if the
# reference is given: tests/reference/regions_rival.py.
#
# MODEL, MMPROJ  files of a model (default: the demo model)
# REGIONS        numbers of regions (default: 1,8,32,100)
# GPT4ROI_REFERENCE  the reference implementation, a Python file (tests/reference/README.md)
# PYTHON         a Python that has torch and torchvision (default: python3)
# SHAPE          of the model in PyTorch: demo, or 7b (default: 7b if MODEL is given)
# THREADS        (default: one a processor)
# TOKENS         of an answer at most; the rivals' have all of them (default: 24)
# ARGS           more arguments for bench-regions (bench-regions --help)
set -eu
target=$1
root=$(cd "$(dirname "$0")/.." && pwd)
model=${MODEL:-$root/models/demo/gpt4roi-demo-Q8_0.gguf}
if [ -n "${MODEL:-}" ]; then
    mmproj=${MMPROJ:?bench-regions: MODEL without MMPROJ}
else
    mmproj=$root/models/demo/mmproj-gpt4roi-demo-Q8_0.gguf
fi

(cd "$root" && cargo build --release -p gpt4roi-tests --features mtmd --bin mtmd-rival)
threads=${THREADS:-$(nproc)} tokens=${TOKENS:-24}
set --
if [ -n "${GPT4ROI_REFERENCE:-}" ]; then
    shape=${SHAPE:-$([ -n "${MODEL:-}" ] && echo 7b || echo demo)}
    "${PYTHON:-python3}" "$root/tests/reference/regions_rival.py" --reference "$GPT4ROI_REFERENCE" --shape "$shape" \
        --threads "$threads" --tokens "$tokens" > "$target/regions-rival.json"
    set -- --pytorch "$target/regions-rival.json"
fi
# shellcheck disable=SC2086 # several arguments
exec "$target/release/bench-regions" --model "$model" --mmproj "$mmproj" --mtmd "$target/release/mtmd-rival" \
    --threads "$threads" --tokens "$tokens" "$@" --regions "${REGIONS:-1,8,32,100}" ${ARGS:-}
