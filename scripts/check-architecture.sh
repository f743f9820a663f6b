#!/bin/sh
# Checks what ARCHITECTURE.md says: each path that it names exists, no arrow of the dependencies points up, and what must
# stay absent is absent.
set -eu
cd "$(dirname "$0")/.."
status=0
complain() {
    echo "ARCHITECTURE.md: $*" >&2
    status=1
}

# Paths are the words in backquotes that have a slash and no blank, `::` or `<`.
for path in $(grep -o '`[^` ]*/[^` ]*`' ARCHITECTURE.md | tr -d '`' | grep -v '::\|<\|^~\|^/' | sort -u); do
    [ -e "$path" ] || complain "\`$path\` does not exist"
done

# The workspace crates that each crate may depend on (development dependencies are free).
allowed() {
    case $1 in
    artifact | dwarf-transform | debugger-support | unwind) echo ;;
    engine) echo artifact dwarf-transform unwind debugger-support ;;
    wasm-objdump) echo artifact unwind dwarf-transform ;;
    tests | fuzz) echo artifact dwarf-transform unwind debugger-support wasmscope wasm-objdump ;;
    *) complain "crate $1 is not described" ;;
    esac
}
crates='artifact dwarf-transform unwind debugger-support wasmscope wasm-objdump'
for manifest in */Cargo.toml; do
    crate=${manifest%/Cargo.toml}
    used=$(sed -n '/^\[dependencies\]/,/^\[/p' "$manifest" | grep -o '^[a-z-]*' || true)
    for name in $used; do
        case " $crates " in *" $name "*) ;; *) continue ;; esac
        case " $(allowed "$crate") " in *" $name "*) ;; *) complain "$crate must not depend on $name" ;; esac
    done
    case $crate in engine) ;; *)
        echo "$used" | grep -q '^cranelift' && complain "$crate names the code generator" ;;
    esac
done

# One module names the WASI implementation; the code generator stays in two folders; these crates have no unsafe code.
others=$(grep -rlE 'wasi_common|wiggle' engine/src | grep -v '^engine/src/wasi.rs$' || true)
[ -z "$others" ] || complain "wasi-common is named in $others"
others=$(grep -rlE 'cranelift_(codegen|frontend|wasm|native|entity)' engine/src |
    grep -v '^engine/src/\(translate\|compile\)/' || true)
[ -z "$others" ] || complain "the code generator is named in $others"
for crate in artifact dwarf-transform; do
    grep -q '^#!\[forbid(unsafe_code)\]' $crate/src/lib.rs || complain "$crate does not forbid unsafe code"
done
exit $status
