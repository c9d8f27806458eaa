"""mAP over the whole ranking beside the usual script: a matrix product, an argsort and a loop per query.

    python -m benchmarks.speed.mean_average_precision [--queries 2000] [--codes 200000] [--bits 128] [--classes 38]

The usual script gets its fastest form (float32 codes and labels) and, as its time grows with the queries alone, only
`--usual-queries` of them; its seconds are scaled to all. Both sides are timed in turns. Exactness is checked on the
same run: expected ties against the formula summed place by place, ties by index against a stable sort.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.common.page import Section, compared_table
from benchmarks.common.timing import compared, in_turns, report
from crossbit.bits import pack
from crossbit.bits.compiled import thread_count
from crossbit.evaluation import average_precision, mean_average_precision


def usual(query: np.ndarray, database: np.ndarray, labels: np.ndarray, other: np.ndarray, sort: str) -> np.ndarray:
    """AP of each query as the field computes it; codes of -1 and +1 (m, bits), (n, bits), labels 0/1."""
    values = np.full(len(query), np.nan)
    for i in range(len(query)):
        relevant = (labels[i] @ other.T) > 0
        distance = 0.5 * (query.shape[1] - query[i] @ database.T)
        ranked = relevant[np.argsort(distance, kind=sort)]
        ranks = np.flatnonzero(ranked) + 1.0
        if len(ranks):
            values[i] = np.mean(np.arange(1, len(ranks) + 1) / ranks)
    return values


def expected(query: np.ndarray, database: np.ndarray, labels: np.ndarray, other: np.ndarray) -> np.ndarray:
    """AP expected over all orders inside ties (McSherry & Najork 2008), summed place by place."""
    values = np.full(len(query), np.nan)
    for i in range(len(query)):
        distance = (query.shape[1] - query[i] @ database.T) / 2
        relevant = (labels[i] @ other.T) > 0
        total, before, hits = 0.0, 0, 0
        for d in np.unique(distance):
            size, found = int((distance == d).sum()), int(relevant[distance == d].sum())
            place = np.arange(1, size + 1)
            others = (place - 1) * ((found - 1) / (size - 1)) if size > 1 else 0.0
            total += found / size * np.sum((hits + 1 + others) / (before + place))
            before, hits = before + size, hits + found
        if hits:
            values[i] = total / hits
    return values


def compare(ties: str, sort: str, sets: list[np.ndarray], args: argparse.Namespace) -> dict[str, Any]:
    """`sets`: codes of -1 and +1 and 0/1 labels, float32: queries, database, query labels, database labels."""
    few = [sets[0][: args.usual_queries], sets[1], sets[2][: args.usual_queries], sets[3]]
    packed = [pack(sets[0]), pack(sets[1]), sets[2].astype(np.uint8), sets[3].astype(np.uint8)]
    ours = average_precision(*packed, ties=ties)[: args.usual_queries]  # also compiles
    checked = slice(args.checked_queries)
    oracle = (
        expected(few[0][checked], few[1], few[2][checked], few[3])
        if ties == "expected"
        else usual(few[0][checked], few[1], few[2][checked], few[3], "stable")
    )
    calls = {
        "crossbit": lambda: mean_average_precision(*packed, ties=ties),
        "usual": lambda: usual(*few, sort),
    }
    with threadpool_limits(thread_count()):
        seconds = in_turns(calls, args.rounds)
    scaled = [value * len(sets[0]) / len(few[0]) for value in seconds["usual"]]
    difference = float(np.nanmax(np.abs(ours[checked] - oracle)))
    return {**compared(seconds["crossbit"], scaled), "largest_difference_from_oracle": difference}


def section(result: dict[str, Any]) -> str:
    return compared_table(result, "numpy", ["80", "-"])


ABOUT = (
    "Beside the field's usual script: for each query a matrix product, an argsort and a cumulative mean in numpy. "
    "Its time is measured on some of the queries and scaled to all."
)
SECTIONS = {"mean-average-precision": Section("Mean average precision", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--codes", type=int, default=200_000)
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--classes", type=int, default=38)
    parser.add_argument("--usual-queries", type=int, default=40, help="queries of the usual script, per round")
    parser.add_argument("--checked-queries", type=int, default=10, help="queries compared with the oracle")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    codes = [rng.choice(np.float32([-1, 1]), (rows, args.bits)) for rows in (args.queries, args.codes)]
    labels = [(rng.random((rows, args.classes)) < 0.08).astype(np.float32) for rows in (args.queries, args.codes)]
    sets = [*codes, *labels]
    rows = {
        "mAP@all, expected ties; usual: argsort": compare("expected", "quicksort", sets, args),
        "mAP@all, ties by index; usual: stable argsort": compare("index", "stable", sets, args),
    }
    settings = {name: value for name, value in vars(args).items() if name != "out"}
    report(rows, {**settings, "threads": thread_count()}, args.out)


if __name__ == "__main__":
    main()
