#!/bin/sh
# Builds store.c with its debug info in other places. Needs Debian's clang-19, lld-19 and llvm-19, and
# `pip install ziglang==0.13.0`.
set -eu
cd "$(dirname "$0")/.."
here=layouts
flags="-g -fdebug-compilation-dir=. -O0"
link="-nostdlib -Wl,--no-entry"
object=$(mktemp -d)
trap 'rm -r "$object"' EXIT

# Split: units beside the module, and in a package.
for name in split package; do
    clang-19 --target=wasm32-unknown-unknown $flags -gdwarf-5 -gsplit-dwarf -c $here/store.c -o $here/$name.o
    clang-19 --target=wasm32-unknown-unknown $link $here/$name.o -o $here/$name.wasm
    rm $here/$name.o
done
llvm-dwp-19 $here/package.dwo -o $here/package.dwp
rm $here/package.dwo

# Separate: the module names the file, in another folder.
clang-19 --target=wasm32-unknown-unknown $flags $link $here/store.c -o "$object/whole.wasm"
mkdir -p $here/symbols
llvm-objcopy-19 --only-keep-debug "$object/whole.wasm" $here/symbols/separate.debug
printf '\026symbols/separate.debug' >"$object/name"
llvm-objcopy-19 --strip-debug --add-section=external_debug_info="$object/name" "$object/whole.wasm" $here/separate.wasm

clang-19 --target=wasm32-unknown-unknown $flags -fdebug-macro $link $here/store.c -o $here/macros.wasm

# 64-bit memories, with a table of 64-bit indices.
for optimized in 0 2; do
    clang-19 --target=wasm64-unknown-unknown $flags -O$optimized $link $here/store.c -o $here/wide-O$optimized.wasm
done

# As TinyGo lays it out: DWARF 4, the language and its names, the stack at the lowest addresses. Made from C by changing LLVM's
# own description, so that the DWARF is LLVM's.
clang-19 --target=wasm32-unknown-unknown -g -gdwarf-4 -fdebug-compilation-dir=. -O1 -S -emit-llvm $here/go/main.c -o - |
    sed -f $here/go/names.sed >"$object/go.ll"
clang-19 --target=wasm32-unknown-unknown -O1 $link -Wl,--stack-first "$object/go.ll" -o $here/go/go.wasm

# zig writes absolute paths: give it a place that is the same everywhere.
zig=$(python3 -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))')/zig
place=/tmp/wasmscope-zig/layouts
mkdir -p $place
cp $here/zig/list.zig $place
(cd $place && $zig build-exe -target wasm32-freestanding -O Debug -fno-entry --export=calculate --global-cache-dir $place/cache \
    --cache-dir $place/cache list.zig -femit-bin=list.wasm)
cp $place/list.wasm $here/zig/list.wasm
