#!/usr/bin/env python3
"""Runs the kernels alternately in wasmscope and in Wasmtime and prints the ratios of their user times.

    pip install wasmtime
    cargo build --release -p wasmscope
    engine/benches/compare-wasmtime.py [--wasmscope target/release/wasmscope] [--rounds 5] [kernel ...]

Each run is a process of its own that runs one kernel; compilation is not counted: wasmscope gets a compiled artifact, and of
Wasmtime's process only the time in the kernel's `_start` counts. From each time of wasmscope the median time of an empty
kernel is taken off, which is what loading costs. Ratios below 1 mean that wasmscope is faster. The outputs must be equal.
"""

import argparse
import math
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
KERNELS = ["fib", "sieve", "nbody", "matmul", "sort", "hash", "indirect", "memcpy"]


def run_wasmtime(path, kernel):
    """The child: runs one kernel and prints the user time to stderr."""
    import wasmtime

    engine = wasmtime.Engine()
    module = wasmtime.Module.from_file(engine, path)
    store = wasmtime.Store(engine)
    wasi = wasmtime.WasiConfig()
    wasi.argv = [path, kernel]
    wasi.inherit_stdout()
    store.set_wasi(wasi)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    start = linker.instantiate(store, module).exports(store)["_start"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    try:
        start(store)
    except wasmtime.ExitTrap:
        pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_utime - before, file=sys.stderr)


def user_time(command):
    """The output and the user time of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return done.stdout, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--child":
        return run_wasmtime(sys.argv[2], sys.argv[3])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wasmscope", default=str(HERE.parent.parent / "target/release/wasmscope"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--debug", action="store_true", help="measure wasmscope with -g")
    parser.add_argument("--module", default=str(HERE / "kernels/kernels.wasm"))
    parser.add_argument("kernels", nargs="*", default=KERNELS)
    args = parser.parse_args()

    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        artifact = os.path.join(folder, "kernels.artifact")
        debug = ["-g"] if args.debug else []
        subprocess.run([args.wasmscope, "compile", *debug, args.module, "-o", artifact], check=True)
        ours = [args.wasmscope, "run", *debug, artifact]
        theirs = [sys.executable, __file__, "--child", args.module]
        idle = statistics.median(user_time([*ours, "none"])[1] for _ in range(args.rounds))
        print(f"{'kernel':<10} {'wasmscope':>10} {'wasmtime':>10} {'ratio':>7}")
        for kernel in args.kernels:
            mine, other = [], []
            for _ in range(args.rounds):
                output, time = user_time([*ours, kernel])
                mine.append(time - idle)
                child = subprocess.run([*theirs, kernel], check=True, capture_output=True)
                other.append(float(child.stderr))
                if output != child.stdout:
                    sys.exit(f"{kernel}: different output: {output!r} and {child.stdout!r}")
            mine, other = statistics.median(mine), statistics.median(other)
            ratios.append(mine / other)
            print(f"{kernel:<10} {mine:>9.3f}s {other:>9.3f}s {ratios[-1]:>7.3f}")
    print(f"geometric mean {math.exp(statistics.fmean(map(math.log, ratios))):.3f}")


if __name__ == "__main__":
    main()
