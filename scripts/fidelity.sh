#!/usr/bin/env bash
# Converts every golden checkpoint to f32 and to f16 and compares each stage of a run with the reference
# tensors. Called by `make fidelity`, which has built the programs.
#
# GPT4ROI_GOLDENS   folder of the goldens (default ../shared/goldens); each holds checkpoint/, clip/,
#                   golden.json and golden.safetensors, and may hold base/ and delta/
# GPT4ROI_DEVICE    where to compute (default cpu)
set -uo pipefail
cd "$(dirname "$0")/.." || exit

bin=${1:-target}/release
out=${1:-target}/fidelity
goldens=${GPT4ROI_GOLDENS:-../shared/goldens}
device=${GPT4ROI_DEVICE:-cpu}
failed=0
found=0

# check NAME TYPE GOLDEN SOURCE...: converts with SOURCE's arguments, then compares.
check() {
    local name=$1 type=$2 golden=$3
    local label
    label=$(printf %s "$type" | tr "[:lower:]" "[:upper:]") # as in the names of files
    shift 3
    printf '\n=== %s, %s files\n' "$name" "$type"
    "$bin/gpt4roi-convert" convert "$@" --clip "$golden/clip" --out "$out" --name "$name" \
        --llm "$type" --vision "$type" --region "$type" &&
        "$bin/gpt4roi" compare --model "$out/$name-$label.gguf" --mmproj "$out/mmproj-$name-$label.gguf" \
            --golden "$golden" --device "$device" || failed=1
}

rm -rf "$out"
mkdir -p "$out"
for golden in "$goldens"/*/; do
    golden=${golden%/}
    [ -e "$golden/golden.safetensors" ] || continue
    found=1
    name=$(basename "$golden")
    for type in f32 f16; do
        check "$name" "$type" "$golden" "$golden/checkpoint"
    done
    # The same model by the other door: base + delta must give what the merged checkpoint gives.
    if [ -d "$golden/base" ] && [ -d "$golden/delta" ]; then
        check "$name-delta" f32 "$golden" "$golden/delta" --base "$golden/base"
    fi
done

if [ $found = 0 ]; then
    echo "skipped: no goldens in $goldens (set GPT4ROI_GOLDENS to the folder that holds them)"
    exit 0
fi
rm -rf "$out"
if [ $failed = 0 ]; then echo "every golden within its bounds"; else echo "FAILED: a golden is out of its bounds"; fi
exit $failed
