#!/usr/bin/env python3
"""Compares recordings of step_record.py.

    compare.py table NATIVE.json LABEL=JIT.json ... [--differences N]    print the table, list the first differences
    compare.py json NATIVE.json JIT.json                                 the same figures as JSON
    compare.py open NATIVE.json OTHER.json ...                           NATIVE with the values left open (null) that
                                                                         the other native recordings do not confirm

Stops are matched by the longest common subsequence of (function, line): a native stop is met if it takes part. Stops that
repeat the one before, the same line of the same call, are folded into it on both sides: a compiler that jumps into the tail
of another line makes gdb stop twice at one line, and another compiler need not. The share without folding is shown too. At
each stop that is met, a native variable reads the same if all its scalars do; open ones are not asked for, and neither are
those that the native build has optimized out or cannot read: what is shown of them here is counted as gained. Beside that,
how many different lines either build stops at, and how many variables it shows at the stops that are met, whatever they
say.
"""

import json
import sys


def longest_common(left, right):
    """Pairs of indices of a longest common subsequence."""
    start = 0
    while start < len(left) and start < len(right) and left[start] == right[start]:
        start += 1
    end = 0
    while end < len(left) - start and end < len(right) - start and left[-1 - end] == right[-1 - end]:
        end += 1
    a, b = left[start : len(left) - end], right[start : len(right) - end]
    lengths = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) - 1, -1, -1):
        row, below, wanted = lengths[i], lengths[i + 1], a[i]
        for j in range(len(b) - 1, -1, -1):
            row[j] = below[j + 1] + 1 if wanted == b[j] else max(below[j], row[j + 1])
    pairs = [(index, index) for index in range(start)]
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            pairs.append((start + i, start + j))
            i, j = i + 1, j + 1
        elif lengths[i + 1][j] >= lengths[i][j + 1]:
            i += 1
        else:
            j += 1
    pairs += [(len(left) - k, len(right) - k) for k in range(end, 0, -1)]
    return pairs


def key(stop):
    return (stop["function"], stop["line"])


def load(path):
    with open(path) as file:
        return json.load(file)


GONE = "<optimized out>"


def is_shown(text):
    """Whether a scalar is there to be seen."""
    return text != GONE and not text.startswith(("<error", "<unreadable>"))


def shown(leaves):
    """Whether anything of a variable is there to be seen."""
    return any(text is None or is_shown(text) for text in leaves.values())


def folded(stops):
    """The stops without those that repeat the one before them."""
    kept = []
    for stop in stops:
        if not kept or key(stop) + (stop["depth"],) != key(kept[-1]) + (kept[-1]["depth"],):
            kept.append(stop)
    return kept


def compare(native, other):
    """The figures and the differences of one recording against the native one."""
    left, right = native["stops"], other["stops"]
    unfolded = len(longest_common([key(stop) for stop in left], [key(stop) for stop in right]))
    unfolded_native = len(left)
    left, right = folded(left), folded(right)
    pairs = longest_common([key(stop) for stop in left], [key(stop) for stop in right])
    met, common = {i for i, _ in pairs}, {j for _, j in pairs}
    differences = []
    asked = equal = depth_equal = gained = shown_there = shown_here = 0
    for i, j in pairs:
        depth_equal += left[i]["depth"] == right[j]["depth"]
        there = {name: leaves for name, leaves in right[j]["variables"]}
        shown_there += sum(shown(leaves) for _, leaves in left[i]["variables"])
        shown_here += sum(shown(leaves) for leaves in there.values())
        for name, leaves in left[i]["variables"]:
            gained += not shown(leaves) and shown(there.get(name, {}))
            wanted = {path: text for path, text in leaves.items() if text is not None and is_shown(text)}
            if not wanted:
                continue
            asked += 1
            where = "%s:%d %s" % (left[i]["function"], left[i]["line"], name)
            if name not in there:
                differences.append((where, "there", "missing"))
                continue
            wrong = [(path, text, there[name].get(path)) for path, text in wanted.items() if there[name].get(path) != text]
            equal += not wrong
            if wrong:
                path, text, found = wrong[0]
                if found is None:
                    found = "no such part; has " + ", ".join("%s: %s" % it for it in list(there[name].items())[:3])
                differences.append((where + path, text, found))
    for i, stop in enumerate(left):
        if i not in met:
            differences.append(("stop %d %s:%d" % (i, stop["function"], stop["line"]), "met", "not met"))
    for j, stop in enumerate(right):
        if j not in common:
            differences.append(("stop %d %s:%d" % (j, stop["function"], stop["line"]), "no stop", "extra stop"))
    return {
        "unfolded_native_stops": unfolded_native,
        "unfolded_stops_met": unfolded,
        "native_stops": len(left),
        "stops_met": len(pairs),
        "extra_stops": len(right) - len(common),
        "depth_equal": depth_equal,
        "native_values": asked,
        "values_equal": equal,
        "values_gained": gained,
        "native_shown": shown_there,
        "shown": shown_here,
        "native_lines": len({key(stop) for stop in left}),
        "lines": len({key(stop) for stop in right}),
        "lines_common": len({key(stop) for stop in left} & {key(stop) for stop in right}),
        "note": other["note"],
        "differences": differences,
    }


def share(part, whole):
    return "%.1f %%" % (100.0 * part / whole) if whole else "-"


def table(native_path, others, limit):
    native = load(native_path)
    print(
        "%-24s %9s %9s %10s %9s %8s %9s %9s %8s %13s %17s"
        % ("", "stops", "met", "unfolded", "share", "extra", "values", "equal", "gained", "lines", "variables shown")
    )
    for other in others:
        label, _, path = other.partition("=")
        result = compare(native, load(path))
        print(
            "%-24s %9d %9d %10s %9s %8d %9d %9s %8d %13s %17s"
            % (
                label,
                result["native_stops"],
                result["stops_met"],
                share(result["unfolded_stops_met"], result["unfolded_native_stops"]),
                share(result["stops_met"], result["native_stops"]),
                result["extra_stops"],
                result["native_values"],
                share(result["values_equal"], result["native_values"]),
                result["values_gained"],
                "%d of %d + %d"
                % (
                    result["lines_common"],
                    result["native_lines"],
                    result["lines"] - result["lines_common"],
                ),
                "%d, native %d" % (result["shown"], result["native_shown"]),
            )
        )
        if result["note"] != native["note"]:
            print("    the session ended otherwise: %s" % result["note"])
        for where, wanted, found in result["differences"][:limit]:
            print("    %s: native %s, here %s" % (where, wanted, found))


def leave_open(native_path, others):
    native = load(native_path)
    for path in others:
        other = load(path)
        pairs = longest_common([key(stop) for stop in native["stops"]], [key(stop) for stop in other["stops"]])
        for i, j in pairs:
            there = {name: leaves for name, leaves in other["stops"][j]["variables"]}
            for name, leaves in native["stops"][i]["variables"]:
                if name in there:
                    for path, text in leaves.items():
                        if there[name].get(path) != text:
                            leaves[path] = None
    json.dump(native, sys.stdout, separators=(",", ":"))
    print()


def main(arguments):
    limit = 20
    if "--differences" in arguments:
        at = arguments.index("--differences")
        limit = int(arguments[at + 1])
        del arguments[at : at + 2]
    match arguments:
        case ["table", native, *others]:
            table(native, others, limit)
        case ["json", native, other]:
            json.dump(compare(load(native), load(other)), sys.stdout)
        case ["open", native, *others]:
            leave_open(native, others)
        case _:
            sys.exit(__doc__)


main(sys.argv[1:])
