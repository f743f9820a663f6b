#!/bin/sh
# oracle.sh SOURCE.{c,cc,cpp,rs} [LEVEL...]
#
# Builds a program optimized for wasm, steps it in the engine's code at each level (default: 2), and says which of the values
# that are shown are wrong, held against the native builds without and with optimization: see gdb/oracle.py.
# The environment is that of compare.sh; OPTIMIZE is the level of optimization (default: 2).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
source=$1
shift
[ $# -gt 0 ] || set -- 2
engine=${WASMSCOPE:-$here/../target/release/wasmscope}
optimize=${OPTIMIZE:-2}
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
"$here/gdb/native.sh" "$source" "$work/plain.json"
C_FLAGS="${C_FLAGS-} -O$optimize" RUST_FLAGS="${RUST_FLAGS-} -C opt-level=$optimize" \
    "$here/gdb/native.sh" "$source" "$work/optimized.json"
case $source in
*.c) clang-19 --target=wasm32-wasi -g -O$optimize ${C_FLAGS-} "$source" -o "$work/program.wasm" ;;
*.rs)
    name=$(basename "$(dirname "$source")" | tr -c 'a-zA-Z0-9\n' _)
    ${WASM_RUSTC:-/usr/bin/rustc} --target "${WASM_TARGET:-wasm32-wasi}" -g --edition 2021 --crate-name "$name" \
        -C opt-level=$optimize ${RUST_FLAGS-} "$source" -o "$work/program.wasm"
    ;;
*)
    clang++-19 --target=wasm32-wasi -g -O$optimize -std=c++17 -fno-exceptions ${C_FLAGS-} "$source" -o "$work/program.wasm"
    ;;
esac
for level; do
    "$here/gdb/jit.sh" "$engine" "$level" "$source" "$work/program.wasm" "$work/$level.json"
    printf 'opt-level %s: ' "$level"
    python3 "$here/gdb/oracle.py" "$work/$level.json" "$work/plain.json" "$work/optimized.json"
done
