#!/usr/bin/env bash
# Builds everything with CUDA; nvcc needs no GPU for that. Where the toolkit is missing, it is fetched from the Python package
# registry into the target folder (1.1 GB).
#
#   scripts/cuda.sh [TARGET]           builds
#   scripts/cuda.sh --test [TARGET]    builds for this machine's GPU, compares every stage on it, and measures
#
# CMAKE_CUDA_ARCHITECTURES   what to build for (default 87-real, Jetson Orin; with --test this machine's GPU). Others: 72-real
#                            Xavier (toolkit 12 or older), 90-real H100, 110-real Thor. Each takes tens of minutes of a few cores.
# CUDA_VERSION               toolkit to fetch (default 13.0)
set -euo pipefail
cd "$(dirname "$0")/.."

test=
if [ "${1:-}" = --test ]; then
    test=1
    shift
fi
target=${1:-target}
mkdir -p "$target/cuda"
work=$(cd "$target/cuda" && pwd)
version=${CUDA_VERSION:-13.0}

say() { printf 'cuda: %s\n' "$*"; }

# The wheels have shared libraries with version numbers only, and lack the static ones that the build script of the bindings
# names: the linker gets links to the former, and empty archives for the latter.
lay_out() {
    local root=$1 lib
    for lib in cudart cublas cublasLt nvrtc; do
        ln -sf "$(basename "$(echo "$root/lib/lib$lib.so."*)")" "$root/lib/lib$lib.so"
    done
    for lib in cublas_static cublasLt_static culibos; do
        [ -e "$root/lib/lib$lib.a" ] || ar rc "$root/lib/lib$lib.a"
    done
    ln -sfn lib "$root/lib64"
}

fetch_toolkit() {
    say "fetching nvcc $version"
    [ -x "$work/venv/bin/python" ] || python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install -q "cuda-toolkit[nvcc,cudart,crt,nvvm,cccl,cublas]==$version.*"
}

if command -v nvcc >/dev/null; then
    say "using $(command -v nvcc)"
    features=cuda
    [ -e /usr/lib/x86_64-linux-gnu/libcuda.so ] || features=cuda-no-vmm
else
    compgen -G "$work/venv/lib/python3*/site-packages/nvidia/cu*/bin/nvcc" >/dev/null || fetch_toolkit
    root=$(echo "$work"/venv/lib/python3*/site-packages/nvidia/cu*)
    lay_out "$root"
    export CUDA_PATH=$root CUDAToolkit_ROOT=$root CUDACXX=$root/bin/nvcc PATH=$root/bin:$PATH
    export RUSTFLAGS="${RUSTFLAGS:-} -L native=$root/lib -C link-arg=-lcublas -C link-arg=-lcublasLt -C link-arg=-Wl,-rpath,$root/lib"
    features=cuda-no-vmm
fi
if [ -n "$test" ]; then
    nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total --format=csv || { say "no NVIDIA GPU here" >&2; exit 1; }
    capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
    export CMAKE_CUDA_ARCHITECTURES=${CMAKE_CUDA_ARCHITECTURES:-$capability-real}
fi
export CMAKE_CUDA_ARCHITECTURES=${CMAKE_CUDA_ARCHITECTURES:-87-real}

# Other flags would have cargo build everything of the default build anew as well.
export CARGO_TARGET_DIR=$work/build
start=$SECONDS
cargo build --release --workspace --features "$features"
say "built for $CMAKE_CUDA_ARCHITECTURES in $((SECONDS - start)) s"
bin=$CARGO_TARGET_DIR/release
"$bin/gpt4roi" devices
[ -n "$test" ] || exit 0

GPT4ROI_DEVICE=cuda0 scripts/fidelity.sh "$CARGO_TARGET_DIR"
cargo test --release --workspace --features "$features" --test suite -- placement::
# The region path, and the language model against bare llama.cpp, as shares of the GPU's own measured peaks.
nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits --loop-ms=100 >"$work/memory.txt" &
watch=$!
trap 'kill $watch 2>/dev/null || true' EXIT
"$bin/gpt4roi" bench --preset 7b --llm-layers 32 --device cuda0 --regions 1,32
say "most memory in use: $(sort -n "$work/memory.txt" | tail -n 1) MiB"
