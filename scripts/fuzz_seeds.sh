#!/usr/bin/env bash
# Writes the seed corpora of the fuzz targets: small good inputs for the fuzzers to spoil. Called by
# `make fuzz-seeds`, which has built the programs.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${1:-target}/release
fuzz=tests/fuzz
seeds=$fuzz/seeds

rm -rf "$seeds"
for target in gguf mmproj image boxes dialogue checkpoint golden dialect; do mkdir -p "$fuzz/corpus/$target"; done
mkdir -p "$seeds"

"$bin/gpt4roi-convert" synth --preset tiny --out "$seeds"
"$bin/gpt4roi-convert" convert "$seeds/checkpoint" --clip "$seeds/clip" --out "$seeds" --name tiny \
    --llm q4_0 --vision q8_0 --region q8_0
mv "$seeds/tiny-Q4_0.gguf" "$seeds/model.gguf"
cp "$seeds/model.gguf" "$fuzz/corpus/gguf/"
cp "$seeds"/mmproj-tiny-*.gguf "$fuzz/corpus/gguf/"
cp "$seeds"/mmproj-tiny-*.gguf "$fuzz/corpus/mmproj/"

cp models/photos/coffee.jpg "$fuzz/corpus/image/"
# One-pixel PNG and BMP, so that every decoder is found soon.
printf '\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0\0\x02\0\x01H\xaf\xa4q\0\0\0\0IEND\xaeB`\x82' \
    >"$fuzz/corpus/image/one.png"
printf 'BM:\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0\0\0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\2\3\0' \
    >"$fuzz/corpus/image/one.bmp"

printf '10,20,300,400' >"$fuzz/corpus/boxes/pixels"
printf -- '-0.5, 1e3, .25, 7' >"$fuzz/corpus/boxes/odd"

printf 'What is <region1>?\nA cup.\nAnd <region2> beside region1?\nA spoon.\n' >"$fuzz/corpus/dialogue/two-rounds"
printf '<1> or <>?\nAssistant: yes\n###\n<region01> <region1>\n' >"$fuzz/corpus/dialogue/spellings"

# The first byte picks the file that is replaced, in the order of the target's table.
n=0
for file in checkpoint/{config.json,tokenizer.model,added_tokens.json,tokenizer_config.json} \
    checkpoint/{special_tokens_map.json,model.safetensors,model.safetensors.index.json,pytorch_model.bin} \
    clip/config.json; do
    if [ -e "$seeds/$file" ]; then
        # shellcheck disable=SC2059
        { printf "\\x0$n" && head -c 1000000 "$seeds/$file"; } >"$fuzz/corpus/checkpoint/${file//\//-}"
    fi
    n=$((n + 1))
done

printf '{"image":{"file":"image.png"},"rounds":[{"question":"What is <region1>?","new_boxes_px":[[1,2,3,4]],"prompt":"","input_ids":[1],"greedy_tokens":[2]}]}\0\x08\0\0\0\0\0\0\0{}      ' \
    >"$fuzz/corpus/golden/small"

# The first byte picks the dialect, in the order of `Dialect::ALL`; the seventh is none.
dialect=$fuzz/corpus/dialect
printf '\0{"v":1,"seq":0,"image":"a.png","detections":[{"box":[1,2,3,4],"label":"cup","track":4}]}\n{"cmd":"set","refresh":5}\n' >"$dialect/own"
printf '\1[{"name":"cup","class":1,"confidence":0.5,"box":{"x1":1,"y1":2,"x2":3,"y2":4},"track_id":2}]\n' >"$dialect/ultralytics"
printf '\2{"version":"4.0","id":"7","@timestamp":"2021-08-05T02:43:20.119Z","sensorId":"a","objects":["5|1|2|3|4|Car|#|sedan|0.5"]}\n' >"$dialect/deepstream"
printf '\3{"type":"new","after":{"id":"1.2-a","camera":"front","frame_time":3.5,"label":"dog","score":0.5,"box":[1,2,3,4]}}\n' >"$dialect/frigate"
printf '\4{"image_id":4,"category_id":1,"bbox":[1,2,3,4],"score":0.5}\n[{"image_id":5,"bbox":[1,2,3,4]}]\n' >"$dialect/coco"
printf '\0051,3,1,2,3,4,-1,-1,-1,-1\n2,-1,1,2,3,4,0.5\n' >"$dialect/mot"
printf '\006{"v":1,"detections":[]}\n' >"$dialect/recognised"
