#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS (default 60). Needs a nightly compiler and cargo-fuzz.
set -euo pipefail
cd "$(dirname "$0")/../tests/fuzz"

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "fuzzing needs a nightly compiler and cargo-fuzz: cargo install cargo-fuzz --locked" >&2
    exit 1
fi
for target in gguf image boxes dialogue checkpoint golden mmproj dialect video dataset grammar json_schema; do
    cargo +nightly fuzz run "$target" -- -max_total_time="${FUZZ_SECONDS:-60}"
done
