#!/usr/bin/env bash
# Memory of the published models in several types, as `gpt4roi fit` computes it from files without weights: the table of
# docs/jetson.md. Called by `make fit-table`, which has built the programs.
#
# CTX, KV   context length (default 512) and type of the cache (default q8_0)
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${1:-target}/release
out=${1:-target}/fit
ctx=${CTX:-512}
kv=${KV:-q8_0}
rm -rf "$out"

# together MODEL MMPROJ OPTIONS...: MiB of a pair.
together() {
    "$bin/gpt4roi" fit --model "$1" --mmproj "$2" --ctx "$ctx" --kv-type "$kv" "${@:3}" |
        sed -n 's/^together *\([0-9.]*\) MiB$/\1/p'
}

printf 'MiB with a context of %s tokens and a cache of type %s:\n\n' "$ctx" "$kv"
printf '| model | language model | image side | usual | `--low-memory` |\n| --- | --- | --- | --- | --- |\n'
for preset in 7b 13b; do
    "$bin/gpt4roi-convert" synth --preset $preset --outline --out "$out/$preset" >/dev/null
    for types in q4_k_m:q4_k_m q4_k_m:q8_0 q4_k_m:f16 q5_k_m:q8_0 q6_k:q8_0 q8_0:q8_0 f16:f16; do
        llm=${types%:*} image=${types#*:}
        files=$out/$preset-$llm-$image
        "$bin/gpt4roi-convert" convert "$out/$preset/checkpoint" --clip "$out/$preset/clip" --out "$files" --name m \
            --llm "$llm" --vision "$image" --region "$image" --outline >/dev/null
        model=$(echo "$files"/m-*.gguf) mmproj=$(echo "$files"/mmproj-*.gguf)
        printf '| %s | %s | %s | %s | %s |\n' $preset "$llm" "$image" "$(together "$model" "$mmproj")" \
            "$(together "$model" "$mmproj" --low-memory)"
    done
done
rm -rf "$out"
