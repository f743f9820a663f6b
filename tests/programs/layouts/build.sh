#!/bin/sh
# Builds store.c with its debug info in other places. Needs Debian's clang-19, lld-19, llvm-19 and lld-14.
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

# 64-bit memories. The linker of clang 19 would make the table one of 64 bits too, which the engine does not run.
for optimized in 0 2; do
    clang-19 --target=wasm64-unknown-unknown $flags -O$optimized -c $here/store.c -o "$object/wide.o"
    wasm-ld-14 -mwasm64 --no-entry "$object/wide.o" -o $here/wide-O$optimized.wasm
done
