"""Labels corrupted, audited, repaired, and trained on again: how much comes back.

    python -m benchmarks.studies.repair DATA... --kept FILE.jsonl [--method look] [--seeds 3] [--noise swap-one:0.2 ...]

cleanlab is no requirement of crossbit: pip install cleanlab (without it its rows are left out)

For each data set, noise and seed a method is trained on the corrupted labels of the training rows, and on those labels
after each change that the audit is sure of with at least .9 (as `crossbit audit RUN --accept-above 0.9`). Beside it the
labels are changed where cleanlab finds an issue of a class in out-of-fold probabilities from the same features
(`multilabel_classification.filter.find_multilabel_issues_per_class`, see benchmarks/studies/audit.py for the
classifier); where rows have one class it becomes the likeliest one. Told are mAP@all and overlap@10 of the queries, the
mean of both directions, by true labels; and of the changes, which are of single labels, precision (the changed label is
true now) and recall (the corrupted labels that are true again). Cells are kept in FILE, and not done again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import page
from benchmarks.common.page import Section, mean_text
from benchmarks.common.runs import as_vectors, read_runs, spread
from benchmarks.studies.audit import MODALITIES, hot, out_of_fold
from crossbit.audit import audit_run
from crossbit.audit.decisions import repair
from crossbit.data import PairedData, load_data
from crossbit.data.noise import corrupt_data
from crossbit.evaluation import evaluate
from crossbit.training import train

NOISE = ("swap-one:0.2", "swap-one:0.4", "resample:0.2", "resample:0.4")
ABOVE = 0.9
FIGURES = "mAP@all", "overlap@10"


def trained(data: PairedData, labels: np.ndarray, method: str, seed: int, out: Path) -> dict[str, float]:
    """Train on these labels (n, classes) in a new run folder; figures by the true ones."""
    made = labels if data.label is None or data.label.ndim == 2 else labels.argmax(1)
    model = train(data.with_observed(made), method=method, seed=seed, out=out, progress=False)
    report = evaluate(model, data, measures=FIGURES)
    held = {name.partition("(")[0]: of for name, of in {report.measure: report.map, **report.figures}.items()}
    return {name: float(np.mean(list(held[name].values()))) for name in FIGURES}


def changes(before: np.ndarray, after: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Precision and recall of changed labels (n, classes).

    >>> before, after, truth = np.array([[1, 0, 1]]), np.array([[0, 1, 1]]), np.array([[0, 0, 0]])
    >>> changes(before, after, truth)
    {'changed': 2, 'precision': 0.5, 'recall': 0.5}
    """
    changed, wrong = before != after, before != truth
    mended = int((changed & wrong).sum())
    precision = mended / max(1, int(changed.sum()))
    return {"changed": int(changed.sum()), "precision": precision, "recall": mended / max(1, int(wrong.sum()))}


def by_audit(run: Path, data: PairedData, labels: np.ndarray) -> np.ndarray:
    """Labels (n, classes) after the audit's proposals."""
    found = audit_run(run, data)
    return replaced(labels, repair(found, above=ABOVE).labels, found.seen.names)


def replaced(labels: np.ndarray, rows: dict[int, list[str]], names: list[str]) -> np.ndarray:
    """Labels (n, classes) with other ones in some rows; `names` are the classes'."""
    place = {name: number for number, name in enumerate(names)}
    after = labels.copy()
    for row, given in rows.items():
        after[row] = 0
        after[row, [place[name] for name in given if name in place]] = 1
    return after


def by_cleanlab(x: np.ndarray, observed: np.ndarray, seed: int) -> np.ndarray | None:
    """Labels (rows, classes) without what cleanlab finds; None where it is not installed."""
    try:
        from cleanlab import filter
        from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
    except ImportError:
        return None
    single = bool((observed.sum(1) == 1).all())
    p = out_of_fold(x, observed, single, seed)
    if single:
        issues = filter.find_label_issues(observed.argmax(1), p, n_jobs=1)
        return np.where(issues[:, None], hot(p.argmax(1), observed.shape[1]), observed)
    found = find_multilabel_issues_per_class([np.flatnonzero(row).tolist() for row in observed], p, n_jobs=1)
    return np.where(np.asarray(found), 1 - observed, observed)


def cell(data: PairedData, x: np.ndarray, noise: str, seed: int, method: str) -> dict[str, Any]:
    """One noise and seed: figures before, after the audit, after cleanlab, and with true labels."""
    noisy, _ = corrupt_data(data, noise, seed)
    truth, before = (hot(np.asarray(y), data.classes).astype(np.uint8) for y in (data.label, noisy.observed_label))
    rows = data.splits["train"]
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        told["corrupted"] = trained(data, before, method, seed, runs / "before")
        seen = noisy if data.label is None or data.label.ndim == 2 else data.with_observed(before.argmax(1))
        ways = {"audit": by_audit(runs / "before", seen, before)}
        if (cleaned := by_cleanlab(x, before[rows].astype(np.float64), seed)) is not None:
            ways["cleanlab"] = before.copy()
            ways["cleanlab"][rows] = cleaned
        for name, after in ways.items():
            told[name] = trained(data, after, method, seed, runs / name)
            told[name] |= changes(before[rows], after[rows], truth[rows])
        told["true labels"] = trained(data, truth, method, seed, runs / "truth")
    return told


def table(kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and deviation over the seeds of each data set and noise."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for one in kept:
        groups.setdefault((one["data"], one["method"], one["noise"]), []).append(one["told"])
    rows = []
    for (data, method, noise), of in groups.items():
        told = {way: {name: spread([one[way][name] for one in of]) for name in of[0][way]} for way in of[0]}
        rows.append({"data": data, "method": method, "noise": noise, "seeds": len(of), "told": told})
    return rows


def section(result: dict[str, Any]) -> str:
    return table_of_ways(result, [*FIGURES, "changed", "precision", "recall"])


def table_of_ways(result: dict[str, Any], columns: Sequence[str]) -> str:
    """A row for each noise and way."""
    rows = []
    for row in result["cells"]:
        for way, of in row["told"].items():
            cells = [mean_text(of[name], 0 if name == "changed" else 3) if name in of else "" for name in columns]
            rows.append([f"{row['data']}, {row['method']}, {row['noise']}, {way}", *cells])
    return page.table(["", *columns], rows)


ABOUT = (
    "A method trained on corrupted labels, on those after the audit's changes from .9 on, after cleanlab's, and on the "
    "true ones. *mAP@all* and *overlap@10*: mean of both directions, by true labels; *changed*: single labels; "
    "*precision*, *recall*: of the changes; docs/audit.md."
)
SECTIONS = {"repair": Section("Labels repaired and trained on again", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--method", default="look")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--noise", nargs="+", default=NOISE)
    args = parser.parse_args()
    for name in args.data:
        done = {(one["data"], one["method"], one["noise"], one["seed"]) for one in read_runs([args.kept])}
        asked = [(Path(name).stem, args.method, noise, seed) for seed in range(args.seeds) for noise in args.noise]
        data = load_data(name)
        vectors = as_vectors(data, MODALITIES)
        x = np.concatenate([vectors[m][data.splits["train"]] for m in MODALITIES], axis=1)
        for stem, method, noise, seed in asked:
            if (stem, method, noise, seed) not in done:
                told = cell(data, x, noise, seed, method)
                line = {"data": stem, "method": method, "noise": noise, "seed": seed, "told": told}
                with args.kept.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(line, file=sys.stderr)
    stems = {Path(name).stem for name in args.data}
    print(json.dumps({"cells": table([one for one in read_runs([args.kept]) if one["data"] in stems])}, indent=1))


if __name__ == "__main__":
    main()
