"""Wrong labels found by the audit's posterior and by cleanlab, from the same features; one JSON object out.

    python -m benchmarks.studies.audit DATA... --kept FILE.jsonl [--seeds 5] [--noise swap-one:0.2 ...] [--only-table]

cleanlab is no requirement of crossbit: pip install cleanlab

For each data set, noise and seed the labels of the training rows are corrupted; who finds the corrupted rows? Judged
are images and texts, whatever other modalities there are.
Features are those that training uses; vectors are scaled by the rows that are no queries. cleanlab judges out-of-fold
probabilities of logistic regression on the features of both modalities side by side (five folds; its penalty chosen by
log-loss on the first fold of at most 1,500 rows, by observed labels, for each cell anew):
`rank.get_label_quality_scores` where a row has one label, `multilabel_classification` where it may have several. Told
are the area under the ROC curve of the corrupted rows; of the probability that a row is corrupted the Brier score and
the expected calibration error (ten bins of equal width; cleanlab's is one minus its quality score); the Brier score of
the labels' probabilities, summed over the classes; and the estimated share of corrupted rows. Cells are kept in FILE as
they are done, and not done again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import KFold
from sklearn.multiclass import OneVsRestClassifier

from benchmarks.common import page
from benchmarks.common.page import Section, mean_text
from benchmarks.common.runs import as_vectors, read_runs, spread
from crossbit.data import PairedData, load_data
from crossbit.data.noise import corrupt_data
from crossbit.data.split import group_numbers
from crossbit.posterior import estimate_posterior

MODALITIES = "image", "text"
NOISE = ("swap-one:0.2", "swap-one:0.5", "resample:0.2", "resample:0.5")
PENALTIES = 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0  # C
FOLDS, BINS, ROWS = 5, 10, 1500


def hot(label: np.ndarray, classes: int) -> np.ndarray:
    return (label if label.ndim == 2 else label[:, None] == np.arange(classes)).astype(np.float64)


def calibration_error(p: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance between probability and frequency over bins of equal width, weighted by their rows."""
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    gaps = [abs(p[place == b].mean() - truth[place == b].mean()) * (place == b).mean() for b in np.unique(place)]
    return float(sum(gaps))


def judged(p: np.ndarray, labels: np.ndarray, rate: float, changed: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Figures of the probability (n,) that a row is corrupted, of labels' probabilities (n, c), and of the rate."""
    return {
        "area": float(roc_auc_score(changed, p)),
        "brier": float(np.square(p - changed).mean()),
        "calibration_error": calibration_error(p, changed),
        "label_brier": float(np.square(labels - truth).sum(1).mean()),
        "rate": rate,
    }


def by_posterior(x: dict[str, np.ndarray], observed: np.ndarray, groups: np.ndarray | None, seed: int) -> Any:
    """P(corrupted), P(label), rate."""
    labels = torch.from_numpy(observed.astype(np.float32))
    numbers = None if groups is None else torch.from_numpy(group_numbers(groups, len(observed)))
    tensors = {m: torch.from_numpy(values) for m, values in x.items()}
    found = estimate_posterior(tensors, dict.fromkeys(x, labels), seed=seed, groups=numbers)
    return next(iter(found.corrupted.values())).numpy(), found.labels.numpy(), found.rate


def out_of_fold(x: np.ndarray, observed: np.ndarray, single: bool, seed: int) -> np.ndarray:
    """Probabilities (n, c) of classifiers that did not see the row."""

    def predicted(penalty: float, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        model = LogisticRegression(C=penalty, max_iter=300, tol=1e-3)
        if single:
            model.fit(x[rows], observed[rows].argmax(1))
            p = np.full((len(others), observed.shape[1]), 1e-9)
            p[:, model.classes_] = model.predict_proba(x[others])
            return p / p.sum(1, keepdims=True)
        return OneVsRestClassifier(model).fit(x[rows], observed[rows]).predict_proba(x[others])

    def loss(penalty: float) -> float:
        p = np.clip(predicted(penalty, *few).astype(np.float64), 1e-9, 1 - 1e-9)
        y = observed[few[1]]
        return float(log_loss(y, p)) if single else float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())

    draw = np.random.default_rng(seed).permutation(len(x))[:ROWS]
    few = tuple(draw[part] for part in next(KFold(FOLDS).split(draw)))
    best = min(PENALTIES, key=loss)
    p = np.empty_like(observed)
    for rows, others in KFold(FOLDS, shuffle=True, random_state=seed).split(x):
        p[others] = predicted(best, rows, others)
    return p


def by_cleanlab(p: np.ndarray, observed: np.ndarray, single: bool) -> tuple[np.ndarray, float]:
    """P(corrupted) as one minus cleanlab's quality score, and its share of rows with an issue."""
    try:
        from cleanlab import count, filter, multilabel_classification, rank
    except ImportError:
        sys.exit("this comparison needs cleanlab: pip install cleanlab")
    if single:
        given = observed.argmax(1)
        quality = rank.get_label_quality_scores(given, p)
        return 1 - quality, count.num_label_issues(given, p) / len(p)
    lists = [np.flatnonzero(row).tolist() for row in observed]
    quality = multilabel_classification.get_label_quality_scores(lists, p)
    return 1 - quality, float(filter.find_label_issues(lists, p, multi_label=True, n_jobs=1).mean())


def cell(data: PairedData, x: dict[str, np.ndarray], noise: str, seed: int) -> dict[str, Any]:
    """One noise and seed: figures of both, and of class frequencies as probabilities of the labels."""
    noisy, changed = corrupt_data(data, noise, seed)
    assert isinstance(changed, np.ndarray)
    mask = changed[data.splits["train"]]
    truth, observed = (hot(np.asarray(y), data.classes) for y in (data.train.label, noisy.train.observed()))
    single = bool((observed.sum(1) == 1).all())
    start = time.process_time()
    p, labels, rate = by_posterior(x, observed, data.train.group, seed)
    middle = time.process_time()
    beside = np.concatenate(list(x.values()), axis=1)
    q = out_of_fold(beside, observed, single, seed)
    wrong, share = by_cleanlab(q, observed, single)
    frequencies = np.broadcast_to(observed.mean(0), truth.shape)
    return {
        "crossbit": judged(p, labels, rate, mask, truth) | {"processor_seconds": middle - start},
        "cleanlab": judged(wrong, q, share, mask, truth) | {"processor_seconds": time.process_time() - middle},
        "true_rate": float(mask.mean()),
        "frequencies_label_brier": float(np.square(frequencies - truth).sum(1).mean()),
    }


def table(kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and deviation over the seeds of each data set and noise."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in kept:
        groups.setdefault((one["data"], one["noise"]), []).append(one)
    rows = []
    for (data, noise), of in groups.items():
        row: dict[str, Any] = {"data": data, "noise": noise, "seeds": len(of), "rows": of[0]["rows"]}
        for name in ("true_rate", "frequencies_label_brier"):
            row[name] = spread([one[name] for one in of])
        for who in ("crossbit", "cleanlab"):
            row[who] = {name: spread([one[who][name] for one in of]) for name in of[0][who]}
        rows.append(row)
    return rows


def section(result: dict[str, Any]) -> str:
    """A table for each data set: two rows for each noise."""
    sets: dict[str, list[list[str]]] = {}
    columns = ["area", "calibration_error", "brier", "label_brier", "rate"]
    for row in result["cells"]:
        seeds = f"{row['seeds']} seed" + ("s" if row["seeds"] > 1 else "")
        name = f"{row['data']}, {row['rows']:,} rows, {seeds}"
        for who in ("crossbit", "cleanlab"):
            cells = [mean_text(row[who][column], 3) for column in columns]
            beside = [mean_text(row[name], 3) for name in ("frequencies_label_brier", "true_rate")]
            sets.setdefault(name, []).append([f"{row['noise']}, {who}", *cells[:4], beside[0], cells[4], beside[1]])
    head = ["", "area", "calibration error", "Brier", "Brier of labels", "of class frequencies", "rate", "true rate"]
    tables = [f"{name}:\n\n{page.table(head, rows)}" for name, rows in sets.items()]
    return "\n\n".join([*tables, f"cleanlab {result['cleanlab']}"])


ABOUT = (
    "*area*: under the ROC curve, of the corrupted rows; *calibration error* (expected, ten bins) and *Brier* of "
    "the probability that a row is corrupted; *rate*: estimated share of corrupted rows. cleanlab is given "
    "out-of-fold logistic regression on the same features; docs/audit.md."
)
SECTIONS = {"audit": Section("Wrong labels found, beside cleanlab", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--noise", nargs="+", default=NOISE)
    parser.add_argument("--only-table", action="store_true", help="what is kept, nothing computed")
    args = parser.parse_args()
    done = {(one["data"], one["noise"], one["seed"]) for one in read_runs([args.kept])}
    for name in [] if args.only_table else args.data:
        data = load_data(name)
        asked = [(noise, seed) for seed in range(args.seeds) for noise in args.noise]
        missing = [(noise, seed) for noise, seed in asked if (Path(name).stem, noise, seed) not in done]
        if not missing:
            continue
        vectors = as_vectors(data, MODALITIES)
        x = {m: vectors[m][data.splits["train"]] for m in MODALITIES}
        for noise, seed in missing:
            line = {"data": Path(name).stem, "noise": noise, "seed": seed, "rows": len(data.train)}
            line |= cell(data, x, noise, seed)
            with args.kept.open("a") as file:
                file.write(json.dumps(line) + "\n")
            areas = {who: round(line[who]["area"], 4) for who in ("crossbit", "cleanlab")}
            print(name, noise, seed, areas, file=sys.stderr)
    names = {Path(name).stem for name in args.data}
    rows = table([one for one in read_runs([args.kept]) if one["data"] in names])
    print(json.dumps({"cleanlab": version("cleanlab"), "cells": rows}, indent=1))


if __name__ == "__main__":
    main()
