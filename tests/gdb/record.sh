#!/bin/sh
# record.sh OUT.json PROGRAM [ARGUMENT...]: records a stepped program with the debugger that $DEBUGGER names (gdb or lldb).
# RECORD_SOURCES and RECORD_MAIN as in step_record.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
support="$here/../../debugger-support"
# The helpers of a debugger, in one file, as the program gives them to it.
helpers() {
    sed -n "/fn $1_helpers/,/^}/s|.*include_str!(\"../\(.*\)\").*|\1|p" "$support/src/helpers.rs" |
        while read -r file; do cat "$support/$file"; done
}
export RECORD_OUT="$1"
shift
scratch=$(mktemp -d)
log=$scratch/log
trap 'rm -r "$scratch"' EXIT
case ${DEBUGGER:-gdb} in
gdb)
    set -- --args "$@"
    set -- -x "$here/step_record.py" "$@"
    helpers gdb >"$scratch/wasmscope_gdb.py"
    timeout 600 gdb -nx -q -batch -iex 'set auto-load no' -x "$scratch/wasmscope_gdb.py" "$@" >"$log" 2>&1 </dev/null ||
        { tail -n 30 "$log" >&2; exit 1; }
    ;;
lldb)
    helpers lldb >"$scratch/wasmscope_lldb.py"
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
