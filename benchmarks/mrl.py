"""MRL beside its published code in MRL's own protocol, for which benchmarks/published.py has no job.

    python benchmarks/mrl.py --data WIKIPEDIA.npz --runs FILE [--published CHECKOUT] [--modalities image text topic]
                             [--width 512 --lr 6e-4]
    python benchmarks/mrl.py --table --runs FILE [FILE ...]

The first 231 rows of `query` choose the epoch (their labels are clean), the other 462 are searched against themselves
across modalities, ranked by cosine of the real vectors; `last` is the same at the last epoch. Vectors are standardised
by the training rows, noise is flip:0.6:each, 512 wide, 30 epochs. All variants of a seed see the same observed labels.
The published code runs with the fused Adam here: the same rule, in two thirds of the time. Resumable, a line a run; one
JSON object on standard output, progress on standard error. Other jobs: `python benchmarks/published.py mrl JOB`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from published import arguments, load_vectors, ours, published, read_runs, setup_of, summary, vectors

from crossbit.data.types import PairedData
from crossbit.evaluation.cosine import CosineRanking
from crossbit.evaluation.measures import MeanAveragePrecision
from crossbit.evaluation.scoring import score_rankings

RATE = 1e-4  # of the published code; narrow layers take larger ones
VALIDATION = 231  # queries that choose the epoch, of Wikipedia's 693


def score(data: PairedData, rows: np.ndarray, networks: Any) -> dict[str, float]:
    """mAP@all by cosine of these rows searched against themselves, every modality against every other."""
    with torch.no_grad():
        z = {m: networks[m](torch.from_numpy(vectors(data, m, rows))).numpy() for m in data.modalities}
    assert data.label is not None
    labels = data.label[rows]
    sides = z, z, labels, labels, MeanAveragePrecision()
    return score_rankings(CosineRanking.of, *sides, data=data.name, method="mrl").map


def run(data: PairedData, seed: int, args: argparse.Namespace, variant: str) -> dict[str, Any]:
    """Train, looking at the validation rows after every epoch; test figures of the best epoch and of the last."""
    networks, epoch = side(data, seed, args, variant)
    query = data.splits["query"]
    best, figures, chosen = -1.0, {}, 0
    for number in range(args.epochs):
        epoch(number)
        value = float(np.mean(list(score(data, query[:VALIDATION], networks).values())))
        if value > best:
            best, chosen, figures = value, number + 1, score(data, query[VALIDATION:], networks)
        print(variant, seed, number + 1, round(value, 4), file=sys.stderr)
    return {"map": figures, "last": score(data, query[VALIDATION:], networks), "chosen": chosen, "validation": best}


def side(data: PairedData, seed: int, args: argparse.Namespace, variant: str) -> tuple[Any, Callable[[int], object]]:
    """The networks of a variant, and what trains one epoch of them."""
    if variant == "published":
        args.adapter.fused = True  # the same rule; a step of the published one takes half as long again
        theirs = published(data, seed, args)
        return theirs.networks, theirs.epoch
    method, view = ours(data, seed, args, {**args.adapter.variants[variant], "lr": args.adapter.rate})

    def epoch(number: int) -> None:
        view.epoch = number
        method.train_epoch(view)

    return method.networks, epoch


def accuracy(args: argparse.Namespace) -> None:
    """Train every variant with every seed; a run that stands in the file already is not repeated."""
    data, setup = load_vectors(args), setup_of({**vars(args), "data": Path(args.data).stem})
    rate, lines = args.adapter.rate, read_runs(args.runs)
    done = {
        (line["variant"], line["seed"]) for line in lines if setup_of(line) == setup and line.get("lr", RATE) == rate
    }
    for seed in range(args.seeds):
        for variant in args.variants:
            if (variant, seed) in done:
                continue
            start = time.perf_counter()
            line = {"variant": variant, "seed": seed, **setup, "lr": rate, **run(data, seed, args, variant)}
            line["seconds"] = time.perf_counter() - start
            with open(args.runs[0], "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def table(paths: list[Path]) -> dict[str, Any]:
    """By modalities, width and rate, choice of the epoch, variant: mean, deviation, and difference to the published."""
    values: dict[tuple[str, str, str, str], list[float]] = {}
    for line in read_runs(paths):
        views = f"{', '.join(line['modalities'])}, width {line['width']}, lr {line.get('lr', RATE):g}"
        for choice, key in (("best on validation", "map"), ("last epoch", "last")):
            for direction, value in line[key].items():
                values.setdefault((views, choice, line["variant"], direction), []).append(value)
    result: dict[str, Any] = {}
    for (views, choice, variant, direction), of in values.items():
        base = [] if variant == "published" else values.get((views, choice, "published", direction), [])
        result.setdefault(views, {}).setdefault(choice, {}).setdefault(variant, {})[direction] = summary(of, base)
    return result


def main() -> None:
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--table", action="store_true")
    own.add_argument("--lr", type=float, default=RATE)
    given, rest = own.parse_known_args()
    args = arguments(["mrl", "accuracy", *rest])
    args.adapter.rate = given.lr
    if not given.table:
        if args.published is None:
            args.variants = [variant for variant in args.variants if variant != "published"]
        accuracy(args)
    print(json.dumps(table(args.runs), indent=1))


if __name__ == "__main__":
    main()
