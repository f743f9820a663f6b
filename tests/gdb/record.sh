#!/bin/sh
# record.sh OUT.json PROGRAM [ARGUMENT...]: records a stepped program with the debugger that $DEBUGGER names (gdb or lldb).
# RECORD_SOURCES and RECORD_MAIN as in step_record.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
helpers="$here/../../debugger-support/python"
export RECORD_OUT="$1"
shift
scratch=$(mktemp -d)
log=$scratch/log
trap 'rm -r "$scratch"' EXIT
case ${DEBUGGER:-gdb} in
gdb)
    set -- --args "$@"
    set -- -x "$here/step_record.py" "$@"
    for file in casts dynamic_types containers low_memory wasmscope; do set -- -x "$helpers/${file}_gdb.py" "$@"; done
    timeout 600 gdb -nx -q -batch -iex 'set auto-load no' "$@" >"$log" 2>&1 </dev/null ||
        { tail -n 30 "$log" >&2; exit 1; }
    ;;
lldb)
    cat "$helpers/wasmscope_lldb.py" "$helpers/containers_lldb.py" "$helpers/rust_lldb.py" "$helpers/calls_lldb.py" \
        >"$scratch/wasmscope_lldb.py"
    timeout 600 lldb-19 -x -b -O 'settings set plugin.jit-loader.gdb.enable on' \
        -o "command script import $scratch/wasmscope_lldb.py" \
        -o "command script import $here/../lldb/step_record.py" -- "$@" >"$log" 2>&1 </dev/null ||
        { tail -n 30 "$log" >&2; exit 1; }
    ;;
*)
    echo "record.sh: no recorder for $DEBUGGER" >&2
    exit 2
    ;;
esac
[ -s "$RECORD_OUT" ] || { tail -n 30 "$log" >&2; exit 1; }
