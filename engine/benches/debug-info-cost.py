#!/usr/bin/env python3
"""Measures what debug info costs: compile time, peak memory and artifact size, and the run time of the kernels.

    cargo build --release -p wasmscope
    engine/benches/debug-info-cost.py compile sqlite-O0.wasm sqlite-O2.wasm
    engine/benches/debug-info-cost.py run

`compile` compiles each module without debug info, with `-g=lines` and with `-g`. `run` does the same with the kernels of
kernels/kernels.c, built with `-g`, and runs each; the time of an empty kernel, which is what loading costs, is taken off.
Each measurement is a process of its own; the variants take turns, round after round. Shown are medians and, in parentheses,
the median over the rounds of the ratio to the run without debug info of the same round. `time` is user and system time
of all threads.
"""

import argparse
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
KERNELS = ["fib", "sieve", "nbody", "matmul", "sort", "hash", "indirect", "memcpy"]
VARIANTS = {"none": [], "lines": ["-g=lines"], "full": ["-g"]}


def measure(command, stdout=subprocess.DEVNULL):
    """Processor time, wall time (seconds), peak memory (MiB) and output of a process."""
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=stdout)
    output = child.stdout.read() if child.stdout else None
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(command)}: status {child.returncode}")
    return {
        "time": usage.ru_utime + usage.ru_stime,
        "wall": time.monotonic() - start,
        "peak": usage.ru_maxrss / 1024,
        "output": output,
    }


def show(runs, key, form):
    """The cells of one quantity: median of each variant, and of its ratios to the first."""
    cells = []
    for variant in VARIANTS:
        median = statistics.median(run[key] for run in runs[variant])
        ratio = statistics.median(run[key] / first[key] for run, first in zip(runs[variant], runs["none"]))
        cells.append(f"{median:{form}}" + (f" ({ratio:.2f}x)" if variant != "none" else ""))
    return cells


def compile_modules(args):
    options = ["--opt-level", args.opt_level, *args.option]
    print(f"{'module':<24} {'':<12} {'none':>9} {'lines':>18} {'full':>18}")
    with tempfile.TemporaryDirectory() as folder:
        artifact = os.path.join(folder, "artifact")
        for module in args.modules:
            runs = {variant: [] for variant in VARIANTS}
            for _ in range(args.rounds):
                for variant, flags in VARIANTS.items():
                    run = measure([args.wasmscope, "compile", *options, *flags, module, "-o", artifact])
                    run["size"] = os.path.getsize(artifact) / 1e6
                    runs[variant].append(run)
            quantities = [("time", "time, s", ".2f"), ("wall", "wall, s", ".2f"), ("peak", "peak, MiB", ".1f"),
                          ("size", "artifact, MB", ".2f")]
            for key, label, form in quantities:
                none, lines, full = show(runs, key, form)
                print(f"{pathlib.Path(module).name:<24} {label:<12} {none:>9} {lines:>18} {full:>18}", flush=True)


def run_kernels(args):
    options = ["--opt-level", args.opt_level, *args.option]
    with tempfile.TemporaryDirectory() as folder:
        artifacts = {variant: os.path.join(folder, variant) for variant in VARIANTS}
        for variant, flags in VARIANTS.items():
            command = [args.wasmscope, "compile", *options, *flags, args.module, "-o", artifacts[variant]]
            subprocess.run(command, check=True)

        def run(variant, kernel):
            return measure([args.wasmscope, "run", *VARIANTS[variant], artifacts[variant], kernel], subprocess.PIPE)

        idle = {v: statistics.median(run(v, "none")["time"] for _ in range(args.rounds)) for v in VARIANTS}
        ratios = {variant: [] for variant in VARIANTS}
        print(f"{'kernel':<10} {'none':>9} {'lines':>18} {'full':>18}")
        for kernel in args.kernels or KERNELS:
            runs = {variant: [] for variant in VARIANTS}
            for _ in range(args.rounds):
                for variant in VARIANTS:
                    one = run(variant, kernel)
                    one["time"] -= idle[variant]
                    runs[variant].append(one)
            if len({one["output"] for variant in VARIANTS for one in runs[variant]}) != 1:
                sys.exit(f"{kernel}: different output")
            for variant in VARIANTS:
                pairs = zip(runs[variant], runs["none"])
                ratios[variant].append(statistics.median(one["time"] / none["time"] for one, none in pairs))
            none, lines, full = show(runs, "time", ".3f")
            print(f"{kernel:<10} {none:>9} {lines:>18} {full:>18}", flush=True)
        means = {variant: math.exp(statistics.fmean(map(math.log, ratios[variant]))) for variant in VARIANTS}
        print(f"{'geometric mean':<19}  {means['lines']:>17.3f} {means['full']:>18.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--wasmscope", default=str(HERE.parent.parent / "target/release/wasmscope"))
    common.add_argument("--rounds", type=int, default=7)
    common.add_argument("--opt-level", default="2")
    common.add_argument("--option", action="append", default=[], help="another option for `wasmscope compile`")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("compile", parents=[common], help="time, memory and artifact size of compiling modules")
    command.add_argument("modules", nargs="+")
    command.set_defaults(run=compile_modules)
    command = commands.add_parser("run", parents=[common], help="run time of the kernels")
    command.add_argument("--module", default=str(HERE / "kernels/kernels-debug.wasm"))
    command.add_argument("kernels", nargs="*")
    command.set_defaults(run=run_kernels)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
