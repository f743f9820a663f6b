#!/bin/sh
# build.sh [natively] sqlite|sqlites|sqlite-shell|lua OUT [compiler flags]: builds a large program for wasm32-wasi, as `-g -O0`
# unless told otherwise. `sqlites` is a program with sqlite in it COPIES times (default: 10), all of which run.
#
# The sources come from the crates libsqlite3-sys and lua-src, through cargo; sqlite's shell, which no crate has, from the folder
# SQLITE_SOURCE with shell.c and sqlite3.c. Needs the packages of ../programs/build.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
compiler="clang-19 --target=wasm32-wasi"
natively=
[ "$1" = natively ] && natively=1 && compiler=gcc && shift
what=$1
out=$(realpath "$2")
shift 2
[ $# -gt 0 ] || set -- -g -O0
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

sqlite_flags="-DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_OMIT_WAL"
wasi_flags="-D_WASI_EMULATED_GETPID -D_WASI_EMULATED_PROCESS_CLOCKS -D_WASI_EMULATED_SIGNAL"

if [ "$what" = sqlite-shell ]; then
    cp "$SQLITE_SOURCE/shell.c" "$SQLITE_SOURCE/sqlite3.c" "$work"
    cd "$work"
    if [ -n "$natively" ]; then
        exec $compiler "$@" -w $sqlite_flags shell.c sqlite3.c -lm -o "$out"
    fi
    exec $compiler "$@" -fdebug-compilation-dir=. -Wno-everything -I"$here/shell" -include "$here/shell/wasi.h" $sqlite_flags \
        $wasi_flags -D_WASI_EMULATED_MMAN shell.c sqlite3.c -lwasi-emulated-getpid \
        -lwasi-emulated-process-clocks -lwasi-emulated-signal -o "$out"
fi

case $what in
sqlite | sqlites) crate='libsqlite3-sys = { version = "=0.35.0", features = ["bundled"] }' ;;
lua) crate='lua-src = "=548.1.2"' ;;
*) echo "build.sh: no such program: $what" >&2; exit 2 ;;
esac
mkdir "$work/src"
: >"$work/src/lib.rs"
printf '[package]\nname = "sources"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[dependencies]\n%s\n' "$crate" \
    >"$work/Cargo.toml"
(cd "$work" && cargo vendor --quiet >/dev/null)

cp "$here/${what%s}.c" "$work/main.c"
cd "$work"
case $what in
sqlite)
    cp vendor/libsqlite3-sys/sqlite3/sqlite3.[ch] .
    sqlite_flags="$sqlite_flags -DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_TEMP_STORE=3 -DSQLITE_OMIT_SHARED_CACHE"
    if [ -n "$natively" ]; then
        $compiler "$@" -w $sqlite_flags main.c sqlite3.c -lm -o "$out"
    else
        $compiler "$@" -fdebug-compilation-dir=. -Wno-everything $sqlite_flags $wasi_flags main.c sqlite3.c -o "$out"
    fi
    ;;
sqlites)
    cp vendor/libsqlite3-sys/sqlite3/sqlite3.[ch] .
    sqlite_flags="$sqlite_flags -DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_TEMP_STORE=3 -DSQLITE_OMIT_SHARED_CACHE"
    calls=
    for copy in $(seq "${COPIES:-10}"); do
        printf '#define SQLITE_API static __attribute__((used))\n#define SQLITE_EXTERN\n#include "sqlite3.c"\n#define main run%d\n#include "main.c"\n' \
            "$copy" >"copy$copy.c"
        calls="$calls extern int run$copy(void); status |= run$copy();"
    done
    echo "int main(void) { int status = 0; $calls return status; }" >all.c
    $compiler "$@" -fdebug-compilation-dir=. -Wno-everything $sqlite_flags $wasi_flags all.c copy*.c -o "$out"
    ;;
lua)
    cp "$(ls -d vendor/lua-src/lua-5.4* | tail -n 1)"/*.[ch] .
    rm -f lua.c luac.c ltests.c onelua.c loslib.c liolib.c linit.c
    if [ -n "$natively" ]; then
        $compiler "$@" -w main.c l*.c -lm -o "$out"
        exit
    fi
    # There is no longjmp without the exception proposal: an error of the script ends the program.
    echo 'typedef int jmp_buf;' >setjmp.h
    $compiler "$@" -fdebug-compilation-dir=. -I. -Wno-everything $wasi_flags '-DLUAI_THROW(L,c)=abort()' '-DLUAI_TRY(L,c,a)={a}' -Dluai_jmpbuf=int \
        main.c l*.c -lwasi-emulated-signal -lwasi-emulated-process-clocks -o "$out"
    ;;
esac
