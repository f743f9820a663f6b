#!/bin/sh
# step-all.sh FOLDER STEPS: single-steps programs of every kind and holds the frame table against each instruction.
#
# Prints a line a program and the sum. Debug builds of the workspace and of the example `frames` are taken from
# $TARGET_DIR (target). FOLDER holds sqlite-O0.wasm, sqlite-O2.wasm, lua-O2.wasm as tests/large/build.sh makes them.
set -eu
cd "$(dirname "$0")/.."
folder=$1 steps=$2
target=${TARGET_DIR:-target}/debug
total=0
wrong=0
# step NAME PROGRAM [ARGUMENT...]
step() {
    name=$1
    shift
    line=$("$target/step-check" --max-steps "$steps" -- "$@" 2>"$folder/step-all.log" | grep ' steps, ') || true
    echo "$name: $line"
    total=$((total + $(echo "$line" | sed 's/ steps.*//')))
    wrong=$((wrong + $(echo "$line" | sed 's/.* steps, \([0-9]*\) wrong.*/\1/')))
}
step "frames (tail calls, callbacks, traps, large frames)" "$target/examples/frames" 1000000
step "frames, not optimized" "$target/examples/frames" 1000000 none
step "frames, callbacks and traps" "$target/examples/frames" 1000000 speed crossings
step "frames, callbacks and traps, not optimized" "$target/examples/frames" 1000000 none crossings
step "sqlite -O0" "$target/wasmscope" run -g "$folder/sqlite-O0.wasm"
step "sqlite -O2" "$target/wasmscope" run -g "$folder/sqlite-O2.wasm"
step "lua -O2, for size" "$target/wasmscope" run -g --opt-level s "$folder/lua-O2.wasm"
step "C++ -O0, not optimized" "$target/wasmscope" run -g --opt-level 0 tests/programs/shapes/shapes.wasm
step "Rust" "$target/wasmscope" run -g tests/programs/inventory/inventory.wasm
step "C" "$target/wasmscope" run -g tests/programs/records/records.wasm
echo "$total steps, $wrong wrong"
[ "$wrong" -eq 0 ]
