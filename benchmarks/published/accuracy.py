"""mAP of both over seeds, a line a run."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.common.runs import read_runs
from benchmarks.published.tables import setup_of
from crossbit.data.types import PairedData


def accuracy(data: PairedData, args: argparse.Namespace) -> dict[str, Any]:
    """Train every variant with every seed; a run that stands in the file already is not repeated."""
    setup = setup_of(vars(args))
    done = {(run["variant"], run["seed"]) for run in read_runs(args.runs) if same(run) == same(vars(args))}
    for seed in range(args.seeds):
        for name in args.variants:
            if (name, seed) in done:
                continue
            start = time.perf_counter()
            line = {"variant": name, "seed": seed, **setup, "precision": args.precision}
            line |= args.adapter.run(data, seed, args, name)
            line["seconds"] = time.perf_counter() - start
            with open(args.runs[0], "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(line, file=sys.stderr)
    return args.adapter.table(read_runs(args.runs))  # type: ignore[no-any-return]


def same(run: dict[str, Any]) -> dict[str, Any]:
    """What runs of one setup share; the data's folder may be another."""
    return {**setup_of(run), "data": Path(run["data"]).stem, "precision": run.get("precision", "32")}
