#!/bin/sh
# Installs what the tests need and passes all of them: formatting, lints, documentation, the tests themselves.
#
# Everything is built in one profile (dev, with optimized dependencies), so that each dependency is compiled once.
set -eu
cd "$(dirname "$0")/.."

command -v cargo >/dev/null 2>&1 || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }
scripts/install-tools.sh cc=gcc,libc6-dev gdb=gdb gdbserver=gdbserver setpriv=util-linux lldb-19=lldb-19 \
    perf=linux-perf llvm-dwarfdump-19=llvm-19 llvm-readobj-19=llvm-19 python3=python3 readelf=binutils tmux=tmux
rustup component add rustfmt clippy >/dev/null 2>&1 || true

# Each step runs, also when one before it failed; all that failed are named at the end.
failed=
step() {
    echo "== $*"
    "$@" || failed="$failed
    $*"
}

step scripts/check-architecture.sh
step cargo fmt --all --check
echo "== cargo build"
cargo build --locked --workspace --all-targets
# Where cargo puts what it builds.
target=$(cargo metadata --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
# The tests that need the command line take this build.
export WASMSCOPE="$target/debug/wasmscope"
step scripts/demo.sh
step cargo test --locked --no-fail-fast --workspace
step cargo clippy --locked --workspace --all-targets -- -D warnings
step env RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
if command -v cargo-deny >/dev/null 2>&1; then
    step cargo deny --locked check licenses bans sources
else
    echo "== cargo-deny is not installed: licences and duplicate dependencies were not checked"
fi
if [ -n "$failed" ]; then
    echo "== failed:$failed"
    exit 1
fi
echo "== all passed"
