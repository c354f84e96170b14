#!/usr/bin/env bash
# Accuracy of the demo model on a held-out question set, with confidence intervals: of the model in the tree and,
# where its checkpoint is at hand, of every type that the converter offers. Called by `make demo-eval`, which has
# built the programs.
#
# DATA              folder of the question set; generated if absent (default TARGET/demo-eval/data)
# QUESTIONS, SEED   how many questions to generate, and from which seed (default 2000 and 2024)
# DEMO_CHECKPOINT   folder with language/ and tower/, the checkpoint that the demo model was converted from
# REFERENCE         answers.jsonl of another implementation to the same questions: scored and compared
# TYPES             types to convert the checkpoint to (default: all)
# EVAL_ARGS         more arguments for demo-eval, such as "--markdown" or "--limit 200"
# PYTHON            interpreter that generates the set (default python3)
set -euo pipefail
cd "$(dirname "$0")/.."

target=${1:-target}
bin=$target/release
out=$target/demo-eval
model=models/demo
generator=$model/train/make_eval.py
requirements=$model/train/requirements.txt
python=${PYTHON:-python3}
data=${DATA:-$out/data}
questions=${QUESTIONS:-2000}
seed=${SEED:-2024}
read -ra types <<<"${TYPES:-f32 f16 bf16 q8_0 q6_k q5_k_m q4_k_m q4_0}"
read -ra more <<<"${EVAL_ARGS:-}"
# A variable given to make arrives here too: empty means not given.
checkpoint=${DEMO_CHECKPOINT:-}
reference=${REFERENCE:-}

say() { printf 'demo-eval: %s\n' "$*" >&2; }

die() {
    say "$@"
    exit 1
}

# Written beside its place and moved there whole: what is interrupted is not taken for a set.
generate() {
    command -v "$python" >/dev/null 2>&1 ||
        die "no question set in $data, and no $python to generate one: install Python 3.10 or newer (Debian," \
            "Ubuntu: apt-get install python3 python3-pip), name another with PYTHON=..., or give a set with DATA=DIR"
    [ -e "$generator" ] || die "no question set in $data, and no $generator to generate one: give a set with DATA=DIR"
    say "generating $questions questions from seed $seed into $data"
    rm -rf "$data.part"
    mkdir -p "$(dirname "$data")"
    "$python" "$generator" --out "$data.part" --questions "$questions" --seed "$seed" ||
        die "the questions could not be generated; if a Python package is missing:" \
            "$python -m pip install -r $requirements"
    mv "$data.part" "$data"
}

# convert TYPE: all parts of the checkpoint in one type.
convert() {
    "$bin/gpt4roi-convert" convert "$checkpoint/language" --clip "$checkpoint/tower" --out "$out" --name demo \
        --llm "$1" --vision "$1" --region "$1"
}

# The model in the tree: one language model, one mmproj file.
shipped() {
    local file llm= mmproj=
    for file in "$model"/*.gguf; do
        case $file in
        "$model"/mmproj*) mmproj=$file ;;
        *) llm=$file ;;
        esac
    done
    if [ -e "$llm" ] && [ -e "$mmproj" ]; then echo "shipped=$llm,$mmproj"; fi
}

[ -e "$data/questions.jsonl" ] || [ ! -e "$data" ] || die "$data is there, but has no questions.jsonl: remove it"
[ -e "$data" ] || generate
mkdir -p "$out"

args=(--data "$data" --answers-out "$out/answers.jsonl")
pair=$(shipped)
if [ -n "$pair" ]; then args+=(--pair "$pair"); fi
if [ -n "$checkpoint" ]; then
    for part in language tower; do
        [ -e "$checkpoint/$part/config.json" ] || die "no $part/config.json in DEMO_CHECKPOINT=$checkpoint"
    done
    for type in "${types[@]}"; do
        convert "$type" >&2
        label=$(printf %s "$type" | tr "[:lower:]" "[:upper:]") # as in the names of files
        args+=(--pair "$type=$out/demo-$label.gguf,$out/mmproj-demo-$label.gguf")
    done
elif [ -n "$pair" ]; then
    say "only the model in $model: set DEMO_CHECKPOINT to compare all types of its checkpoint"
else
    die "no model in $model: set DEMO_CHECKPOINT to a checkpoint folder with language/ and tower/"
fi
if [ -n "$reference" ]; then args+=(--reference "$reference"); fi

"$bin/demo-eval" "${args[@]}" ${more[@]+"${more[@]}"}
