"""Exact Hamming search beside faiss IndexBinaryFlat: many queries, and one query at a time.

    python -m benchmarks.speed.search [--codes 1000000] [--queries 1000] [--bits 64] [--k 100] [--one-codes 10000000]

Random codes. Both sides use the same number of threads, are timed in turns, and must find the same distances. A table
on standard error, one JSON object on standard output.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.common.page import Section, compared_table
from benchmarks.common.timing import compared, in_turns, report
from crossbit.bits import planes, top_k
from crossbit.bits.compiled import thread_count


def many(codes: np.ndarray, queries: np.ndarray, args: argparse.Namespace) -> dict[str, Any]:
    """All queries in one call."""
    words, index = planes(codes), flat(codes)
    ours, theirs = top_k(queries, words, args.k, threads=args.threads), index.search(queries, args.k)
    seconds = in_turns(
        {
            "crossbit": lambda: top_k(queries, words, args.k, threads=args.threads),
            "faiss": lambda: index.search(queries, args.k),
        },
        args.rounds,
    )
    return {**compared(seconds["crossbit"], seconds["faiss"]), **agreement(ours, theirs)}


def one(codes: np.ndarray, queries: np.ndarray, args: argparse.Namespace) -> dict[str, Any]:
    """One query a call; seconds are those of a call."""
    words, index = planes(codes), flat(codes)
    ours = [np.concatenate(part) for part in zip(*(top_k(q[None], words, args.k) for q in queries), strict=True)]
    theirs = index.search(queries, args.k)
    ours_seconds, faiss_seconds = [], []
    for q in queries:
        seconds = in_turns(
            {
                "crossbit": lambda q=q: top_k(q[None], words, args.k, threads=args.threads),
                "faiss": lambda q=q: index.search(q[None], args.k),
            },
            args.rounds,
        )
        ours_seconds += seconds["crossbit"]
        faiss_seconds += seconds["faiss"]
    return {**compared(ours_seconds, faiss_seconds), **agreement(ours, theirs)}


def flat(codes: np.ndarray) -> Any:
    index = faiss.IndexBinaryFlat(8 * codes.shape[1])
    index.add(codes)
    return index


def agreement(ours: Any, theirs: Any) -> dict[str, bool]:
    return {
        "same_distances": bool(np.array_equal(ours[0], theirs[0])),
        "same_positions": bool(np.array_equal(ours[1], theirs[1])),
    }


def section(result: dict[str, Any]) -> str:
    return compared_table(result, "faiss", ["2", "2.5"])


ABOUT = "Top-100 beside faiss `IndexBinaryFlat`, random codes. The same positions, too: both order by (distance, id)."
SECTIONS = {"search": Section("Exact Hamming search", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--one-codes", type=int, default=10_000_000, help="codes for one query at a time")
    parser.add_argument("--one-queries", type=int, default=5, help="how many of them")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=thread_count())
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    args = parser.parse_args()
    faiss.omp_set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    most = max(args.codes, args.one_codes)
    codes = rng.integers(0, 256, (most, args.bits // 8), dtype=np.uint8)
    queries = rng.integers(0, 256, (max(args.queries, args.one_queries), args.bits // 8), dtype=np.uint8)
    rows = {
        f"{args.queries:,} queries x {args.codes:,} codes": many(codes[: args.codes], queries[: args.queries], args),
        f"one query x {args.one_codes:,} codes": one(codes[: args.one_codes], queries[: args.one_queries], args),
    }
    settings = {name: value for name, value in vars(args).items() if name != "out"}
    report(rows, {**settings, "faiss": f"{faiss.__version__} {faiss.get_compile_options().strip()}"}, args.out)


if __name__ == "__main__":
    main()
