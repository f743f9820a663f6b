#!/bin/sh
# native.sh SOURCE OUT.json: records the native twin of a C, C++ or Rust source file (see record.sh).
#
# C and C++ are built with -m32 and -malign-double, so that the types have the layouts that they have in the guest, with SSE,
# which rounds as wasm does, and at a fixed place: 32-bit code that can be anywhere reloads a register after calls, where
# debuggers stop once more. C++ needs libc++-19-dev:i386 and libc++abi-19-dev:i386 (`dpkg --add-architecture i386`). Rust is
# built to abort on a panic, as the guest does: landing pads between the statements make gdb stop twice where there is nothing of
# the kind in wasm. NATIVE_RUSTC names its compiler. What the program never wrote reads as anything, natively too, and so does an
# address that a union shows as a number: a second and third run at other addresses, with other garbage in fresh memory and
# behind allocations, show which values those are, and the recording leaves them open.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
source=$1
out=$2
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
record() { # name, program
    RECORD_SOURCES="$source${MORE_SOURCES:+:$MORE_SOURCES}" RECORD_MAIN="$main" "$here/record.sh" "$work/$1.json" "$2"
}

main=${RECORD_MAIN:-main}
case $source in
*.rs)
    name=$(basename "$(dirname "$source")" | tr -c 'a-zA-Z0-9\n' _)
    clang-19 -O1 -fno-builtin -c "$here/plain_memory.c" -o "$work/memory.o"
    ${NATIVE_RUSTC:-/usr/bin/rustc} -g --edition 2021 --crate-name "$name" -C panic=abort \
        -C link-arg="$work/memory.o" ${RUST_FLAGS-} "$source" -o "$work/plain" 2>"$work/rustc.log" || { cat "$work/rustc.log" >&2; exit 1; }
    cp "$work/plain" "$work/zero"
    cp "$work/plain" "$work/pattern"
    main="${RECORD_MAIN:-$name::main}"
    ;;
*)
    case $source in
    *.c) compiler="clang-19" ;;
    *) compiler="clang++-19 -std=c++17 -fno-exceptions -stdlib=libc++" ;;
    esac
    clang-19 -m32 -O1 -fno-builtin -c "$here/plain_memory.c" -o "$work/memory.o"
    for fill in plain zero pattern; do
        init=
        [ $fill = plain ] || init="-ftrivial-auto-var-init=$fill"
        $compiler -m32 -fno-pie -no-pie -malign-double -msse2 -mfpmath=sse -g -O0 $init ${C_FLAGS-} "$source" "$work/memory.o" -o "$work/$fill" -lm
    done
    ;;
esac

record plain "$work/plain"
export RECORD_ASLR=1
MEMORY_BEHIND=0 MALLOC_PERTURB_=90 record zero "$work/zero"
MEMORY_BEHIND=7 MALLOC_PERTURB_=165 record pattern "$work/pattern"
python3 "$here/compare.py" open "$work/plain.json" "$work/zero.json" "$work/pattern.json" >"$out"
