"""Rows per second into a local index, and the time of a search with and without a filter; one JSON object out.

    python -m benchmarks.speed.index [--bits 64] [--rows 1000000] [--batches 1000 10000 100000] [--adds 50]

Every add is one durable transaction with its check for ids that are there already; ids come in random order, which is
the hard case for that check. A batch's time is the median over its adds, which take turns with the other batch sizes
and forms.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.page import Section, table
from crossbit.bits import planes
from crossbit.index import LocalIndex
from crossbit.index.duckfile import open_file


def timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def item_columns(ids: np.ndarray) -> dict[str, list[Any]]:
    """Four columns as of a picture collection: text, int, float, list of text."""
    return {
        "caption": [f"a picture of thing number {i % 1000}" for i in ids.tolist()],
        "year": (1900 + ids % 125).tolist(),
        "score": (ids % 97 / 97).tolist(),
        "tags": [[f"tag {i % 10}", "picture"] for i in ids.tolist()],
    }


def as_dicts(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


class Bare:
    """The same rows into the same table by DuckDB alone: no check of ids, nothing in memory. What an index adds to."""

    def __init__(self, path: Path, bits: int) -> None:
        self.connection, *_ = open_file(path, bits, False)
        self.columns = ", ".join(f"_word{word}" for word in range(-(-bits // 64)))

    def add(self, ids: np.ndarray, codes: np.ndarray, items: None) -> None:
        words = {f"_word{i}": words for i, words in enumerate(planes(codes))}
        self.connection.register("given", {"id": ids, **words})
        self.connection.execute(f"INSERT INTO items (id, {self.columns}) SELECT * FROM given")


def bench_adds(folder: Path, args: argparse.Namespace, rng: np.random.Generator) -> dict[str, Any]:
    """By what is added and batch size: rows per second, and per second of processor time (on a busy machine)."""
    forms: dict[str, tuple[Any, Callable[[np.ndarray], Any]]] = {
        "DuckDB alone": (Bare, lambda ids: None),
        "codes": (LocalIndex, lambda ids: None),
        "items as dicts": (LocalIndex, lambda ids: as_dicts(item_columns(ids))),
        "items as columns": (LocalIndex, item_columns),
    }
    seconds: dict[tuple[str, int], list[tuple[float, float]]] = {}
    indexes = {form: make(folder / f"{form}.duckdb", bits=args.bits) for form, (make, _) in forms.items()}
    adds = {batch: max(3, min(args.adds, args.rows // batch)) for batch in args.batches}
    order = [batch for turn in range(max(adds.values())) for batch in args.batches if turn < adds[batch]]
    ids, taken = rng.permutation(2 * sum(order)), 0  # half of the range stays free
    for batch in order:
        rows, taken = ids[taken : taken + batch], taken + batch
        codes = rng.integers(0, 256, (batch, args.bits // 8), dtype=np.uint8)
        for form, (_, make_items) in forms.items():
            items = make_items(rows)
            wall, cpu = time.perf_counter(), time.process_time()
            indexes[form].add(rows, codes, items)
            times = time.perf_counter() - wall, time.process_time() - cpu
            seconds.setdefault((form, batch), []).append(times)
    speeds: dict[str, Any] = {form: {} for form in forms}
    for (form, batch), times in seconds.items():
        wall, cpu = (batch / statistics.median(column) for column in zip(*times, strict=True))
        speeds[form][str(batch)] = {"rows per second": round(wall), "rows per processor second": round(cpu)}
    return speeds


def sync_seconds(folder: Path) -> float:
    """What the disk takes to make a small write durable, which every add waits for once; median of several."""
    with open(folder / "sync", "wb") as file:
        times = []
        for _ in range(21):
            file.write(bytes(32_000))
            file.flush()
            times.append(timed(lambda: os.fdatasync(file.fileno())))
    return statistics.median(times)


def bench_search(path: Path, args: argparse.Namespace, rng: np.random.Generator) -> dict[str, float]:
    """Seconds of one search, median of several, over an index of `rows` codes with items."""
    ids = rng.permutation(args.rows)
    codes = rng.integers(0, 256, (args.rows, args.bits // 8), dtype=np.uint8)
    queries = rng.integers(0, 256, (args.queries, args.bits // 8), dtype=np.uint8)
    with LocalIndex(path, bits=args.bits) as index:
        index.add(ids, codes, items={"year": 1900 + ids % 125, "caption": [f"thing {i % 1000}" for i in ids.tolist()]})
    with LocalIndex(path) as index:
        calls: dict[str, Callable[[], Any]] = {
            "no filter": lambda: index.search(queries),
            "year = 1950": lambda: index.search(queries, where="year = 1950"),
            "year < 1960": lambda: index.search(queries, where="year < 1960"),
            "caption LIKE '%7%'": lambda: index.search(queries, where="caption LIKE '%7%'"),
            "one query and its items": lambda: index.search(queries[:1])[0],
        }
        first = timed(lambda: index.search(queries[:1]))
        times = {name: [timed(call) for _ in range(args.repeats)] for name, call in calls.items()}
    return {"first search": first, **{name: statistics.median(values) for name, values in times.items()}}


def section(result: dict[str, Any]) -> str:
    forms = result["adds"]
    batches = list(next(iter(forms.values())))
    rows = [[form, *(f"{of[batch]['rows per second']:,}" for batch in batches)] for form, of in forms.items()]
    adds = table(["rows per second, each add durable", *(f"batches of {int(batch):,}" for batch in batches)], rows)
    seconds = [[name, f"{1000 * value:.1f}"] for name, value in result["search seconds"].items()]
    size = f"{result['rows']:,} rows of {result['bits']} bits"
    text = f"Search of {result['queries']} queries, unless said otherwise, over {size}:"
    return "\n\n".join([adds, text, table(["", "milliseconds"], seconds)])


ABOUT = "One DuckDB file, every add one durable transaction with its check for ids."
SECTIONS = {"index": Section("Local index", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="rows of the searched index, and at most per batch size"
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--adds", type=int, default=50, help="adds of each batch size, at most")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=7, help="of every search")
    parser.add_argument("--folder", type=Path, help="where the files are made (default: a temporary folder)")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        with LocalIndex(Path(folder) / "warm.duckdb", bits=args.bits) as index:  # compiles the kernels
            index.add([1], np.zeros((1, args.bits // 8), np.uint8))
            index.search(np.zeros((1, args.bits // 8), np.uint8), where="id = 1")
        adds = bench_adds(Path(folder), args, rng)
        sync = sync_seconds(Path(folder))
        seconds = bench_search(Path(folder) / "search.duckdb", args, rng)
    settings = {name: value for name, value in vars(args).items() if name != "folder"}
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    print(json.dumps({**settings, **machine, "sync seconds": sync, "adds": adds, "search seconds": seconds}, indent=1))


if __name__ == "__main__":
    main()
