"""A search from the shell in an exported folder, where PyTorch cannot be imported, beside one in the run.

    python -m benchmarks.speed.export [--codes 100000] [--rounds 7] [--folder FOLDER]

The collection, the run and its index are those of `benchmarks.speed.searcher`. Each round starts every command once,
in turns, as a process of its own: the median and the least of seconds by the clock, the median of the processor's.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.page import Section, table
from benchmarks.speed.searcher import collection, command, indexed, over_collection

WITHOUT = "import sys; sys.modules['torch'] = None; "
IMPORT = f"{WITHOUT}import crossbit; crossbit.open_search, crossbit.load_model"
SEARCH = f"{WITHOUT}from crossbit.cli import main; sys.exit(main(sys.argv[1:]))"


def timed(calls: dict[str, tuple[str, ...]], rounds: int) -> dict[str, dict[str, float]]:
    """By call the medians over the rounds."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            command(*call)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            taken[name].append((time.perf_counter() - start, processor))
    found = {}
    for name, pairs in taken.items():
        clock, processor = zip(*pairs, strict=True)
        figures = {"clock": statistics.median(clock), "fastest": min(clock), "processor": statistics.median(processor)}
        found[name] = {figure: round(value, 3) for figure, value in figures.items()}
    return found


def measured(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    data, taken = folder / "collection.npz", folder / "taken"
    if not data.exists():
        collection(data, args.codes)
    words, run = str(np.load(data)["text"][0]), indexed(folder, data, "run")
    command("-m", "crossbit", "export", run, "--out", taken)
    card = json.loads((taken / "card.json").read_text())["export"]
    for other in (str(run), str(taken)):  # what the first reading of a file costs is not counted
        command("-m", "crossbit", "search", other, words)
    calls = {
        "python, nothing else": ("-c", "pass"),
        "import crossbit, search and model, without torch": ("-c", IMPORT),
        "crossbit search DIR, without torch": ("-c", SEARCH, "search", str(taken), words),
        "crossbit search RUN, with torch": ("-m", "crossbit", "search", str(run), words),
    }
    return {"seconds": timed(calls, args.rounds), "compared": card["compared"], "python": sys.version.split()[0]}


def section(result: dict[str, Any]) -> str:
    held = result["results"]
    rows = [
        [name, *(f"{each[figure]:.2f}" for figure in ("clock", "fastest", "processor"))]
        for name, each in held["seconds"].items()
    ]
    same = "; ".join(
        f"{modality}: {each['bytes_that_differ']} bytes differ from PyTorch's on {each['rows']:,} rows, "
        f"{each['near_zero']:,} of {each['outputs']:,} outputs within 1e-5 of zero"
        for modality, each in held["compared"].items()
    )
    return (
        table(["", "s", "the fastest, s", "of the processor, s"], rows)
        + f"\n\n{result['settings']['codes']:,} codes. {same}."
    )


ABOUT = (
    "Each a process of its own, in turns: the median and the least, and the median of the processor's time. Where it "
    "says so, `import torch` raises an error."
)
SECTIONS = {"export": Section("An exported folder, from the shell", ABOUT, section)}


if __name__ == "__main__":
    over_collection(__doc__, measured, codes=100_000, rounds=7)
