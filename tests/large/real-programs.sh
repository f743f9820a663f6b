#!/bin/sh
# real-programs.sh [DIRECTORY]: builds sqlite, lua and a Rust program for wasm and natively, runs them at every optimization level
# with and without debug info, and compares what they print. With SQLITE_SOURCE (a folder with shell.c and sqlite3.c, made by
# `make shell.c sqlite3.c` in sqlite's source tree) sqlite's own shell too. Results stay in DIRECTORY.
#
# Needs the packages of ../programs/build.sh and gcc. RUSTC_WASM is a command `RUSTC_WASM SOURCE OUT 0|2` that makes a
# wasm32-wasi program; without it Debian's rustc is used.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
wasmscope=${WASMSCOPE:-$here/../../target/debug/wasmscope}
dir=${1:-$(mktemp -d)}
mkdir -p "$dir"

rust_program() {
    if [ -n "${RUSTC_WASM:-}" ]; then
        $RUSTC_WASM "$1" "$2" "$3"
    else
        /usr/bin/rustc --target wasm32-wasi --edition 2021 -g -C opt-level="$3" "$1" -o "$2"
    fi
}

# compare NAME WASM INPUT: the output is NAME.expected at every level.
failed=0
compare() {
    for level in 0 2 s; do
        for debug in "" -g; do
            # shellcheck disable=SC2086
            "$wasmscope" run --opt-level $level $debug "$2" <"$3" >"$dir/$1.out" 2>"$dir/$1.err" || echo "status $?" >>"$dir/$1.out"
            if cmp -s "$dir/$1.out" "$dir/$1.expected"; then
                echo "ok      $(basename "$2") --opt-level $level $debug"
            else
                echo "DIFFERS $(basename "$2") --opt-level $level $debug: $dir/$1.out"
                failed=1
            fi
        done
    done
}

"$here/build.sh" natively sqlite "$dir/sqlite" && "$dir/sqlite" >"$dir/sqlite.expected"
"$here/build.sh" natively lua "$dir/lua" && "$dir/lua" >"$dir/lua.expected"
rustc --edition 2021 -g "$here/collections.rs" -o "$dir/collections" && "$dir/collections" >"$dir/collections.expected"
if [ -n "${SQLITE_SOURCE:-}" ]; then
    "$here/build.sh" natively sqlite-shell "$dir/sqlite-shell"
    "$dir/sqlite-shell" <"$here/shell.sql" >"$dir/sqlite-shell.expected"
fi
for optimized in 0 2; do
    for program in sqlite lua ${SQLITE_SOURCE:+sqlite-shell}; do
        "$here/build.sh" $program "$dir/$program-O$optimized.wasm" -g -O$optimized
        input=/dev/null
        [ $program = sqlite-shell ] && input=$here/shell.sql
        compare $program "$dir/$program-O$optimized.wasm" $input
    done
    rust_program "$here/collections.rs" "$dir/collections-O$optimized.wasm" $optimized
    compare collections "$dir/collections-O$optimized.wasm" /dev/null
done
# Threads: the library of Debian's rustc refuses them; newer ones import what wasi-libc has not.
/usr/bin/rustc --target wasm32-wasi --edition 2021 -g "$here/threads.rs" -o "$dir/threads.wasm"
echo "refused: operation not supported on this platform" >"$dir/threads.expected"
compare threads "$dir/threads.wasm" /dev/null
exit $failed
