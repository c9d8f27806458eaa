"""An index in Milvus beside a local one in the same run: loading, searching, filtering; one JSON object out.

    python -m benchmarks.speed.milvus [--bits 64] [--rows 1000000] [--queries 100] [--repeats 5]

The server is that of the package `milvus` on this machine, in a network namespace of its own which this process goes
into as well, so no relay is between them. The codes are in clusters, as learned codes are: many are equally near.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.page import Section, table
from crossbit.index import Index, open_index

FILTERS = {"no filter": None, "year = 1950 (1 %)": "year = 1950", "year < 1950 (50 %)": "year < 1950"}
PLACES = ("local file", "Milvus")


def timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def clustered(n: int, bits: int, rng: np.random.Generator) -> np.ndarray:
    """Codes around a thousand centres, from which each bit differs with a probability of .06."""
    centres = rng.random((1000, bits)) < 0.5
    codes = np.empty((n, bits // 8), np.uint8)
    for start in range(0, n, 100_000):
        some = centres[rng.integers(1000, size=min(100_000, n - start))]
        codes[start : start + len(some)] = np.packbits(some ^ (rng.random(some.shape) < 0.06), axis=1)
    return codes


def measured(indexes: dict[str, Index], codes: np.ndarray, queries: np.ndarray, repeats: int) -> dict[str, Any]:
    """Seconds of both, in turns; and whether they found the same."""
    n = len(codes)
    items = {"year": 1900 + np.arange(n) % 100, "caption": [f"picture of thing number {i % 1000}" for i in range(n)]}
    load = {
        place: timed(lambda index=index: index.add(range(n), codes, items=items)) for place, index in indexes.items()
    }
    found, searches = [], {}
    for name, where in FILTERS.items():
        for asked, some in (("one query", queries[:1]), (f"{len(queries)} queries", queries)):
            times: dict[str, list[float]] = {place: [] for place in indexes}
            for _ in range(repeats + 1):  # the first is not counted
                hits = {}
                for place, index in indexes.items():
                    start = time.perf_counter()
                    hits[place] = index.search(some, k=10, where=where, time_limit_ms=300_000)
                    times[place].append(time.perf_counter() - start)
                found.append(all(np.array_equal(each.ids, hits["local file"].ids) for each in hits.values()))
            searches[f"{asked}, {name}"] = {place: statistics.median(each[1:]) for place, each in times.items()}
    return {"load seconds": load, "search seconds": searches, "same hits": all(found)}


def section(result: dict[str, Any]) -> str:
    loads = [["load", *(f"{result['load seconds'][place]:.1f} s" for place in PLACES)]]
    searches = [
        [name, *(f"{1000 * times[place]:.1f} ms" for place in PLACES)]
        for name, times in result["search seconds"].items()
    ]
    same = "the same hits to the id in every search" if result["same hits"] else "NOT the same hits"
    text = (
        f"{result['rows']:,} codes of {result['bits']} bits with two columns, k = 10: {same}. "
        f"The server held {result['server MB']:,} MB. Mean load of the machine meanwhile: {result['load average']:.1f} "
        f"of {result['cores']} cores."
    )
    return f"{text}\n\n{table(['', *PLACES], loads + searches)}"


ABOUT = "Milvus 2.3.5 (BIN_FLAT) on the same machine, through pymilvus, beside the local file."
SECTIONS = {"milvus": Section("Milvus", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    from milvus_server import ROOT, MilvusServer, namespace

    namespace()
    rng = np.random.default_rng(0)
    codes = clustered(args.rows, args.bits, rng)
    queries = codes[rng.integers(args.rows, size=args.queries)]
    with tempfile.TemporaryDirectory() as folder, MilvusServer(Path(folder) / "milvus", inside=True) as server:
        indexes = {
            "local file": open_index(f"{folder}/codes.index", bits=args.bits),
            "Milvus": open_index(f"milvus://{ROOT}@{server.address}/codes", bits=args.bits),
        }
        result = measured(indexes, codes, queries, args.repeats)
        result["server MB"] = round(server.memory() / 1e6)
        for index in indexes.values():
            index.close()
    machine = {"cores": os.cpu_count(), "machine": platform.platform(), "load average": os.getloadavg()[1]}
    print(json.dumps({"rows": args.rows, "bits": args.bits, "queries": args.queries, **result, **machine}))


if __name__ == "__main__":
    main()
