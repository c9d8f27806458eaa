"""A large local index: one query beside the memory's bound, other libraries, many queries, filters, and a file of 10^8.

    python -m benchmarks.speed.large [--codes 10000000] [--file-codes 100000000] [--queries 1000]

Random codes of 64 bits. The bound is a plain compiled read of the same bytes by as many threads, in turns with the
search. The file is a real index, made in a temporary folder: it is opened by `LocalIndex`, whose codes are
memory-mapped, and searched; what it finds is compared with a plain count. `pip install usearch` puts usearch beside it.
A table on standard error, one JSON object on standard output.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numba import njit

from benchmarks.common.page import Section, table
from benchmarks.common.timing import in_turns
from crossbit.bits import mask_words, planes, top_k
from crossbit.bits.compiled import run, thread_count
from crossbit.index import LocalIndex

SHARES = (0.01, 0.1, 0.5)  # of the codes that a filter lets through
AT_ONCE = 5_000_000  # codes made and added at a time


@njit(nogil=True)
def read(words: np.ndarray, out: np.ndarray) -> None:
    """Look at all words, and do as little with them as can be."""
    held = np.uint64(0)
    for word in words:
        held |= word
    out[0] = held


def bound(words: np.ndarray, threads: int) -> None:
    """Read all words by several threads."""
    edges = np.linspace(0, len(words), threads + 1).astype(int)
    outs = np.empty((threads, 1), np.uint64)
    run([partial(read, words[edges[t] : edges[t + 1]], outs[t]) for t in range(threads)], threads)


def medians(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each, the median over rounds in turns; the first call of each is not counted."""
    for call in calls.values():
        call()
    return {name: statistics.median(found) for name, found in in_turns(calls, rounds).items()}


def in_memory(codes: np.ndarray, queries: np.ndarray, args: argparse.Namespace) -> dict[str, Any]:
    """One query and many, beside the bound and other libraries; and one with masks."""
    words, one, k = planes(codes), queries[:1], args.k
    flat = faiss.IndexBinaryFlat(64)
    flat.add(codes)
    calls: dict[str, Callable[[], object]] = {
        "reading all codes": lambda: bound(words[0], args.threads),
        "one query": lambda: top_k(one, words, k, threads=args.threads),
    }
    random = np.random.default_rng(1).random(len(codes))
    for share in SHARES:
        mask = mask_words(random < share)
        calls[f"one query, a filter of {100 * share:g} %"] = lambda mask=mask: top_k(
            one, words, k, mask=mask, threads=args.threads
        )
    seconds = medians(calls, args.rounds)
    others: dict[str, Callable[[], object]] = {"one query, faiss flat": lambda: flat.search(one, k)}
    usearch = "not installed"
    if find_spec("usearch"):
        from usearch.index import search

        others["one query, usearch exact"] = lambda: search(codes, one, k, "hamming", exact=True)
        usearch = "measured"
    seconds |= medians(others, args.rounds)  # by themselves: faiss's threads wait busily for a moment after each call
    together = {
        f"{len(queries):,} queries": lambda: top_k(queries, words, k, threads=args.threads),
        f"{len(queries):,} queries, faiss flat": lambda: flat.search(queries, k),
    }
    seconds |= medians(together, min(3, args.rounds))
    if args.lists:
        ivf = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(64), 64, args.lists)
        ivf.train(codes[: 64 * args.lists])
        ivf.add(codes)
        ivf.nprobe = max(1, args.lists // 32)
        seconds |= medians({"one query, faiss IVF, a 32nd of its lists": lambda: ivf.search(one, k)}, args.rounds)
    same = np.array_equal(top_k(queries, words, k)[0], flat.search(queries, k)[0])
    return {"seconds": seconds, "same distances": bool(same), "usearch": usearch}


def in_file(folder: Path, args: argparse.Namespace, rng: np.random.Generator) -> dict[str, Any]:
    """A real index: how long it takes to open, to answer first and again, with filters, and by cells."""
    path, n = folder / "large.index", args.file_codes
    query = rng.integers(0, 256, (1, 8), dtype=np.uint8)
    nearest: list[int] = []
    with LocalIndex(path, bits=64) as index:
        for start in range(0, n, AT_ONCE):
            ids = np.arange(start, min(start + AT_ONCE, n))
            codes = rng.integers(0, 256, (len(ids), 8), dtype=np.uint8)
            near = np.bitwise_count(codes ^ query).sum(axis=1)
            nearest = sorted([*nearest, *np.partition(near, min(args.k, len(near)) - 1)[: args.k].tolist()])[: args.k]
            index.add(ids, codes, {"percent": ids % 100})
        index.prepare(least=1)
    start = time.perf_counter()
    index = LocalIndex(path, read_only=True)
    seconds = {"opening": time.perf_counter() - start}
    with index:
        start = time.perf_counter()
        hits = index.search(query, args.k)
        seconds["the first answer"] = time.perf_counter() - start
        seconds |= medians({"an answer": lambda: index.search(query, args.k)}, args.rounds)
        number, asked = count(), partial(index.search, query, args.k, time_limit_ms=1e6)
        filters = [f"percent < {round(100 * share)}" for share in SHARES]
        new = {  # a remark makes it another filter
            f"an answer, {where}, for the first time": lambda where=where: asked(where=f"{where} -- {next(number)}")
            for where in filters
        }
        known = {f"an answer, {where}, again": lambda where=where: asked(where=where) for where in filters}
        seconds |= medians(new, args.rounds) | medians(known, args.rounds)
    return {"codes": n, "seconds": seconds, "same distances": hits.distances[0].tolist() == nearest}


def section(result: dict[str, Any]) -> str:
    held = result["in memory"]["seconds"]
    read_all = held["reading all codes"]
    rows = [[name, f"{1000 * took:.1f}", f"{took / read_all:.2f}"] for name, took in held.items()]
    parts = [table([f"{result['settings']['codes']:,} codes in memory", "ms", "times the bound"], rows)]
    if result.get("file"):
        rows = [[name, f"{1000 * took:.1f}"] for name, took in result["file"]["seconds"].items()]
        parts.append(table([f"a file of {result['file']['codes']:,} codes", "ms"], rows))
    if result["in memory"]["usearch"] != "measured":
        parts.append("usearch was not installed.")
    held = [result[name] for name in ("in memory", "file") if result.get(name)]
    same = all(one["same distances"] for one in held)
    parts.append("Same distances." if same else "DISTANCES DIFFER.")
    return "\n\n".join(parts)


ABOUT = (
    "Random codes of 64 bits. The bound is a plain compiled read of the same bytes by the same number of threads, in "
    "the same run. Filters in memory are masks; in the file they are SQL, which DuckDB evaluates the first time."
)
SECTIONS = {"large": Section("Ten million codes, and a file of a hundred million", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=10_000_000)
    parser.add_argument("--file-codes", type=int, default=100_000_000, help="0 makes no file")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--lists", type=int, default=1024, help="of faiss's IVF; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=thread_count())
    parser.add_argument("--folder", type=Path, help="where the file is made (default: a temporary folder)")
    args = parser.parse_args()
    faiss.omp_set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (args.codes, 8), dtype=np.uint8)
    queries = rng.integers(0, 256, (args.queries, 8), dtype=np.uint8)
    settings = {name: value for name, value in vars(args).items() if name != "folder"}
    result: dict[str, Any] = {"settings": settings, "in memory": in_memory(codes, queries, args)}
    del codes
    if args.file_codes:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            result["file"] = in_file(Path(folder), args, rng)
    print(section(result), file=sys.stderr)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
