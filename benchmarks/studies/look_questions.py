"""Two questions that LOOK's study leaves open, each by itself; one JSON object out.

    python -m benchmarks.studies.look_questions rounds wikipedia.npz [--seeds 5] [--noise swap-one:0.2 swap-one:0.5]
    python -m benchmarks.studies.look_questions classes [--seeds 2] [--noise none swap-one:0.5]

rounds: does a second round of the posterior help, on what the encoders learnt in the first? The kernel is over the
features as they are. Ways, for images and texts, all vectors standardised:

- once: the posterior of the features (what LOOK does);
- again: the posterior of the embeddings that a first training leaves of the labelled rows;
- out of fold: of features, and of label predictions that never saw the row's own label. The labelled rows are halved,
  encoders are trained on the labels of one half, and in their embeddings of the other half each row's labels are
  predicted by ridge regression on other rows of that half (five folds).

Features and embeddings together are no way of their own: the kernel's weights are chosen by the error on the observed
labels, which the embeddings have learnt, so that all weight goes to these. Told are, of the labelled rows, the area
under the ROC curve of the corrupted ones; calibration error and Brier score of the probability that a row is one; the
Brier score of the labels' probabilities, summed over classes; and the estimated rate. True labels only judge.

classes: with hundreds of classes, most of them rare, 1 - prod_c (1 - p_c q_c) of two rows that nobody labelled adds up
many small probabilities. Does it help to keep the largest of a row's only? A made set of 255 classes whose frequencies
fall as a power of their rank, two modalities that are a sum of the classes' prototypes and noise (weak: twice the
noise); 4,000 labelled pairs of 12,000. Ways: all probabilities (what LOOK does), a row's eight largest, and as many as
it is expected to have labels, rounded up; NRCH and MRL beside them, 512 wide, which train on the labelled pairs alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from torch import Tensor

from benchmarks.common.page import Section, mean_text, table
from benchmarks.common.runs import as_vectors, spread
from benchmarks.studies.audit import FOLDS, MODALITIES, by_posterior, hot, judged
from crossbit.data import PairedData, load_data
from crossbit.data.noise import corrupt_data
from crossbit.evaluation import evaluate
from crossbit.evaluation.report import DATABASES
from crossbit.methods import look
from crossbit.posterior import Posterior
from crossbit.training import train

HALVES = 2
CLASSES, ROWS, QUERIES, LABELLED, DIM = 255, 13_000, 1_000, 4_000, 128
NOISE = {"image": 1.6, "text": 1.0}  # of the features, beside a prototype's standard deviation of 1
AS_IS = dict.fromkeys(MODALITIES, "as-is")
RIVALS = {
    "nrch": {"image_layers": "2", "epochs": "32", "lr": "5e-4", "warmup": "8"},
    "mrl": {"epochs": "16", "batch": "128", "lr": "1e-3", "multi_label": "true"},
}


# --- a second round ---------------------------------------------------------------------------------------------------


def embeddings(data: PairedData, rows: np.ndarray, seed: int, **settings: str) -> dict[str, np.ndarray]:
    """By modality the real-valued outputs (n, bits) for all labelled rows, of encoders trained on some rows' labels."""
    some = data.replace(splits={**data.splits, "train": rows})
    model = train(some, method="look", seed=seed, settings=settings, features=AS_IS, progress=False)
    labelled = data.splits["train"]
    return {m: model.embed(m, data[m][labelled]) for m in MODALITIES}


def unseen_predictions(data: PairedData, seed: int, **settings: str) -> dict[str, np.ndarray]:
    """By modality predictions (n, c) of the labelled rows' observed labels, from nothing that saw the row's own."""
    labelled, seen = data.splits["train"], hot(np.asarray(data.train.observed()), data.classes)
    made = {m: np.zeros_like(seen) for m in MODALITIES}
    for some, others in KFold(HALVES, shuffle=True, random_state=seed).split(labelled):
        for m, outputs in embeddings(data, labelled[some], seed, **settings).items():
            ridge = RidgeCV(np.logspace(-1, 4, 11))
            made[m][others] = cross_val_predict(ridge, outputs[others], seen[others], cv=FOLDS)
    return made


def rounds(data: PairedData, noise: str, seed: int, **settings: str) -> dict[str, dict[str, float]]:
    """The figures of each way, in one cell."""
    noisy, labelled = corrupt_data(data, noise, seed)[0], data.splits["train"]
    truth, seen = (hot(np.asarray(y), data.classes) for y in (data.train.label, noisy.train.observed()))
    plain = {m: noisy[m][labelled] for m in MODALITIES}
    unseen = {f"{m} prediction": x for m, x in unseen_predictions(noisy, seed, **settings).items()}
    again = embeddings(noisy, labelled, seed, **settings)
    found: dict[str, dict[str, float]] = {}
    for name, x in {"once": plain, "again": again, "out of fold": plain | unseen}.items():
        values = {m: np.asarray(array, np.float32) for m, array in x.items()}
        p, labels, rate = by_posterior(values, seen, data.train.group, seed)
        found[name] = judged(p, labels, rate, (truth != seen).any(1), truth)
    return found


# --- many classes -----------------------------------------------------------------------------------------------------


def long_tail(seed: int, strength: float) -> PairedData:
    """Pairs with several of many labels, most of which are rare."""
    random = np.random.default_rng(seed)
    weight = np.arange(1, CLASSES + 1) ** -0.8
    label = np.zeros((ROWS, CLASSES), np.int8)
    for row, many in zip(label, 1 + random.poisson(1.5, ROWS), strict=True):
        row[random.choice(CLASSES, many, replace=False, p=weight / weight.sum())] = 1
    modalities = {}
    for name, noise in NOISE.items():
        shown = label @ random.normal(size=(CLASSES, DIM)) / np.sqrt(label.sum(1, keepdims=True))
        modalities[name] = (shown + strength * noise * random.normal(size=(ROWS, DIM))).astype(np.float32)
    order = random.permutation(ROWS)
    query, retrieval = np.sort(order[:QUERIES]), order[QUERIES:]
    splits = {"train": np.sort(retrieval[:LABELLED]), "query": query, "retrieval": np.sort(retrieval)}
    return PairedData("long-tail", modalities=modalities, splits=splits, label=label)


def largest(p: Tensor, number: Tensor) -> Tensor:
    """The largest probabilities of each row of p (n, c), as many as number (n, 1) says; 0 for the others."""
    values, places = p.sort(1, descending=True)
    kept = torch.arange(p.shape[1], device=p.device) < number
    return torch.zeros_like(p).scatter(1, places, values * kept)


def eight(p: Tensor, q: Tensor, *, single: bool = False) -> Tensor:
    return share_probability(*(largest(x, torch.full_like(x[:, :1], 8)) for x in (p, q)), single=single)


def expected(p: Tensor, q: Tensor, *, single: bool = False) -> Tensor:
    return share_probability(*(largest(x, x.sum(1, keepdim=True).ceil()) for x in (p, q)), single=single)


share_probability = look.share_probability
WAYS = {"all": share_probability, "eight largest": eight, "as many as expected": expected}


def classes(clean: PairedData, noise: str, seed: int, **smaller: str) -> dict[str, dict[str, float]]:
    """mAP by way and database, the mean of both directions; labels of a database row, and the rate of wrong ones."""
    data = clean if noise == "none" else corrupt_data(clean, noise, seed)[0]
    made: list[Posterior] = []
    original = look.Look.posterior

    def once(self: look.Look, view: Any) -> Posterior:
        if not made:
            made.append(original(self, view))
        return made[0]

    found: dict[str, dict[str, float]] = {}
    for name in [*WAYS, *RIVALS]:
        method = name if name in RIVALS else "look"
        settings = {"width": "512", **RIVALS.get(name, {}), **smaller}
        way = patch.object(look, "share_probability", WAYS.get(name, share_probability))
        with way, patch.object(look.Look, "posterior", once):
            model = train(data, method=method, bits=64, seed=seed, settings=settings, features=AS_IS, progress=False)
        reports = {database: evaluate(model, data, database=database) for database in DATABASES}
        found[name] = {d: float(np.mean(list((of.codes_map or of.map).values()))) for d, of in reports.items()}
        if any(of.codes_map for of in reports.values()):
            found[f"{name}, real vectors"] = {d: float(np.mean(list(of.map.values()))) for d, of in reports.items()}
    assert clean.label is not None
    label = np.asarray(clean.label)[clean.splits["retrieval"]]
    found["the posterior"] = {"labels_of_a_row": float(made[0].labels.sum(1).mean()), "rate": made[0].rate}
    found["the truth"] = {"labels_of_a_row": float(label.sum(1).mean())}
    return found


# --- the command ------------------------------------------------------------------------------------------------------


def cell(runs: list[dict[str, dict[str, float]]], **place: str) -> list[dict[str, Any]]:
    """Of each way its figures' mean and deviation over the runs."""
    return [
        {**place, "way": way, **{name: spread([run[way][name] for run in runs]) for name in runs[0][way]}}
        for way in runs[0]
    ]


def section(result: dict[str, Any]) -> str:
    """A table for each cell: a row for each way, a column for each figure."""
    cells: dict[str, list[dict[str, Any]]] = {}
    for of in result["cells"]:
        cells.setdefault(f"{of['data']}, {of['noise']}", []).append(of)
    seeds = f"{result['seeds']} seed" + ("s" if result["seeds"] > 1 else "")
    parts = []
    for name, ways in cells.items():
        figures = list(dict.fromkeys(key for of in ways for key, value in of.items() if isinstance(value, dict)))
        rows = [[of["way"], *(mean_text(of[key], 3) if key in of else "" for key in figures)] for of in ways]
        parts.append(f"{name}, {seeds}:\n\n{table(['', *(key.replace('_', ' ') for key in figures)], rows)}")
    return "\n\n".join(parts)


SECTIONS = {
    "look-rounds": Section(
        "LOOK: a second round of the posterior",
        "The posterior from the features, as LOOK makes it (*once*); from a first training's embeddings (*again*); "
        "from features and predictions by encoders that did not see the row's label (*out of fold*). *area*: under the "
        "ROC curve, of the corrupted rows; *brier* and *calibration error* of their probability; *label brier*: of the "
        "labels' probabilities, summed over classes; *rate*: estimated share of corrupted rows.",
        section,
    ),
    "look-classes": Section(
        "LOOK: hundreds of classes",
        "A made set with 255 classes of a long tail, two modalities, 4,000 labelled pairs of 12,000; *weak*: twice the "
        "noise in the features. How likely two rows share a label, of *all* probabilities, as LOOK has it, or of a "
        "row's largest only. mAP, the mean of both directions; expected labels of a row of the database, and the "
        "estimated rate of wrong ones. NRCH and MRL train on labelled pairs only, LOOK on all 12,000.",
        section,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked = parser.add_subparsers(dest="question", required=True)
    for name, seeds, noise in (("rounds", 5, ["swap-one:0.2", "swap-one:0.5"]), ("classes", 1, ["swap-one:0.5"])):
        one = asked.add_parser(name)
        one.add_argument("--seeds", type=int, default=seeds)
        one.add_argument("--noise", nargs="+", default=noise)
        if name == "rounds":
            one.add_argument("data", type=Path)
    args = parser.parse_args()
    seeds = range(args.seeds)
    cells: list[dict[str, Any]] = []
    for noise in args.noise:
        if args.question == "rounds":
            data = as_vectors(load_data(args.data), MODALITIES)
            cells += cell([rounds(data, noise, seed) for seed in seeds], data=args.data.stem, noise=noise)
        else:
            for features, strength in (("as they are", 1.0), ("weak", 2.0)):
                runs = [classes(long_tail(seed, strength), noise, seed) for seed in seeds]
                cells += cell(runs, data=f"features {features}", noise=noise)
    print(json.dumps({"question": args.question, "seeds": args.seeds, "cells": cells}, indent=1))


if __name__ == "__main__":
    main()
