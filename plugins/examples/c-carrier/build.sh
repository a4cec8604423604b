#!/bin/sh
# Builds the carrier as a component: `./build.sh [FOLDER]`, by default into `build` beside this file.
#
# It needs clang, lld and wasi-libc for wasm32 (Debian: clang lld wasi-libc libclang-rt-dev-wasm32), and
# `wit-bindgen` and `wasm-tools`; README.md says where from.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/build}
mkdir -p "$out"

# The types and the glue of the contract's world, as C.
wit-bindgen c "$here/../../wit" --world carrier-plugin --out-dir "$out/bindings"

# A reactor has no `main`: the host calls its exports. Of the libc only the allocator and the memory functions are
# used, so that nothing of WASI is imported. The stack stands first, where running over it traps, and is small,
# since all that an instance has is cleared for every batch.
${WASM_CC:-clang} --target=wasm32-wasi -mexec-model=reactor -std=c11 -O2 -flto -Wall -Wextra \
    -I "$out/bindings" \
    -Wl,--stack-first,-z,stack-size=65536,--strip-all,--gc-sections,--lto-O2 \
    -o "$out/c_carrier.core.wasm" \
    "$here"/src/*.c "$out/bindings/carrier_plugin.c" "$out/bindings/carrier_plugin_component_type.o"

wasm-tools component new "$out/c_carrier.core.wasm" --output "$out/c_carrier.wasm"
echo "built $out/c_carrier.wasm, $(wc -c < "$out/c_carrier.wasm") octets"
