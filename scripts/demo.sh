#!/bin/sh
# Shows the main job: stock gdb on a C program that was compiled to wasm. Installs what it needs, builds, runs the
# session of examples/list.gdb and checks that gdb's answers are the right ones. WASMSCOPE names a build to take instead.
set -eu
cd "$(dirname "$0")/.."

command -v cargo >/dev/null 2>&1 || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }
scripts/install-tools.sh cc=gcc,libc6-dev gdb=gdb

wasmscope=${WASMSCOPE-}
if [ -z "$wasmscope" ]; then
    cargo build --locked -p wasmscope --bin wasmscope
    # Where cargo puts what it builds.
    wasmscope=$(cargo metadata --locked --no-deps --format-version 1 |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/wasmscope
fi

transcript=$(mktemp)
trap 'rm -f "$transcript"' EXIT
echo
echo "$ wasmscope debug --debugger-arg=-batch --debugger-arg=-x --debugger-arg=examples/list.gdb examples/list.wasm"
"$wasmscope" debug --debugger-arg=-batch --debugger-arg=-x --debugger-arg=examples/list.gdb \
    examples/list.wasm 2>&1 | tee "$transcript"
echo

# One line of each answer.
while read -r expected; do
    grep -qF -- "$expected" "$transcript" || { echo "demo: the session lacks: $expected" >&2; exit 1; }
done <<'END'
Breakpoint 1, total (list=
main () at examples/list.c:40
discount = 8
price = 25, next =
"banana"
"apple", price = 3, next = 0x0}
:	"cherry"
Value returned is $5 = 1030
3 items, to pay: 1030
END
echo "demo: breakpoint, backtrace, locals, followed pointers, strings and the changed variable are as they should be"
