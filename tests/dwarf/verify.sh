#!/bin/bash
# Reads the emitted DWARF of many modules with three readers that share no code with us: no error of `llvm-dwarfdump --verify`
# where the module itself has none, no complaint of gdb when it expands all symbols, no error of lldb when it parses all types.
#
#   tests/dwarf/verify.sh [-l "0 2"] MODULE.wasm...     the given modules
#   tests/dwarf/verify.sh -b FOLDER                     builds modules of the sources of this repository into FOLDER first,
#                                                       with each compiler that is installed, and adds the bundled ones
#
# What gdb says of native builds of the same sources as well, and what comes from its index alone, is left out by cause: see
# `remarks` below. Anything else fails.
#
# WASMSCOPE names the program (default: target/debug/wasmscope). One line a module; the status is 1 if any fails.
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
        module "inventory-rust-O$level" rustc --edition 2021 --target wasm32-wasi -g -C opt-level=$level \
            tests/programs/inventory/main.rs
    done
    cd - >/dev/null || exit 2
    # Those with a table of 64 bits are for the tests of the transform alone.
    for input in "$root"/tests/programs/*/*.wasm "$root"/dwarf-transform/tests/inputs/*.wasm; do
        [[ $input = */wide-* ]] || modules+=("$input")
    done
fi
[ ${#modules[@]} -gt 0 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2; }

scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
cat >"$scratch/all.py" <<'P'
def __lldb_init_module(debugger, _):
    target = debugger.GetSelectedTarget()
    for module in target.modules:
        for unit in module.compile_units:
            unit.GetTypes()
        for symbol in module.symbols:
            symbol.addr.GetBlock().GetVariables(target, True, True, True)
        module.FindGlobalVariables(target, ".*", 100000)
P
# What gdb 13 remarks on, one cause a line.
cat >"$scratch/remarks" <<'P'
^Reading symbols
^(No debugging symbols
invalid pointer size 4$
location expression too complex$
unsupported stack op: 'DW_OP_[a-z_]*'$
have different parents$
Unknown format content type 8193$
unsupported tag: 'DW_TAG_GNU_template_parameter_pack'$
macro debug info contains a malformed macro definition:$
^`[A-Za-z0-9_]*'$
no terminating 0-type entry for macros in `.debug_macinfo' section$
DW_AT_name missing from DW_TAG_base_type$
P
# In this order: greetings; pointers of 4 bytes, which gdb honours; variables whose place is computed (two, of its index, which
# holds constant addresses only, and evaluates them later); inlined functions in functions that are inlined elsewhere; embedded
# source; parameter packs, which gdb 13 does not know; macros without
# a value (two lines); the end of macros that are imported; types of zig's without a name, as in the module. All but the
# pointers and the places are said of native builds too.
errors() { llvm-dwarfdump-19 --verify --error-display=full "$1" 2>&1 | grep -c '^error:'; }

checked=0 clean=0 failed=0
for input in "${modules[@]}"; do
    before=$(errors "$input")
    [ "$before" = 0 ] && clean=$((clean + 1))
    checked=$((checked + 1))
    for level in $levels; do
        for debugger in gdb lldb; do
            elf=$scratch/module.elf problems=
            if ! "$wasmscope" compile -g --opt-level "$level" --debugger $debugger "$input" -o "$elf" 2>"$scratch/said"; then
                problems="does not compile: $(head -1 "$scratch/said")"
            else
                after=$(errors "$elf")
                [ "$after" -gt "$before" ] && problems="$after errors (the module has $before)"
                if [ $debugger = gdb ]; then
                    said=$(gdb -q -nx -batch -ex 'set complaints 1000' -ex "file $elf" -ex 'maint expand-symtabs' 2>&1 |
                        grep -v -f "$scratch/remarks")
                else
                    said=$(lldb-19 -b -o "target create $elf" -o "command script import $scratch/all.py" 2>&1 |
                        grep -i 'error\|warning' | grep -v '^(lldb)\|DW_AT_specification(.*) has no decl')
                fi
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
