"""Classes labelled as others: what the noise model finds with and without confusions of classes; one JSON object out.

    python -m benchmarks.studies.confusion [DATA...]

Four clear classes are drawn besides (600 rows), a share of each labelled as the next. On DATA the labels of the
training rows are corrupted, seed 0: where rows have one label by `asymmetric`, else by `next` (a share of every second
class is labelled as the class after it, where the row has not that one, too); by `swap-one` evenly; and not at all. The
model is fitted to the same leave-one-out predictions twice. Told are the area under the ROC curve of the corrupted
rows, how many of them have p above one half, how many other rows do, and how many confusions are believed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from benchmarks.common.page import Section, table
from benchmarks.common.runs import as_vectors
from benchmarks.studies.audit import MODALITIES, hot
from crossbit.data import load_data
from crossbit.data.noise import corrupt
from crossbit.data.split import group_numbers
from crossbit.posterior import labelled_alike, left_out_and_predicted
from crossbit.posterior.fitting import fit_noise

TOY, CLASSES, SPREAD = 600, 4, 0.25
RATES = 0.05, 0.1, 0.2, 0.3


def toy(rate: float) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Features by modality, labels as given, and which rows are wrong."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, CLASSES, TOY)
    x = {m: np.eye(CLASSES)[truth] + SPREAD * rng.normal(size=(TOY, CLASSES)) for m in MODALITIES}
    wrong = rng.random(TOY) < rate
    return x, np.eye(CLASSES)[np.where(wrong, (truth + 1) % CLASSES, truth)], wrong


def to_the_next(truth: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n, c) where a share of every second class is labelled as the one after it; and which rows (n,) are.

    >>> to_the_next(np.array([[1, 0], [0, 1], [1, 1]]), 1.0)
    (array([[0., 1.],
           [0., 1.],
           [1., 1.]]), array([ True, False, False]))
    """
    rng, given, wrong = np.random.default_rng(0), truth.astype(float), np.zeros(len(truth), bool)
    for k in range(0, truth.shape[1] - 1, 2):
        rows = (truth[:, k] > 0) & (truth[:, k + 1] == 0) & ~wrong & (rng.random(len(truth)) < rate)
        given[rows, k], given[rows, k + 1] = 0, 1
        wrong |= rows
    return given, wrong


def told(x: dict[str, np.ndarray], given: np.ndarray, wrong: np.ndarray, groups: np.ndarray | None) -> dict[str, Any]:
    """The figures of one cell, without confusions and with."""
    y, single = torch.from_numpy(given).double(), bool((given.sum(1) == 1).all())
    features = {m: torch.from_numpy(np.asarray(of, np.float32)) for m, of in x.items()}
    numbers = None if groups is None else torch.from_numpy(group_numbers(groups, len(given)))
    together = numbers if numbers is not None and labelled_alike(y, numbers) else None
    _, f = left_out_and_predicted(features, y, torch.arange(len(y)), 0, together)
    found: dict[str, Any] = {"wrong": int(wrong.sum())}
    for way, confused in (("without", False), ("with", True)):
        model = fit_noise(f, y, single=single, confused=confused)
        p = model.posterior(model.logits(f), y)[1].numpy()
        found[way] = {
            "area": float(roc_auc_score(wrong, p)) if wrong.any() else None,
            "found": int((p[wrong] > 0.5).sum()),
            "false": int((p[~wrong] > 0.5).sum()),
            "confusions": 0 if model.confusion is None else len(model.confusion.truth),
        }
    return found


def cells(name: str) -> list[dict[str, Any]]:
    """Of a data set, by noise."""
    data = as_vectors(load_data(name), MODALITIES)
    rows, held = data.splits["train"], []
    truth = hot(np.asarray(data.label), data.classes)[rows]
    single = bool((truth.sum(1) == 1).all())
    groups = None if data.group is None else np.asarray(data.group)[rows]
    x = {m: data[m][rows] for m in MODALITIES}
    for rule in ("none", *(f"{'asymmetric' if single else 'next'}:{rate}" for rate in (0.1, 0.3)), "swap-one:0.5"):
        kind, _, rate = rule.partition(":")
        if kind == "next":
            given, wrong = to_the_next(truth, float(rate))
        else:
            given, wrong = (truth, np.zeros(len(rows), bool)) if kind == "none" else corrupt(truth, rule, 0)
        held.append({"data": Path(name).stem, "noise": rule, **told(x, np.asarray(given, float), wrong, groups)})
        print(held[-1], file=sys.stderr)
    return held


def section(result: dict[str, Any]) -> str:
    """A row for each cell."""
    head = [f"{name}, {way}" for way in ("without", "with") for name in ("AUROC", "found", "false")]
    rows = []
    for of in result["cells"]:
        row = [f"{of['data']}, {of['noise']}"]
        for way in ("without", "with"):
            area = "" if of[way]["area"] is None else f"{of[way]['area']:.3f}"
            row += [area, f"{of[way]['found']:,} of {of['wrong']:,}", f"{of[way]['false']:,}"]
        rows.append([*row, str(of["with"]["confusions"])])
    return table(["", *head, "believed"], rows)


ABOUT = (
    "Wrong rows found by the noise model without and with confusions of classes, from the same predictions, seed 0. "
    "*next*: a share of every second class is labelled as the class after it; *believed*: how many confusions are."
)
SECTIONS = {"confusion": Section("Classes labelled as others", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*")
    args = parser.parse_args()
    drawn = [{"data": "four clear classes", "noise": f"next:{rate}", **told(*toy(rate), None)} for rate in RATES]
    print(json.dumps({"cells": [*drawn, *(cell for name in args.data for cell in cells(name))]}, indent=1))


if __name__ == "__main__":
    main()
