"""What studies of single methods share: their data, one training with its scores, and the runs that a file holds."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.data.types import PairedData
from crossbit.evaluation import evaluate
from crossbit.evaluation.report import DATABASES
from crossbit.features.paired import choose_features, features_of, fit_featurisers
from crossbit.training import train


def tell_of_runs(about: str | None, figures: Callable[[str, str | None], Any]) -> None:
    """A script's work: the figures of each NAME=RUN[,DATA] that is typed, as one JSON object by name.

    Args:
        about: what the script says of itself.
        figures: of the folder of a run, and of the place of its data, if that is typed.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN[,DATA]")
    found = {}
    for each in parser.parse_args().runs:
        name, _, place = each.partition("=")
        run, _, source = place.partition(",")
        found[name] = figures(run, source or None)
    print(json.dumps(found, indent=1))


def as_vectors(data: PairedData, modalities: Sequence[str]) -> PairedData:
    """These modalities alone, as the features that training takes by default: vectors are scaled."""
    fitted = fit_featurisers(data, choose_features(data, modalities), seed=0)
    rows = np.arange(data.n)
    return data.replace(modalities={m: features_of(fitted[m], data[m], rows) for m in modalities})


def run_one(data: PairedData, run: dict[str, Any]) -> dict[str, Any]:
    """Train on vectors, and score against both databases; processor time beside the clock's, as machines are shared."""
    clock, processor = time.perf_counter(), time.process_time()
    options = {key: run[key] for key in ("method", "bits", "noise", "seed", "settings")}
    features = dict.fromkeys(data.modalities, "scaled" if run["scale"] else "as-is")
    model = train(data, progress=False, features=features, **options)
    seconds = {"train": time.perf_counter() - clock, "train_processor": time.process_time() - processor}
    reports = {database: evaluate(model, data, database=database) for database in DATABASES}
    parts = ("map", "codes_map", "chance")
    scores = {name: {part: getattr(report, part) for part in parts} for name, report in reports.items()}
    measures = {"measure": reports["retrieval"].measure, "epochs": len(model.history)}
    return {**run, **measures, "databases": scores, "seconds": seconds | reports["retrieval"].seconds}


def read_runs(paths: list[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths if path.exists() for line in path.read_text().splitlines()]


def spread(values: Iterable[float]) -> dict[str, Any]:
    """Mean, deviation and number."""
    held = list(values)
    return {"mean": float(np.mean(held)), "sd": float(np.std(held, ddof=1)) if len(held) > 1 else None, "n": len(held)}
