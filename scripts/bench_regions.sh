#!/bin/sh
# Many regions of one picture at once, against one at a time, separate runs, and crops in llama.cpp's libmtmd (for
# which llama.cpp is built once more): bench-regions, which `make bench-regions` has built.
#
# MODEL, MMPROJ  files of a model (default: the demo model)
# REGIONS        numbers of regions (default: 1,8,32,100)
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
# shellcheck disable=SC2086 # several arguments
exec "$target/release/bench-regions" --model "$model" --mmproj "$mmproj" --mtmd "$target/release/mtmd-rival" \
    --regions "${REGIONS:-1,8,32,100}" ${ARGS:-}
