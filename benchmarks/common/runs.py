"""What studies of single methods share: their data, one training with its scores, and the runs that a file holds."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from crossbit.data import load_data
from crossbit.data.types import PairedData
from crossbit.evaluation import evaluate
from crossbit.evaluation.report import DATABASES
from crossbit.features import fit_featuriser
from crossbit.training import train


def load(name: str, scale: bool) -> PairedData:
    """The data; with `scale`, its vectors standardised by the training rows."""
    data = load_data(name)
    if not scale:
        return data
    vectors = {m: data[m] for m in data.modalities if data.kind(m) == "vectors"}
    made = {m: fit_featuriser("scaled", x[data.splits["train"]]).transform(x) for m, x in vectors.items()}
    return data.replace(modalities={**data.modalities, **made})


def run_one(data: PairedData, run: dict[str, Any]) -> dict[str, Any]:
    """Train, and score against both databases; processor time beside the clock's, as machines are shared."""
    clock, processor = time.perf_counter(), time.process_time()
    options = {key: run[key] for key in ("method", "bits", "noise", "seed", "settings")}
    model = train(data, progress=False, **options)
    seconds = {"train": time.perf_counter() - clock, "train_processor": time.process_time() - processor}
    reports = {database: evaluate(model, data, database=database) for database in DATABASES}
    parts = ("map", "codes_map", "chance")
    scores = {name: {part: getattr(report, part) for part in parts} for name, report in reports.items()}
    measures = {"measure": reports["retrieval"].measure, "epochs": len(model.history)}
    return {**run, **measures, "databases": scores, "seconds": seconds | reports["retrieval"].seconds}


def read_runs(paths: list[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths if path.exists() for line in path.read_text().splitlines()]
