#!/bin/sh
# jit.sh ENGINE LEVEL SOURCE PROGRAM.wasm OUT.json: records a wasm build in the engine's code (see record.sh).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
engine=$1 level=$2 source=$3 program=$4 out=$5
main=${RECORD_MAIN:-main}
case $source in
*.rs) main="${RECORD_MAIN:-$(basename "$(dirname "$source")" | tr -c 'a-zA-Z0-9\n' _)::main}" ;;
esac
RECORD_GUEST=1 RECORD_SOURCES="$source${MORE_SOURCES:+:$MORE_SOURCES}" RECORD_MAIN="$main" "$here/record.sh" "$out" "$engine" run -g --opt-level "$level" "$program"
