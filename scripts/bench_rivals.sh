#!/bin/sh
# Races the image side against PyTorch on this machine: tests/reference/bench_rivals.py, which says what it needs.
#
# GPT4ROI_REFERENCE  the reference implementation, a Python file (tests/reference/README.md)
# PYTHON             a Python that has torch and torchvision (default: python3)
# THREADS            (default: one a processor)
# MODEL, MMPROJ      files of the 7B model's sizes, such as `make race` leaves: rows for the first token, and for
#                    llama.cpp's libmtmd, for which llama.cpp is built once more
# TOWERS             mmproj files of other types, of which the vision tower is raced, too
set -eu
target=$1
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}

if [ -z "${GPT4ROI_REFERENCE:-}" ]; then
    echo "bench-rivals: set GPT4ROI_REFERENCE to the reference implementation (tests/reference/README.md)" >&2
    exit 1
fi
if ! "$python" -c 'import torch, torchvision' 2>/dev/null; then
    echo "bench-rivals: $python lacks torch or torchvision: pip install torch torchvision, or set PYTHON" >&2
    exit 1
fi
set --
if [ -n "${MODEL:-}" ]; then
    (cd "$root" && cargo build --release -p gpt4roi-tests --features mtmd --bin mtmd-rival)
    set -- --model "$MODEL" --mmproj "${MMPROJ:?bench-rivals: MODEL without MMPROJ}" --mtmd "$target/release/mtmd-rival"
    # shellcheck disable=SC2086
    [ -z "${TOWERS:-}" ] || set -- "$@" --towers $TOWERS
fi
exec "$python" "$root/tests/reference/bench_rivals.py" --reference "$GPT4ROI_REFERENCE" \
    --gpt4roi "$target/release/gpt4roi" --threads "${THREADS:-$(nproc)}" "$@"
