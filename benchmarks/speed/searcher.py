"""The time of a search by words: through an open Searcher, beside a slow filter, from the shell; one JSON object out.

    python -m benchmarks.speed.searcher [--codes 500000] [--rounds 50] [--before CHECKOUT] [--folder FOLDER]

A made collection of captions and vectors is trained on, and all of it is indexed: 64 bits, captions and labels as
items. A time is the median over the rounds, encoding of the query and the items of ten hits included. CHECKOUT is an
earlier version of this project with `crossbit.retrieval.search_words`, which opens everything anew for each search.
`shell` is processor time of `crossbit search` and of `python -c "import torch"`, in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import crossbit
from benchmarks.common.page import Section, table
from crossbit.search.searcher import Searcher

TRAIN = ("--method", "nrch", "--bits", "64", "--epochs", "3", "--quiet")
WORDS, GROUPS, DIM, TRAINED = 2000, 20, 32, 2000
SLOW = " OR ".join(f"contains(lower(strip_accents(caption)), 'no such {number}')" for number in range(30))
BEFORE = """
import json, sys, time
import crossbit
from crossbit.retrieval import search_words
model, seconds = crossbit.load_model(sys.argv[1]), []
for words in json.loads(sys.argv[2]):
    start = time.perf_counter()
    found = search_words(model, sys.argv[1] + "/index", words)
    assert len(found["image"]) == 10
    seconds.append(time.perf_counter() - start)
print(json.dumps(seconds))
"""


def collection(path: Path, codes: int) -> None:
    """Captions of five words, vectors that are sums of the words' own, and the group of the first word as label."""
    rng = np.random.default_rng(0)
    names = np.array([f"{a}{b}{c}" for a in "bdfgklmnprst" for b in ("ad", "el", "ir", "os", "ur") for c in range(34)])
    said = rng.integers(WORDS, size=(codes, 5))
    own = rng.normal(size=(WORDS, DIM)).astype(np.float32)
    image = np.zeros((codes, DIM), np.float32)
    for column in said.T:
        image += own[column]
    captions = np.array([" ".join(row) for row in names[said].tolist()])
    rows = np.arange(codes)
    splits = {"train": rows[100 : 100 + TRAINED], "query": rows[:100], "retrieval": rows[100:]}
    np.savez(path, image=image, text=captions, label=said[:, 0] % GROUPS, **splits)


def command(*words: str | Path, checkout: Path | None = None) -> str:
    """What `python WORDS` prints, by this version or an earlier one."""
    env = os.environ if checkout is None else {**os.environ, "PYTHONPATH": str(checkout / "src")}
    return subprocess.run(
        [sys.executable, *map(str, words)], check=True, capture_output=True, text=True, env=env
    ).stdout


def indexed(folder: Path, data: Path, name: str, checkout: Path | None = None) -> Path:
    """A run on the collection and its index."""
    run = folder / name
    if not (run / "index").is_dir():
        command("-m", "crossbit", "train", data, "--out", run, *TRAIN, checkout=checkout)
        command("-m", "crossbit", "index", run, checkout=checkout)
    return run


def milliseconds(search: Callable[[str], Any], queries: list[str]) -> float:
    seconds = []
    for words in queries:
        start = time.perf_counter()
        assert len(search(words)) == 10
        seconds.append(time.perf_counter() - start)
    return round(1000 * statistics.median(seconds), 3)


def beside_a_slow_filter(search: Searcher, queries: list[str]) -> dict[str, float]:
    """Searches while one filter runs in another thread, as many as it lasts."""
    times: list[float] = []
    slow = threading.Thread(target=search, args=(queries[0],), kwargs={"where": SLOW, "time_limit_ms": 600_000})
    start = time.perf_counter()
    slow.start()
    while slow.is_alive():
        times.append(milliseconds(search, [queries[len(times) % len(queries)]]))
    return {
        "median": statistics.median(times),
        "searches": len(times),
        "seconds": round(time.perf_counter() - start, 2),
    }


def open_searcher(run: Path, queries: list[str]) -> dict[str, Any]:
    start = time.perf_counter()
    with crossbit.open_search(run) as search:
        opened = time.perf_counter() - start
        first = milliseconds(search, queries[:1])
        times = {
            "open, s": round(opened, 2),
            "first search": first,
            "search": milliseconds(search, queries),
            "without embeddings": milliseconds(lambda words: search(words, rerank=False), queries),
            "filter": milliseconds(lambda words: search(words, where="label = '7'"), queries),
        }
        return times | {"beside a slow filter": beside_a_slow_filter(search, queries)}


def shell(run: Path, words: str, rounds: int) -> dict[str, float]:
    """Seconds of the processor, the medians over rounds in turns."""
    calls = {"crossbit search": ("-m", "crossbit", "search", run, words), "import torch": ("-c", "import torch")}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            command(*call)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {name: round(statistics.median(each), 3) for name, each in seconds.items()}


def measured(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    data = folder / "collection.npz"
    if not data.exists():
        collection(data, args.codes)
    queries = [str(words) for words in np.load(data)["text"][: min(100, args.rounds)]]
    run = indexed(folder, data, "run")
    results: dict[str, Any] = {
        "searcher": open_searcher(run, queries),
        "shell": shell(run, queries[0], min(5, args.rounds)),
    }
    if args.before:
        old = indexed(folder, data, "before", args.before)
        seconds = json.loads(command("-c", BEFORE, old, json.dumps(queries), checkout=args.before))
        results["before"] = round(1000 * statistics.median(seconds), 3)
    return results


def section(result: dict[str, Any]) -> str:
    held, rows = result["results"], []
    for name, value in held["searcher"].items():
        rows.append([name, f"{value['median'] if isinstance(value, dict) else value:.2f}"])
    if "before" in held:
        rows.append(["each search opened anew (before)", f"{held['before']:.2f}"])
    rows += [[f"shell: `{name}`, s", f"{value:.2f}"] for name, value in held["shell"].items()]
    return table(["", "ms"], rows)


ABOUT = "A search by words, its encoding and the items of ten hits included; medians."
SECTIONS = {"searcher": Section("Search: an open Searcher, and from the shell", ABOUT, section)}


def over_collection(
    about: str | None,
    measured: Callable[[Path, argparse.Namespace], dict[str, Any]],
    *,
    codes: int,
    rounds: int,
    before: bool = False,
) -> None:
    """What benches of the made collection do on the command line: measure in a folder, and print one JSON object."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=codes)
    parser.add_argument("--rounds", type=int, default=rounds)
    if before:
        parser.add_argument("--before", type=Path, help="an earlier version's checkout")
    parser.add_argument("--folder", type=Path, help="kept, and used again if the same collection is there")
    args = parser.parse_args()
    settings = {"codes": args.codes, "rounds": args.rounds, "bits": 64}
    with tempfile.TemporaryDirectory() as made:
        folder = args.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        print(json.dumps({"settings": settings, "results": measured(folder, args)}, indent=1))


if __name__ == "__main__":
    over_collection(__doc__, measured, codes=500_000, rounds=50, before=True)
