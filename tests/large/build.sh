#!/bin/sh
# build.sh sqlite|lua OUT.wasm [clang flags]: builds a large program for wasm32-wasi, as `-g -O0` unless told otherwise.
#
# The sources come from the crates libsqlite3-sys and lua-src, through cargo. Needs the packages of ../programs/build.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
what=$1
out=$(realpath "$2")
shift 2
[ $# -gt 0 ] || set -- -g -O0
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

case $what in
sqlite) crate='libsqlite3-sys = { version = "=0.35.0", features = ["bundled"] }' ;;
lua) crate='lua-src = "=548.1.2"' ;;
*) echo "build.sh: no such program: $what" >&2; exit 2 ;;
esac
mkdir "$work/src"
: >"$work/src/lib.rs"
printf '[package]\nname = "sources"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[dependencies]\n%s\n' "$crate" \
    >"$work/Cargo.toml"
(cd "$work" && cargo vendor --quiet >/dev/null)

cp "$here/$what.c" "$work/main.c"
cd "$work"
case $what in
sqlite)
    cp vendor/libsqlite3-sys/sqlite3/sqlite3.[ch] .
    clang-19 --target=wasm32-wasi "$@" -fdebug-compilation-dir=. -Wno-everything -DSQLITE_THREADSAFE=0 \
        -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_OMIT_WAL -DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_TEMP_STORE=3 \
        -DSQLITE_OMIT_SHARED_CACHE -D_WASI_EMULATED_GETPID -D_WASI_EMULATED_PROCESS_CLOCKS \
        main.c sqlite3.c -o "$out"
    ;;
lua)
    cp "$(ls -d vendor/lua-src/lua-5.4* | tail -n 1)"/*.[ch] .
    rm -f lua.c luac.c ltests.c onelua.c loslib.c liolib.c linit.c
    # There is no longjmp without the exception proposal: an error of the script ends the program.
    echo 'typedef int jmp_buf;' >setjmp.h
    clang-19 --target=wasm32-wasi "$@" -fdebug-compilation-dir=. -I. -Wno-everything -D_WASI_EMULATED_SIGNAL \
        -D_WASI_EMULATED_PROCESS_CLOCKS '-DLUAI_THROW(L,c)=abort()' '-DLUAI_TRY(L,c,a)={a}' -Dluai_jmpbuf=int \
        main.c l*.c -lwasi-emulated-signal -lwasi-emulated-process-clocks -o "$out"
    ;;
esac
