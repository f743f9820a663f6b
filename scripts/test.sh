#!/bin/sh
# Installs what the tests need and passes all of them: formatting, lints, documentation, the tests themselves.
#
# Everything is built in one profile (dev, with optimized dependencies), so that each dependency is compiled once.
set -eu
cd "$(dirname "$0")/.."

command -v cargo >/dev/null 2>&1 || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }
scripts/install-tools.sh cc=gcc,libc6-dev gdb=gdb lldb-19=lldb-19 llvm-dwarfdump-19=llvm-19 python3=python3 \
    readelf=binutils
rustup component add rustfmt clippy >/dev/null 2>&1 || true

step() {
    echo "== $*"
    "$@"
}

step scripts/check-architecture.sh
step cargo fmt --all --check
step cargo build --locked --workspace --bins
# The tests that need the command line take this build.
WASMSCOPE=$(realpath "${CARGO_TARGET_DIR:-target}")/debug/wasmscope
export WASMSCOPE
step cargo test --locked --workspace --all-targets
step cargo test --locked --workspace --doc
step cargo clippy --locked --workspace --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --locked --workspace --no-deps
if command -v cargo-deny >/dev/null 2>&1; then
    step cargo deny --locked check licenses bans sources
else
    echo "== cargo-deny is not installed: licences and duplicate dependencies were not checked"
fi
echo "== all passed"
