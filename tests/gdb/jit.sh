#!/bin/sh
# jit.sh ENGINE LEVEL SOURCE PROGRAM.wasm OUT.json: records a wasm build in the engine's code (see step_record.py).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
engine=$1 level=$2 source=$3 program=$4 out=$5
helpers="$here/../../debugger-support/python"
main=main
case $source in
*.rs) main="$(basename "$(dirname "$source")" | tr -c 'a-zA-Z0-9\n' _)::main" ;;
esac
log=$(mktemp)
trap 'rm -f "$log"' EXIT
RECORD_OUT="$out" RECORD_SOURCES="$source" RECORD_MAIN="$main" timeout 600 \
    gdb -nx -q -batch -iex 'set auto-load no' -x "$helpers/wasmscope_gdb.py" -x "$helpers/low_memory_gdb.py" -x "$helpers/containers_gdb.py" \
    -x "$here/step_record.py" --args "$engine" run -g --opt-level "$level" "$program" >"$log" 2>&1 </dev/null ||
    { tail -n 30 "$log" >&2; exit 1; }
[ -s "$out" ] || { tail -n 30 "$log" >&2; exit 1; }
