#!/usr/bin/env bash
# Builds everything with the feature `vulkan` and runs it on Mesa's lavapipe, which is a Vulkan device made of the CPU's
# threads: slow, and a real backend other than the CPU's. Its tests list where every node runs, compare stages with the
# goldens, and ask the demo model. Stock libmtmd is in the same build, and its tests with it, so that llama.cpp is not built a third
# time.
#
#   scripts/vulkan.sh --setup [TARGET]   installs what is missing (Debian, Ubuntu); exit status 1 if that fails
#   scripts/vulkan.sh [TARGET]           sets up, builds and tests
#
# GPT4ROI_VULKAN_DEVICE   number of the device (default 0; several are there if the machine has a GPU)
# FEATURES                of the tests' crate (default vulkan,mtmd); with mqtt, the tests with a broker run, too
set -euo pipefail
cd "$(dirname "$0")/.."

setup_only=
if [ "${1:-}" = --setup ]; then
    setup_only=1
    shift
fi
target=${1:-target}
mkdir -p "$target/vulkan"
work=$(cd "$target/vulkan" && pwd)
sdk=$work/sdk
# ggml's Vulkan backend uses an extension that headers before 1.3.264 do not know.
extension=VK_EXT_layer_settings

say() { printf 'vulkan: %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

has_packages() {
    command -v glslc >/dev/null && command -v vulkaninfo >/dev/null &&
        [ -e /usr/include/vulkan/vulkan.h ] && [ -e /usr/include/spirv/unified1/spirv.h ] &&
        compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null
}

install_packages() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120)
    local packages=(mesa-vulkan-drivers libvulkan-dev vulkan-tools glslc spirv-headers)
    say "installing ${packages[*]}"
    as_root "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >/dev/null && return 0
    as_root "${apt[@]}" update >/dev/null &&
        as_root "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >/dev/null
}

has_new_headers() { grep -qs "$extension" /usr/include/vulkan/vulkan_core.h; }

# The headers alone from the next release of Debian, unpacked beside the build: nothing is installed from there, and the
# system's own package lists stay as they are.
fetch_headers() {
    local mirror state=$sdk.apt keys=/usr/share/keyrings/debian-archive-keyring.gpg
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
    rm -rf "$state" "$sdk"
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/debs" "$sdk"
    echo "deb [signed-by=$keys] $mirror trixie main" >"$state/sources.list"
    local apt=(apt-get -q -o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::Lists=$state/lists" -o "Dir::Cache=$state/cache" -o APT::Sandbox::User=root)
    say "fetching newer headers"
    "${apt[@]}" update >/dev/null
    (cd "$state/debs" && "${apt[@]}" download libvulkan-dev spirv-headers >/dev/null)
    for deb in "$state"/debs/*.deb; do dpkg -x "$deb" "$state/unpacked"; done
    mv "$state/unpacked/usr"/* "$sdk"
    rm -rf "$state"
}

setup() {
    has_packages || install_packages
    has_packages || { say "glslc, vulkaninfo, a driver or headers are still missing" >&2; return 1; }
    has_new_headers || [ -e "$sdk/include/vulkan/vulkan.h" ] || fetch_headers
}

if ! command -v apt-get >/dev/null && ! has_packages; then
    say "install a Vulkan driver, loader, glslc, vulkaninfo and SPIR-V headers first: there is no apt-get here" >&2
    exit 1
fi
setup
if [ -n "$setup_only" ]; then exit 0; fi

if ! has_new_headers; then export VULKAN_SDK=$sdk CMAKE_PREFIX_PATH=$sdk; fi
# Shaders are compiled once, not by every process.
export MESA_SHADER_CACHE_DIR=$work/shaders

features=${FEATURES:-vulkan,mtmd}
tests=(cargo test --release -p gpt4roi-tests -p gpt4roi)
for feature in ${features//,/ }; do tests+=(--features "gpt4roi-tests/$feature"); done
tests+=(--test suite --)
# libmtmd is compared on the CPU: no device is named.
"${tests[@]}" interop::
# ggml passes over Vulkan devices that are CPUs unless they are named.
GPT4ROI_EXPECT_GPU=1 GGML_VK_VISIBLE_DEVICES=${GPT4ROI_VULKAN_DEVICE:-0} "${tests[@]}" placement::
case ,$features, in
*,mqtt,*) scripts/mqtt_test.sh ;;
esac
