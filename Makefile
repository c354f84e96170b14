# Every command for working on this repository. `make help` lists them.
#
# One profile (release) and one feature set (the whole workspace) everywhere: llama.cpp takes minutes to build
# and `-p CRATE` can resolve other features for its build script, which would build it a second time.

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
# rustup's shell set-up may not have been read yet, as in a fresh container.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help setup build demo demo-eval demo-train test check fmt clippy docs fidelity fit-table interop vulkan-test check-features cuda cuda-test licences fuzz-check fuzz-seeds fuzz-smoke race bench bench-rivals bench-regions stream-soak mqtt-test detector-test service-test aarch64-test deb deb-check clean-demo

help: ## list these commands
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 16

setup: ## install what the build needs (cmake, C++ compiler, libclang) if it is missing
	@scripts/setup.sh

build: setup ## build everything, optimised
	$(CARGO) build --release --workspace

demo: build ## questions about a picture, answered and drawn (SCENE=NAME, or a number for a fresh scene)
	@scripts/demo.sh $(TARGET)

demo-eval: build ## accuracy of the demo model on held-out questions (DATA, DEMO_CHECKPOINT, REFERENCE: scripts/demo_eval.sh)
	@scripts/demo_eval.sh $(TARGET)

demo-train: build ## train the demo model from nothing and convert it (Python; hours on two cores: scripts/demo_train.sh)
	@scripts/demo_train.sh $(TARGET)

test: setup ## run every test
	$(CARGO) test --release --workspace

check: fmt clippy docs test ## what CI checks: formatting, lints, documentation, tests

fmt: ## formatting, without changing it
	$(CARGO) fmt --all --check

clippy: setup ## lints, warnings are errors
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings

docs: setup ## documentation of every crate, warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps

fidelity: build ## convert the golden checkpoints and compare every stage with the reference (GPT4ROI_GOLDENS)
	@scripts/fidelity.sh $(TARGET)

fit-table: build ## memory of the published models in several types, computed without weights (CTX, KV: scripts/fit_table.sh)
	@scripts/fit_table.sh $(TARGET)

interop: setup ## load and run our mmproj file in stock libmtmd (builds llama.cpp once more)
	$(CARGO) test --release -p gpt4roi-tests --features mtmd

vulkan-test: setup ## build with Vulkan and run stages, answers and placement on Mesa's CPU device (libmtmd's tests, too)
	@scripts/vulkan.sh $(TARGET)

check-features: build ## type-check what is behind the features cuda and metal, without an SDK
	@scripts/check_features.sh $(TARGET)

cuda: setup ## build with CUDA, no GPU needed (CMAKE_CUDA_ARCHITECTURES: scripts/cuda.sh)
	@scripts/cuda.sh $(TARGET)

cuda-test: setup ## build with CUDA, compare and measure on this machine's NVIDIA GPU
	@scripts/cuda.sh --test $(TARGET)

licences: ## licences of all dependencies against deny.toml
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --all-features check licenses bans sources; \
	else echo "cargo-deny is not installed: cargo install cargo-deny --locked"; exit 1; fi

fuzz-check: ## compile the fuzz targets with a stable compiler
	$(CARGO) check --release --manifest-path tests/fuzz/Cargo.toml --target-dir $(TARGET)

fuzz-seeds: build ## write the seed corpora of the fuzz targets
	@scripts/fuzz_seeds.sh $(TARGET)

fuzz-smoke: fuzz-seeds ## run each fuzz target for a minute (needs a nightly compiler and cargo-fuzz)
	@scripts/fuzz_smoke.sh

race: build ## convert a 7B-shaped checkpoint and race llama.cpp's own route (50 GB of disk, Python)
	@scripts/race_convert.sh $(TARGET)

bench: build ## time and share of the machine's peaks of every stage, at the published sizes (ARGS)
	@$(TARGET)/release/gpt4roi bench $(ARGS)

bench-rivals: build ## race the image side against PyTorch (GPT4ROI_REFERENCE, PYTHON: scripts/bench_rivals.sh)
	@scripts/bench_rivals.sh $(TARGET)

bench-regions: build ## race many regions at once against one at a time and crops (MODEL, MMPROJ: scripts/bench_regions.sh)
	@scripts/bench_regions.sh $(TARGET)

stream-soak: build ## feed `gpt4roi stream` for long and with broken frames (ARGS: target/release/stream-soak --help)
	@$(TARGET)/release/stream-soak $(ARGS)

mqtt-test: setup ## test `gpt4roi stream --mqtt` with a real broker (installs mosquitto if it is missing)
	@scripts/mqtt_test.sh

detector-test: build ## a real detector (OpenCV's, on a street scene) in front of `gpt4roi stream` (scripts/detector_test.sh)
	@scripts/detector_test.sh $(TARGET)

service-test: build ## boot a Debian in a container and kill the service of `gpt4roi stream` there (root; scripts/service_test.sh)
	@scripts/service_test.sh $(TARGET)

aarch64-test: build ## build for 64-bit Arm, and test kernels, stages and answers with QEMU (scripts/aarch64.sh)
	@scripts/aarch64.sh

deb: setup ## Debian packages for amd64 and arm64 (ARCH=one of them; docs/packages.md)
	@scripts/package/deb.sh $(ARCH)

deb-check: ## install and run a Debian package in a fresh Debian, on old and new processors (ARCH; root)
	@scripts/package/check.sh $(ARCH)

clean-demo: ## remove what demo, demo-eval and fidelity wrote
	rm -rf $(TARGET)/demo $(TARGET)/demo-eval $(TARGET)/fidelity
