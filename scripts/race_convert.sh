#!/usr/bin/env bash
# Races `gpt4roi-convert` against llama.cpp's own route on the same synthetic checkpoint: wall time, memory, and
# whether the language model's tensors come out byte for byte the same.
#
#   ours:       checkpoint -> NAME-TYPE.gguf and mmproj (one program, one pass)
#   reference:  checkpoint -> f16 GGUF (scripts/race/convert_reference.py, on gguf-py) -> llama_model_quantize
#
# Steps that are done are skipped, so an interrupted race goes on where it was; `rm -r` the folder to start again.
#
#   scripts/race_convert.sh [TARGET_DIR]
#   RACE_PRESET   7b (default), 13b or tiny
#   RACE_TYPES    types of the language model (default "q4_k_m q8_0")
#   RACE_DIR      working folder (default TARGET_DIR/race-PRESET); 7b needs 50 GB
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${1:-target}/release
preset=${RACE_PRESET:-7b}
types=${RACE_TYPES:-q4_k_m q8_0}
dir=${RACE_DIR:-${1:-target}/race-$preset}
table=$dir/results.tsv
python=$dir/venv/bin/python

mkdir -p "$dir"

# once STAMP COMMAND...: runs the command unless it was done before.
once() {
    local stamp=$dir/done-$1
    shift
    [ -e "$stamp" ] && return 0
    "$@" && touch "$stamp"
}

# Both sides start from the disk; only root may say so.
drop_caches() {
    sync
    if [ -w /proc/sys/vm/drop_caches ]; then echo 3 >/proc/sys/vm/drop_caches; fi
}

measured() {
    drop_caches
    "$python" scripts/race/measure.py "$table" "$@"
}

make_venv() {
    python3 -m venv "$dir/venv"
    "$dir/venv/bin/pip" -q install gguf==0.19.0 numpy==2.4.6 safetensors==0.8.0 sentencepiece==0.2.3
}

make_programs() { cargo build --release --workspace --examples; }

race() {
    local type=$1
    local label
    label=$(printf %s "$type" | tr "[:lower:]" "[:upper:]") # as in the names of files
    once "ours-$type" measured "gpt4roi-convert $type" \
        "$bin/gpt4roi-convert" convert "$dir/source/checkpoint" --clip "$dir/source/clip" --out "$dir" --name ours \
        --llm "$type" --vision f16 --region f16 || return 1
    once "reference-$type" measured "llama_model_quantize $type" \
        "$bin/examples/quantize_reference" "$dir/reference-f16.gguf" "$dir/quantised-$type.gguf" "$type" || return 1
    # The big files stay for a look when they differ.
    "$python" scripts/race/compare_gguf.py "$dir/ours-$label.gguf" "$dir/quantised-$type.gguf" \
        >"$dir/compare-$type.txt" || return 1
    rm -f "$dir/ours-$label.gguf" "$dir/quantised-$type.gguf" "$dir"/mmproj-ours-*.gguf
}

once venv make_venv
once programs make_programs
once checkpoint measured "synth $preset" "$bin/gpt4roi-convert" synth --preset "$preset" --out "$dir/source"
once f16 measured "gguf-py f16" "$python" scripts/race/convert_reference.py "$dir/source/checkpoint" "$dir/reference-f16.gguf"
failed=0
for type in $types; do
    once "race-$type" race "$type" || failed=1
    if [ -e "$dir/compare-$type.txt" ]; then printf '%s: ' "$type" && tail -n 1 "$dir/compare-$type.txt"; fi
done

printf '\nstep\twall s\tCPU s\tpeak resident MiB\tpeak anonymous MiB\n' | cat - "$table" | expand -t 32,42,52,72
exit $failed
