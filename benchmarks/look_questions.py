"""Two questions that LOOK's study leaves open, each by itself; one JSON object out.

    python benchmarks/look_questions.py rounds wikipedia.npz [--seeds 5] [--noise swap-one:0.2 swap-one:0.5]
    python benchmarks/look_questions.py classes [--seeds 2] [--noise none swap-one:0.5]

rounds: does a second round of the posterior help, on features that the encoders learnt in the first? The kernel is over
the features as they are; after a first training the labelled rows have embeddings, too. Ways:

- once: the posterior of the features (what LOOK does);
- embeddings: the posterior of the embeddings instead;
- both: of features and embeddings, each with a weight of its own in the kernel;
- out of fold: of features, and of label predictions from the embeddings of encoders that did not see the row's label
  (two halves of the labelled rows; each is predicted by ridge regression from encoders trained on the other's labels).

Told are, of the labelled rows, the area under the ROC curve of the corrupted ones and the Brier score of the labels'
probabilities (summed over classes), by the true labels, which nothing else reads.

classes: with hundreds of classes, most of them rare, 1 - prod_c (1 - p_c q_c) of two rows that nobody labelled adds up
many small probabilities. Does it help to keep the largest of a row's only? A made set of 255 classes whose frequencies
fall as a power of their rank, two modalities that are a sum of the classes' prototypes and noise (weak: twice the
noise); 4,000 labelled pairs of 12,000. Ways: all probabilities (what LOOK does), a row's eight largest, as many as it
is expected to have labels; NRCH and MRL beside them, 512 wide.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from audit import MODALITIES, by_posterior, features, hot, judged, spread
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from torch import Tensor

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
RIVALS = {
    "nrch": {"image_layers": "2", "epochs": "32", "lr": "5e-4", "warmup": "8"},
    "mrl": {"epochs": "16", "batch": "128", "lr": "1e-3", "multi_label": "true"},
}


# --- a second round ---------------------------------------------------------------------------------------------------


def embeddings(data: PairedData, rows: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """By modality the real-valued outputs (n, bits) for all labelled rows, of encoders trained on some rows' labels."""
    model = train(data.replace(splits={**data.splits, "train": rows}), method="look", seed=seed, progress=False)
    labelled = data.splits["train"]
    return {m: model.embed(m, data[m][labelled]) for m in MODALITIES}


def out_of_fold(data: PairedData, seen: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """By modality predictions (n, c) of the observed labels from encoders that were trained without the row's own."""
    labelled = data.splits["train"]
    made = {m: np.zeros_like(seen) for m in MODALITIES}
    for some, others in KFold(HALVES, shuffle=True, random_state=seed).split(labelled):
        for m, outputs in embeddings(data, labelled[some], seed).items():
            made[m][others] = RidgeCV(np.logspace(-1, 4, 11)).fit(outputs[some], seen[some]).predict(outputs[others])
    return made


def rounds(data: PairedData, noise: str, seed: int) -> dict[str, dict[str, float]]:
    """The figures of each way, in one cell."""
    noisy, labelled = corrupt_data(data, noise, seed)[0], data.splits["train"]
    truth, seen = (hot(np.asarray(y), data.classes) for y in (data.train.label, noisy.train.observed()))
    changed = (truth != seen).any(1)
    plain = features(noisy)
    learnt = embeddings(noisy, labelled, seed)
    apart = {f"{m} embedding": values for m, values in learnt.items()}
    unseen = {f"{m} prediction": values for m, values in out_of_fold(noisy, seen, seed).items()}
    ways = {"once": plain, "embeddings": learnt, "both": plain | apart, "out of fold": plain | unseen}
    groups = None if noisy.group is None else noisy.group[labelled]
    found: dict[str, dict[str, float]] = {}
    for name, x in ways.items():
        values = {m: np.asarray(array, np.float32) for m, array in x.items()}
        p, labels, rate = by_posterior(values, seen, groups, seed)
        found[name] = judged(p, labels, rate, changed, truth)
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


def classes(strength: float, noise: str, seed: int) -> dict[str, dict[str, float]]:
    """mAP by way and database, the mean of both directions; labels of a row and rate of wrong ones."""
    clean = long_tail(seed, strength)
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
        settings = {"width": "512", **RIVALS.get(name, {})}
        way = patch.object(look, "share_probability", WAYS.get(name, share_probability))
        with way, patch.object(look.Look, "posterior", once):
            model = train(data, method=method, bits=64, seed=seed, settings=settings, progress=False)
        found[name] = {d: float(np.mean(list(evaluate(model, data, database=d).map.values()))) for d in DATABASES}
    assert clean.label is not None
    found["the posterior"] = {"labels_of_a_row": float(made[0].labels.sum(1).mean()), "rate": made[0].rate}
    found["the truth"] = {"labels_of_a_row": float(np.asarray(clean.label).sum(1).mean())}
    return found


# --- the command ------------------------------------------------------------------------------------------------------


def told(runs: list[dict[str, dict[str, float]]], **place: Any) -> list[dict[str, Any]]:
    """Of each way its figures' mean and deviation over the runs."""
    return [
        {**place, "way": way, **{name: spread([run[way][name] for run in runs]) for name in runs[0][way]}}
        for way in runs[0]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked = parser.add_subparsers(dest="question", required=True)
    for name, seeds, noise in (
        ("rounds", 5, ["swap-one:0.2", "swap-one:0.5"]),
        ("classes", 2, ["none", "swap-one:0.5"]),
    ):
        one = asked.add_parser(name)
        one.add_argument("--seeds", type=int, default=seeds)
        one.add_argument("--noise", nargs="+", default=noise)
        if name == "rounds":
            one.add_argument("data", type=Path)
    args = parser.parse_args()
    cells: list[dict[str, Any]] = []
    for noise in args.noise:
        if args.question == "rounds":
            whole = load_data(args.data)
            data = whole.replace(modalities={m: whole[m] for m in MODALITIES})
            cells += told([rounds(data, noise, seed) for seed in range(args.seeds)], noise=noise, data=data.name)
        else:
            for name, strength in (("", 1.0), ("weak", 2.0)):
                runs = [classes(strength, noise, seed) for seed in range(args.seeds)]
                cells += told(runs, noise=noise, features=name)
    print(json.dumps({"question": args.question, "cells": cells}, indent=1))


if __name__ == "__main__":
    main()
