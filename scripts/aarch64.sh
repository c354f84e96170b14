#!/usr/bin/env bash
# Builds everything for 64-bit Arm and tests it with QEMU in place of the processor: the kernels of ggml-ext, every stage
# against the goldens, and answers of the demo model against those of this machine's build. Called by
# `make aarch64-test`, which has built the programs for this machine.
#
# QEMU_CPU          processor to imitate (default cortex-a76: dot products and half precision)
# GPT4ROI_GOLDENS   as for scripts/fidelity.sh
# QUESTIONS         how many held-out questions the demo model is asked (default 6)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/package/toolchain.sh
. scripts/package/toolchain.sh

triple=$(triple_of arm64)
# Programs that run the other programs with QEMU, where scripts look for programs.
arm=$target/aarch64
questions=${QUESTIONS:-6}

# The test programs of ggml-ext, from what cargo says about all of them.
kernel_tests() {
    build arm64 test --no-run --lib --test suite --message-format json |
        sed -n 's/.*"manifest_path":"[^"]*\/ggml-ext\/Cargo.toml".*"test":true.*"executable":"\([^"]*\)".*/\1/p'
}

test_kernels() {
    local tests
    tests=$(kernel_tests)
    [ -n "$tests" ] || die "cargo names no tests of ggml-ext"
    for program in $tests; do
        say "running $(basename "$program")"
        wrap "$libraries" "$program" "$arm/release/test"
        "$arm/release/test" --quiet
    done
}

# A question on the command line, whose answer must be the same, and the first of the held-out ones. The demo model's weights
# have 8 bits: sums are rounded otherwise here than there, so a long answer may turn where two words are about as likely.
test_answers() {
    local bin there=$arm/answers-aarch64 here=$arm/answers-here differ
    for bin in "$target" "$arm"; do
        local out=$there
        if [ "$bin" = "$target" ]; then out=$here; fi
        "$bin/release/gpt4roi" ask --greedy --image tests/data/demo/images/000000.png --box "10,0,66,89" \
            "What is <region1>?" >"$out"
        "$bin/release/demo-eval" --data tests/data/demo --limit "$questions" --answers-out "$out.jsonl" >/dev/null
    done
    diff "$here" "$there" || die "the answer on Arm is another one"
    differ=$(diff "$here.jsonl" "$there.jsonl" | tee >(cat >&2) | grep -c '^>' || true)
    say "$differ of $questions held-out questions have another answer on Arm"
    [ $((differ * 5)) -le "$questions" ] || die "more than a fifth cannot be rounding"
}

use_toolchain arm64
build arm64 build
libraries=$(llama_out arm64)/lib
for program in gpt4roi gpt4roi-convert demo-eval; do
    wrap "$libraries" "$target/$triple/release/$program" "$arm/release/$program"
done
"$arm/release/gpt4roi" --version
test_kernels
scripts/fidelity.sh "$arm"
test_answers
