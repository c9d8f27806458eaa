"""Ways to find the nearest codes without comparing all: cells of our own, faiss's binary IVF, multi-index hashing.

    python -m benchmarks.speed.approximate [--codes 1000000] [--flipped 0.1] [--run RUN] [--recall 0.99]

Clustered codes: centres of very unequal sizes, each code with some of its centre's bits flipped. With `--run`, the
codes of that run's indexes, by queries of another modality. Each way looks at more until it finds the share of the
nearest ten that is asked for. Times are those of the processor, of one thread, per query, and the exact search stands
beside them. A table on standard error, one JSON object on standard output.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.common.page import Section, table
from crossbit.bits import planes, top_k
from crossbit.bits.cells import cells_of, centres_of, laid
from crossbit.index import LocalIndex

Found = Callable[[], np.ndarray]  # the distances of what is found


def clustered(n: int, flipped: float, rng: np.random.Generator) -> np.ndarray:
    """Codes of 64 bits around n / 100 centres, of which a few have many codes and many have few."""
    centres = rng.integers(0, 2, (max(1, n // 100), 64), dtype=np.uint8)
    weights = 1 / (1 + np.arange(len(centres))) ** 0.7
    codes = np.empty((n, 8), np.uint8)
    for start in range(0, n, 1 << 18):
        some = codes[start : start + (1 << 18)]
        which = rng.choice(len(centres), len(some), p=weights / weights.sum())
        some[:] = np.packbits(centres[which] ^ (rng.random((len(some), 64)) < flipped), axis=1)
    return codes


def codes_of_run(run: Path, queries: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The codes of a run's images, and some of its texts' as queries."""
    held = []
    for modality in ("image", "text"):
        with LocalIndex(run / "index" / f"{modality}.index", read_only=True) as index:
            held.append(index.codes_of(index.keys()))
    return held[0], rng.permutation(held[1])[:queries]


def seconds(call: Callable[[], Any], rounds: int) -> float:
    """Of the processor; the least of some rounds, as others use the machine, too."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def ways(codes: np.ndarray, queries: np.ndarray, k: int) -> dict[str, tuple[float, Iterable[tuple[str, Found]]]]:
    """By name what building took, and the searches that look at more and more."""
    count = max(1, 2 ** round(np.log2(len(codes)) / 2))
    steps = sorted({min(count, round(1.3**power)) for power in range(0, 60)})
    made: dict[str, tuple[float, Iterable[tuple[str, Found]]]] = {}

    start = time.process_time()
    centres = centres_of(codes, count)
    cells, _ = laid(planes(codes), cells_of(codes, centres), centres)
    own = time.process_time() - start
    made["cells"] = own, ((f"{p}", lambda p=p: cells.top_k(queries, k, p, threads=1)[0]) for p in steps)

    start = time.process_time()
    ivf = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(64), 64, count)
    ivf.train(codes)
    ivf.add(codes)

    def probed(probes: int) -> np.ndarray:
        ivf.nprobe = probes
        return np.asarray(ivf.search(queries, k)[0])

    made["faiss IVF"] = time.process_time() - start, ((f"{p}", lambda p=p: probed(p)) for p in steps)

    start = time.process_time()
    hashed = faiss.IndexBinaryMultiHash(64, 4, 16)
    hashed.add(codes)

    def flipped(bits: int) -> np.ndarray:
        hashed.nflip = bits
        return np.asarray(hashed.search(queries, k)[0])

    multi = ((f"{bits}", lambda bits=bits: flipped(bits)) for bits in range(4))
    made["faiss multi-index hashing"] = time.process_time() - start, multi
    return made


def compared(codes: np.ndarray, queries: np.ndarray, args: argparse.Namespace) -> dict[str, Any]:
    """The first search of each way that finds enough, or its last."""
    words = planes(codes)
    nearest = top_k(queries, words, args.k, threads=1)[0]
    alone = seconds(lambda: [top_k(q[None], words, args.k, threads=1) for q in queries[:20]], args.rounds)
    rows: dict[str, Any] = {"exact": {"recall": 1.0, "ms": 50 * alone, "looks": "all", "build_seconds": 0.0}}
    for name, (build, searches) in ways(codes, queries, args.k).items():
        for looks, search in searches:
            found = search()
            recall = float(((found >= 0) & (found <= nearest[:, -1:])).mean())
            row = {"recall": recall, "looks": looks, "build_seconds": build}
            if recall >= args.recall:
                break
        took = 1000 * seconds(search, args.rounds) / len(queries)
        rows[name] = {"ms": took, **row}
    return rows


def section(result: dict[str, Any]) -> str:
    parts = []
    for name, rows in result["results"].items():
        exact = rows["exact"]["ms"]
        lines = [
            [way, f"{row['recall']:.3f}", f"{row['ms']:.3f}", f"{exact / row['ms']:.1f}", row["looks"]]
            for way, row in rows.items()
        ]
        heads = ["", "recall@10", "ms a query", "times as fast", "cells or flipped bits"]
        parts.append(f"{name}:\n\n{table(heads, lines)}")
    return "\n\n".join(parts)


ABOUT = (
    "Codes of 64 bits, one thread, seconds of the processor: what each way takes to find the share that is asked for."
)
SECTIONS = {"approximate": Section("Nearest codes without comparing all", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=1_000_000)
    parser.add_argument("--flipped", type=float, nargs="+", default=[0.05, 0.1])
    parser.add_argument("--run", type=Path, help="a run with an index, whose codes are compared, too")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--recall", type=float, default=0.99)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    results = {}
    for flipped in args.flipped:
        codes = clustered(args.codes + args.queries, flipped, rng)
        name = f"{args.codes:,} clustered codes, {100 * flipped:g} % of the bits flipped"
        results[name] = compared(codes[: args.codes], codes[args.codes :], args)
    if args.run:
        codes, queries = codes_of_run(args.run, args.queries, rng)
        results[f"{len(codes):,} codes of a run's pictures, texts as queries"] = compared(codes, queries, args)
    print(section({"results": results}), file=sys.stderr)
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
    print(json.dumps({"settings": settings, "results": results}, indent=1))


if __name__ == "__main__":
    main()
