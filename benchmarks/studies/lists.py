"""What the lists of other rows change in the proposals of the audit's queue.

    python -m benchmarks.studies.lists DATA... --kept FILE.jsonl [--noise clean swap-one:0.2 ...] [--seed 0]

For data whose rows have several labels, and each noise, the posterior of the training rows is estimated as the queue
does, and told are its figures alone and after the lists have been asked (docs/audit.md, "Lists that hold together"):
of the rows, how well wrong ones are ranked (area under the ROC curve) and how far the probability is off (ten bins); of
single labels that are changed from .5 on, how many, how many are struck, which share is right, and which share of the
wrong labels is mended; and of the first 10 and 50 proposals by gain, which share is just right. Without noise only
counts are told. Errors that people made count as right. Cells are kept in FILE, and not done again.
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
from benchmarks.common.runs import read_runs
from benchmarks.studies.audit import hot
from crossbit.audit.families import families
from crossbit.audit.gains import Gains
from crossbit.audit.likely import Likely
from crossbit.audit.lists import Lists, believe
from crossbit.data import PairedData, load_data
from crossbit.data.noise import corrupt_data
from crossbit.data.split import group_numbers
from crossbit.data.types import Rows
from crossbit.features.paired import choose_features, features_of, fit_featurisers, vectors_of
from crossbit.posterior import Posterior, estimate_posterior
from crossbit.posterior.compact import Compact

CLEAN = "clean"
NOISE = (CLEAN, "swap-one:0.2", "swap-one:0.4", "resample:0.2", "resample:0.4")
BINS = 10
FIRST = 10, 50


def told(posterior: Posterior, family: np.ndarray, y: np.ndarray, truth: np.ndarray) -> dict[str, dict[str, float]]:
    """Figures of the posterior alone and after the lists, from labels y and true ones (n, classes), bool."""
    source, noise = Compact(posterior), next(iter(posterior.noise.values()))
    corrupted, evidence, settled = source.corrupted, source.evidence, np.zeros_like(y)
    belief = believe(Lists(y, family), y, source.of_rows, corrupted, evidence, noise)
    ways = {"alone": (None, corrupted, evidence), "lists": (belief, belief.corrupted, belief.evidence)}
    return {
        way: figures(Gains(Likely(source, y, settled, by), y, settled, wrong.copy(), odds, family, False), truth)
        for way, (by, wrong, odds) in ways.items()
    }


def figures(gains: Gains, truth: np.ndarray) -> dict[str, float]:
    """Of one way; without any wrong label counts alone."""
    cells, wrong = gains.cells.above(0.5), gains.y != truth
    struck = gains.y[cells.row, cells.label]
    lost = np.bincount(cells.row[struck], minlength=len(truth)) > gains.y.sum(1) / 2
    found = {"struck": int(struck.sum()), "added": int((~struck).sum()), "most struck": int(lost.sum())}
    found["rate"] = float(gains.corrupted.mean())
    if not wrong.any():
        return found
    right, rows = wrong[cells.row, cells.label], wrong.any(1)
    bins = np.minimum((gains.corrupted * BINS).astype(int), BINS - 1)
    off = np.bincount(bins, gains.corrupted - rows, BINS)
    first = gains.ranked()[: max(FIRST)]
    just = (gains.proposed(np.sort(first)) == truth[np.sort(first)]).all(1)[np.argsort(np.argsort(first))]
    found |= {"AUROC": float(roc_auc_score(rows, gains.evidence)), "off": float(np.abs(off).sum() / len(rows))}
    found |= {"precision": float(right.mean()), "recall": float(right.sum() / wrong.sum())}
    return found | {f"first {k}": float(just[:k].mean()) for k in FIRST}


def cell(data: PairedData, features: dict[str, torch.Tensor], noise: str, seed: int) -> dict[str, Any]:
    rows = data.splits["train"]
    truth = hot(np.asarray(data.label), data.classes)[rows] > 0
    given = truth
    if noise != CLEAN:
        given = hot(np.asarray(corrupt_data(data, noise, seed)[0].observed_label), data.classes)[rows] > 0
    there = given.any(1)
    group = Rows(data, rows).group
    numbers = None if group is None else group_numbers(group, len(rows))[there]
    x = {modality: one[there] for modality, one in features.items()}
    observed = dict.fromkeys(x, torch.from_numpy(given[there]).float())
    groups = None if numbers is None else torch.from_numpy(numbers)
    posterior = estimate_posterior(x, observed, seed=seed, groups=groups, keep=True, pairs=False)
    family = families({modality: one.numpy() for modality, one in x.items()}, numbers)
    return told(posterior, family, given[there], truth[there])


COLUMNS = "struck", "added", "most struck", "precision", "recall", "AUROC", "off", "first 10", "first 50"


def section(result: dict[str, Any]) -> str:
    rows = []
    for one in result["cells"]:
        for way, of in one["told"].items():
            texts = [
                f"{of[name]:,}" if isinstance(of.get(name), int) else f"{of[name]:.3f}" if name in of else ""
                for name in COLUMNS
            ]
            rows.append([f"{one['data']}, {one['noise']}, {way}", *texts])
    return table(["", *COLUMNS], rows)


ABOUT = (
    "Changes that the audit's queue proposes, by the posterior *alone* and after the *lists* of other rows were asked "
    "(docs/audit.md). *struck*, *added*: single labels from .5 on; *most struck*: rows that would lose more than half; "
    "*precision*, *recall*: of these changes; *AUROC* and *off* (calibration error, ten bins): of wrong rows; "
    "*first*: share of the first proposals by gain that are just right. Errors that people made count as right."
)
SECTIONS = {"lists": Section("Lists that hold together", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--noise", nargs="+", default=NOISE)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    asked = [
        (name, {"data": Path(name).stem, "noise": noise, "seed": args.seed})
        for name in args.data
        for noise in args.noise
    ]
    held: dict[str, tuple[PairedData, dict[str, torch.Tensor]]] = {}
    for name, line in asked:
        if any(line.items() <= one.items() for one in read_runs([args.kept])):
            continue
        if name not in held:
            data = load_data(name)
            fitted, rows = (
                fit_featurisers(data, choose_features(data, list(data.modalities)), seed=0),
                data.splits["train"],
            )
            held[name] = data, {m: vectors_of(torch.from_numpy(features_of(fitted[m], data[m], rows))) for m in fitted}
        found = cell(*held[name], line["noise"], args.seed)
        with args.kept.open("a") as file:
            file.write(json.dumps({**line, "told": found}) + "\n")
        print(line, found, file=sys.stderr)
    lines = [line for _, line in asked]
    kept = [one for one in read_runs([args.kept]) if any(line.items() <= one.items() for line in lines)]
    print(json.dumps({"cells": kept}, indent=1))


if __name__ == "__main__":
    main()
