#!/usr/bin/env bash
# Type-checks what is behind the features that want an SDK, cuda and metal, on machines without one. The build script of the
# bindings, which would compile llama.cpp, does not run: cargo takes the default build's bindings instead.
#
#   scripts/check_features.sh [TARGET]
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-target}

say() { printf 'features: %s\n' "$*"; }

host=$(rustc -vV | sed -n 's/^host: //p')
bindings=$(cargo build --release --workspace --message-format=json-render-diagnostics |
    grep '"reason":"build-script-executed"' | grep 'llama-cpp-sys-2' | sed -n 's/.*"out_dir":"\([^"]*\)".*/\1/p')
[ -e "$bindings/bindings.rs" ] || { say "the default build has left no bindings in '$bindings'" >&2; exit 1; }
for feature in cuda cuda-no-vmm metal; do
    say "$feature"
    CARGO_TARGET_DIR=$target/features RUSTFLAGS='-D warnings' cargo check -q --workspace --all-targets --features "$feature" \
        --config "target.$host.llama.rustc-env.OUT_DIR='$bindings'"
done
