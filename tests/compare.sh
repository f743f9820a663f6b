#!/bin/sh
# compare.sh [--debugger gdb|lldb] SOURCE.{c,cc,cpp,rs} [LEVEL...]
#
# Builds a program natively (-m32 for C and C++) and for wasm, steps both side by side from `main` to the end, the wasm
# build in the engine's code at each level (default: 0 and 2), and prints which share of the native stops is met and
# which share of the native variables reads the same.
#
# C_FLAGS and RUST_FLAGS are passed to both builds, WASM_FLAGS to the wasm build. WASM_RUSTC and NATIVE_RUSTC name the Rust
# compilers (default: the system's), WASM_TARGET what the first is asked for (default: wasm32-wasi; newer ones call it
# wasm32-wasip1). MORE_SOURCES are ends of paths of included files that are stepped through as well, separated by `:`,
# RECORD_LIMIT how many stops are recorded at most. WASMSCOPE names the engine's program (default: the release build of this
# workspace), DIFFERENCES how many differences are listed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1-}" = --debugger ]; then
    export DEBUGGER="$2"
    shift 2
fi
source=$1
shift
[ $# -gt 0 ] || set -- 0 2

engine=${WASMSCOPE-}
if [ -z "$engine" ]; then
    (cd "$here/.." && cargo build --quiet --release -p wasmscope --bin wasmscope)
    engine=${CARGO_TARGET_DIR:-$here/../target}/release/wasmscope
fi

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
case $source in
*.c) clang-19 --target=wasm32-wasi -g -O0 ${C_FLAGS-} ${WASM_FLAGS-} "$source" -o "$work/program.wasm" ;;
*.rs)
    name=$(basename "$(dirname "$source")" | tr -c 'a-zA-Z0-9\n' _)
    ${WASM_RUSTC:-/usr/bin/rustc} --target "${WASM_TARGET:-wasm32-wasi}" -g --edition 2021 --crate-name "$name" ${RUST_FLAGS-} \
        ${WASM_FLAGS-} "$source" -o "$work/program.wasm" 2>"$work/rustc.log" || { cat "$work/rustc.log" >&2; exit 1; }
    ;;
*)
    clang++-19 --target=wasm32-wasi -g -O0 -std=c++17 -fno-exceptions ${C_FLAGS-} ${WASM_FLAGS-} "$source" \
        -o "$work/program.wasm"
    ;;
esac
"$here/gdb/native.sh" "$source" "$work/native.json"

recordings=
for level; do
    "$here/gdb/jit.sh" "$engine" "$level" "$source" "$work/program.wasm" "$work/level$level.json"
    recordings="$recordings opt-level-$level=$work/level$level.json"
done
python3 "$here/gdb/compare.py" table "$work/native.json" $recordings --differences "${DIFFERENCES:-20}"
