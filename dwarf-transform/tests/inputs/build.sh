#!/bin/sh
# Builds the inputs of the tests. Needs Debian's clang-19, clang-14 and lld-19.
set -eu
cd "$(dirname "$0")"
common="--target=wasm32-unknown-unknown -g -fdebug-compilation-dir=/src -ffile-prefix-map=$PWD=/src"
link="-nostdlib -Wl,--no-entry"
clang-19 $common -O0 -gdwarf-4 $link list.c -o list-O0-v4.wasm
clang-19 $common -O0 -gdwarf-5 $link list.c -o list-O0-v5.wasm
clang-19 $common -O2 -gdwarf-5 $link list.c -o list-O2-v5.wasm
clang++-19 $common -O0 -gdwarf-5 -fdebug-types-section -fno-rtti $link types.cc -o types-O0-v5.wasm
clang++-19 $common -O0 -gdwarf-4 -fdebug-types-section -fno-rtti $link types.cc -o types-O0-v4.wasm
object=$(mktemp -d)
trap 'rm -r "$object"' EXIT
clang-14 $common -O0 -gdwarf-2 -c list.c -o "$object/list.o"
clang-19 --target=wasm32-unknown-unknown $link "$object/list.o" -o list-O0-v2.wasm
clang-14 $common -O1 -gdwarf-3 -c list.c -o "$object/list.o"
clang-19 --target=wasm32-unknown-unknown $link "$object/list.o" -o list-O1-v3.wasm
clang-14 $common -O0 -gdwarf-4 -c passed.c -o "$object/passed.o"
clang-19 --target=wasm32-unknown-unknown $link -Wl,--export-all "$object/passed.o" -o passed-v4.wasm
# Split units: the .dwo files are what is left out; the packages hold them.
for version in 4 5; do
  clang++-19 $common -O0 -gdwarf-$version -gsplit-dwarf -fdebug-types-section -fno-rtti -c types.cc -o types-split-v$version.o
  clang-19 --target=wasm32-unknown-unknown $link types-split-v$version.o -o types-split-v$version.wasm
  rm types-split-v$version.o
done
llvm-dwp-19 types-split-v5.dwo -o types-split-v5.dwp
llvm-dwp-19 types-split-v4.dwo -o types-split-v4.dwp
for version in 4 5; do
  clang-19 $common -O0 -gdwarf-$version -fdebug-macro -undef $link macros.c -o macros-v$version.wasm
done
clang-19 $common -O0 -gdwarf-5 -gembed-source $link list.c -o list-source-v5.wasm
clang-19 $common -O1 -gdwarf-5 -matomics -mbulk-memory $link -Wl,--shared-memory,--max-memory=131072 threads.c -o threads.wasm
clang-19 --target=wasm64-unknown-unknown -g -fdebug-compilation-dir=/src -ffile-prefix-map=$PWD=/src -O0 -gdwarf-5 $link wide.c -o wide-O0.wasm
clang-19 --target=wasm64-unknown-unknown -g -fdebug-compilation-dir=/src -ffile-prefix-map=$PWD=/src -O2 -gdwarf-5 $link wide.c -o wide-O2.wasm
