#!/usr/bin/env python3
"""oracle.py BUILD.json PLAIN.json [OPTIMIZED.json]: which values of an optimized build are wrong.

BUILD is a recording (step_record.py) of the optimized build. PLAIN is one of the native build without optimization, which says
what the source means: at each stop that both have, each scalar that BUILD shows must be the one that PLAIN shows. OPTIMIZED is one
of the native optimized build: what it shows as well is no fault of the translation. The stops are aligned so that as
many values as possible agree. A value that PLAIN shows at one of the three stops before or after in the function is counted
as `near`: optimized code has other orders.
"""

import json
import sys

GONE = "<optimized out>"


def load(path):
    with open(path) as file:
        stops = json.load(file)["stops"]
    for stop in stops:
        stop["values"] = {(name, part): text for name, parts in stop["variables"] for part, text in parts.items()}
    return stops


def shown(text):
    return text is not None and text != GONE and text != "<unreadable>" and not text.startswith("<error")


def likeness(one, other):
    """How well two stops fit, 0 for not at all."""
    if (one["function"], one["line"]) != (other["function"], other["line"]):
        return 0
    both = [key for key, text in one["values"].items() if shown(text) and shown(other["values"].get(key))]
    equal = sum(one["values"][key] == other["values"][key] for key in both)
    return 1 + 2 * (equal / len(both) if both else 0.5) + (one["depth"] == other["depth"])


def align(left, right):
    """Index in `left` to index in `right`."""
    best = [[0.0] * (len(right) + 1) for _ in range(len(left) + 1)]
    scores = {}
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            best[i][j] = max(best[i + 1][j], best[i][j + 1])
            score = likeness(left[i], right[j])
            if score:
                scores[i, j] = score
                best[i][j] = max(best[i][j], score + best[i + 1][j + 1])
    pairs = {}
    i = j = 0
    while i < len(left) and j < len(right):
        if (i, j) in scores and abs(best[i][j] - scores[i, j] - best[i + 1][j + 1]) < 1e-9:
            pairs[i] = j
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def near(stops, at, key):
    """What the three stops before and after in the function show."""
    found = []
    for step in (-1, 1):
        inside = (stop for stop in stops[at + step :: step] if stop["function"] == stops[at]["function"])
        found += [stop["values"].get(key) for _, stop in zip(range(3), inside)]
    return found


def main(build, plain, optimized=None):
    build, plain = load(build), load(plain)
    optimized = load(optimized) if optimized else []
    to_plain, to_optimized = align(build, plain), align(build, optimized)
    counts = dict.fromkeys(["shown", "equal", "as optimized", "near", "wrong"], 0)
    wrong = []
    for i, stop in enumerate(build):
        if i not in to_plain:
            continue
        for key, text in stop["values"].items():
            wanted = plain[to_plain[i]]["values"].get(key)
            if not shown(text) or wanted is None:
                continue
            counts["shown"] += 1
            there = optimized[to_optimized[i]]["values"].get(key) if i in to_optimized else None
            if text == wanted:
                counts["equal"] += 1
            elif text == there:
                counts["as optimized"] += 1
            elif text in near(plain, to_plain[i], key):
                counts["near"] += 1
            else:
                counts["wrong"] += 1
                wrong.append("%s:%d %s: %s, not %s" % (stop["function"], stop["line"], "".join(key), text, wanted))
    print(", ".join("%s %d" % it for it in counts.items()))
    for line in wrong:
        print("    " + line)


if len(sys.argv) not in (3, 4):
    sys.exit(__doc__)
main(*sys.argv[1:])
