#!/bin/sh
# Builds the bundled programs. Needs Debian's clang-19, clang-14, lld-19, wasi-libc, libclang-rt-19-dev-wasm32,
# libc++-19-dev-wasm32, libc++abi-19-dev-wasm32, rustc (1.63) with libstd-rust-dev-wasm32 and lld-14 (its rust-lld), wabt
# (wat2wasm), and `pip install ziglang`; llvm-19; rustup's Rust 1.95 and 1.96 with rust-src.
#
# Paths in the debug information are relative to this folder, so that the builds are the same everywhere.
set -eu
cd "$(dirname "$0")"

target="--target=wasm32-wasi -g -fdebug-compilation-dir=."

clang-19 $target -O0 records/main.c -o records/records.wasm
clang-19 $target -O2 records/main.c -o records/records-O2.wasm
clang-19 $target -O0 jumps/main.c -o jumps/jumps.wasm
clang-19 $target -O0 -gdwarf-5 -gembed-source jumps/main.c -o jumps/jumps-embedded.wasm
clang-19 $target -O0 inlined/main.c -o inlined/inlined.wasm
clang-19 $target -O2 trap/main.c -o trap/trap.wasm
clang++-19 $target -O0 -std=c++17 -fno-exceptions shapes/main.cc -o shapes/shapes.wasm
clang++-19 $target -O0 -std=c++17 -fno-exceptions bases/main.cc -o bases/bases.wasm
for program in captures members results returned sequences tables; do
    clang++-19 $target -O0 -std=c++17 -fno-exceptions -nostartfiles -Wl,--no-entry -Wl,--export=run $program/main.cc \
        -o $program/$program.wasm
done

clang-19 $target -O2 -nostartfiles -Wl,--no-entry -Wl,--export=run removed/main.c -o removed/removed.wasm

# With a shared memory and without.
atomics="$target -O0 -matomics -mbulk-memory -nostdlib -Wl,--no-entry -Wl,--export=run"
clang-19 $atomics -Wl,--shared-memory -Wl,--max-memory=131072 atomics/main.c -o atomics/atomics.wasm
clang-19 $atomics atomics/main.c -o atomics/unshared.wasm

# Two units, one of which only declares what the other defines.
(cd units && clang++-19 $target -O0 -std=c++17 -fno-exceptions -nostartfiles -Wl,--no-entry -Wl,--export=run main.cc shapes.cc \
    -o units.wasm)

# Debian has no wasm runtime library for clang 14; the linker of clang 19 brings its own.
object=$(mktemp -d)
trap 'rm -r "$object"' EXIT
clang-14 $target -O0 -c records/main.c -o "$object/main.o"
clang-19 --target=wasm32-wasi "$object/main.o" -o records/records-clang14.wasm

# zig writes absolute paths, its library's too: give it a place that is the same everywhere.
zig=$(python3 -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))')
place=/tmp/wasmscope-zig
mkdir -p $place/records
ln -sfn "$zig/lib" $place/lib
cp records/main.c $place/records
(cd $place && ZIG_LIB_DIR=$place/lib ZIG_GLOBAL_CACHE_DIR=$place/cache "$zig/zig" cc -target wasm32-wasi -g -O0 \
    records/main.c -o records.wasm)
cp $place/records.wasm records/records-zig.wasm

/usr/bin/rustc --target wasm32-wasi -g --edition 2021 --crate-name inventory --remap-path-prefix "$PWD=." \
    inventory/main.rs -o inventory/inventory.wasm
# Its native twin (gdb/native.sh) takes RUST_FLAGS="-C link-arg=-lc".
/usr/bin/rustc --target wasm32-wasi -g --edition 2021 --crate-name sums -C panic=abort -C link-arg=-lc \
    --remap-path-prefix "$PWD=." sums/main.rs -o sums/sums.wasm

# Rust from 1.67 on (this is 1.85) puts what comes behind a call into the same block. MODERN_RUSTC is such a compiler for wasm32-wasip1. The native
# twin takes the same flags as that of sums, and for lldb RECORD_MAIN=main.
modern=${MODERN_RUSTC:-rustc}
$modern --target wasm32-wasip1 -g --edition 2021 --crate-name calls -C panic=abort --remap-path-prefix "$PWD=." \
    --remap-path-prefix "$($modern --print sysroot)/lib/rustlib/src/rust=/rustc" calls/main.rs -o calls/calls.wasm

# Classes in units of their own.
clang++-19 $target -O0 -std=c++17 -fno-exceptions -fdebug-types-section -nostartfiles -Wl,--no-entry -Wl,--export=run \
    results/main.cc -o results/results-types.wasm

# Nothing of `core` is linked.
/usr/bin/rustc --target wasm32-wasi -g --edition 2021 --crate-name results_rust --crate-type cdylib -C panic=abort \
    -C overflow-checks=off --remap-path-prefix "$PWD=." results/main.rs -o results/results-rust.wasm

clang-19 $target -O0 profile/main.c -o profile/profile.wasm

# Rust 1.96 with its `rust-src`: the library has no debug information of its own here, which keeps the builds small.
for optimized in 0 2; do
    clang-19 $target -O$optimized abilities/main.c -o abilities/c-O$optimized.wasm
    clang++-19 $target -O$optimized -std=c++17 -fno-exceptions abilities/main.cc -o abilities/cxx-O$optimized.wasm
    crate=$(mktemp -d)
    cat >"$crate/Cargo.toml" <<END
package = { name = "abilities", version = "0.1.0", edition = "2021" }
bin = [{ name = "abilities", path = "$PWD/abilities/main.rs" }]
profile.release = { panic = "abort", opt-level = $optimized, debug = true, package."*".debug = false }
END
    (cd "$crate" && RUSTFLAGS="--remap-path-prefix $OLDPWD=. --remap-path-prefix $(rustc +1.96 --print sysroot)/lib/rustlib/src/rust=/rustc/1.96" RUSTC_BOOTSTRAP=1 cargo +1.96 build -q --release \
        -Zbuild-std=std,panic_abort --target wasm32-wasip1)
    cp "$crate/target/wasm32-wasip1/release/abilities.wasm" abilities/rust-O$optimized.wasm
    rm -r "$crate"
done

# `alloc` of Rust 1.95, without the names that its debug information repeats.
crate=$(mktemp -d)
cat >"$crate/Cargo.toml" <<END
package = { name = "collections", version = "0.1.0", edition = "2021" }
bin = [{ name = "collections", path = "$PWD/collections/main.rs" }]
profile.release = { panic = "abort", opt-level = 0, debug = true, package."*".debug = false }
END
(cd "$crate" && RUSTFLAGS="--remap-path-prefix $OLDPWD=. --remap-path-prefix $PWD=. --remap-path-prefix $(rustc +1.95 --print sysroot)/lib/rustlib/src/rust=/rustc/1.95" RUSTC_BOOTSTRAP=1 cargo +1.95 build -q --release \
    -Zbuild-std=core,alloc --target wasm32-unknown-unknown)
llvm-objcopy-19 --remove-section=name "$crate/target/wasm32-unknown-unknown/release/collections.wasm" collections/collections.wasm
rm -r "$crate"

clang-19 --target=wasm32 -g -O0 -nostdlib -fdebug-compilation-dir=. -Wl,--no-entry -Wl,--global-base=65536 \
    instances/main.c -o instances/instances.wasm
clang-19 $target -O2 optimized/main.c -o optimized/optimized.wasm
clang-19 $target -O2 lasting/main.c -o lasting/lasting.wasm
clang-19 $target -O2 changing/main.c -o changing/changing.wasm
clang-19 $target -O2 parts/main.c -o parts/parts.wasm
clang++-19 $target -O1 -std=c++17 -fno-exceptions -nostartfiles -Wl,--no-entry -Wl,--export=run parts/gone.cc -o parts/gone.wasm

# One program with three kinds of memory. That of 64 bits has a table with 64-bit indices.
for kind in memory32 memory64 shared; do
    case $kind in
    memory32) options="--target=wasm32" ;;
    memory64) options="--target=wasm64" ;;
    shared) options="--target=wasm32 -matomics -mbulk-memory -Wl,--shared-memory -Wl,--max-memory=1048576" ;;
    esac
    clang-19 $options -g -O0 -nostdlib -fdebug-compilation-dir=. -Wl,--no-entry -Wl,--global-base=65536 \
        memory/main.c -o memory/$kind.wasm
done

# Numbers of 16 bytes.
clang-19 --target=wasm32 -g -O0 -nostdlib -fdebug-compilation-dir=. -Wl,--no-entry -Wl,--global-base=65536 \
    floats/main.c -o floats/floats.wasm

# Names, but no debug info.
wat2wasm --debug-names text/text.wat -o text/text.wasm

# References to host values, in C and without debug info.
for optimized in 0 2; do
    clang-19 --target=wasm32 -g -fdebug-compilation-dir=. -O$optimized -mreference-types -nostdlib -Wl,--no-entry \
        references/keep.c -o references/keep-O$optimized.wasm
done
wat2wasm --debug-names references/keep.wat -o references/keep.wasm
