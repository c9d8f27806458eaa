"""Settings of LOOK, or of another method, scored on training rows that are held out, by the labels they were given.

    python -m benchmarks.studies.look_tuning DATA NOISE SEED FILE.jsonl "name: setting=value ..." ...
    python -m benchmarks.studies.look_tuning glyphs-hard swap-one:0.5 0 FILE.jsonl "default:" "dropout: dropout=0.2"
    python -m benchmarks.studies.look_tuning wikipedia.npz swap-one:0.5 0 FILE.jsonl "mrl, longer: method=mrl epochs=32"
    python -m benchmarks.studies.look_tuning table FILE.jsonl

A fifth of the training rows is held out, in whole groups where there are any. No query is read and no true label. The
held-out rows are searched against the other training rows, and against themselves. Vectors are standardised; LOOK's
posterior is made once for each cell. Another method is named among its settings. Runs that FILE has are not repeated.
"table" prints one JSON object: the mean of both directions, for each cell and setting, over the seeds: mAP, and of runs
that have them the overlap of labels and the own pair of the first ten, as a search shows them, and the latter by codes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.common.runs import as_vectors, read_runs
from crossbit.data import PairedData, load_data
from crossbit.data.noise import corrupt_data
from crossbit.data.split import held_out
from crossbit.evaluation import evaluate, parse_measure
from crossbit.evaluation.report import DATABASES
from crossbit.methods.look import Look
from crossbit.posterior import Posterior
from crossbit.training import train
from crossbit.training.held_out import OVERLAP, PAIR

BY_CODES = "hit@10(correct=pair)"
TITLES = {"overlap": ("retrieval", OVERLAP), "own pair": ("query", PAIR), "own pair, codes": ("query", BY_CODES)}
SHARE, MODALITIES = 5, ("image", "text")


def cell(data: PairedData, noise: str, seed: int) -> tuple[PairedData, PairedData]:
    """What is trained on, and what is scored: labels are the observed ones, queries are held-out training rows."""
    noisy = data if noise == "none" else corrupt_data(data, noise, seed)[0]
    label = noisy.label if noisy.observed_label is None else noisy.observed_label
    rows, database = data.splits["train"], data.splits["retrieval"]
    apart = held_out(data.n, rows, len(rows) // SHARE, [seed, 7], data.group)
    splits = {"train": rows[~apart[rows]], "query": rows[apart[rows]], "retrieval": database[~apart[database]]}
    trained = noisy.replace(label=label, observed_label=None, splits=splits)
    return trained, trained.replace(splits={**splits, "retrieval": splits["train"]})


def run(trained: PairedData, scored: PairedData, settings: dict[str, str], seed: int) -> dict[str, Any]:
    """mAP by database and direction, what a person asks by direction, and processor seconds."""
    began, method = time.process_time(), settings.get("method", "look")
    settings = {name: value for name, value in settings.items() if name != "method"}
    options = {"bits": 64, "seed": seed, "settings": settings, "features": dict.fromkeys(MODALITIES, "as-is")}
    model = train(trained, method=method, progress=False, **options)
    seconds = time.process_time() - began
    told: dict[str, Any] = {"map": {name: evaluate(model, scored, database=name).map for name in DATABASES}}
    for title, (database, name) in TITLES.items():
        report = evaluate(model, scored, database=database, measures=[name])
        told[title] = report.figures[str(parse_measure(name))]
    return told | {"seconds": seconds}


def table(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """By cell and name of the settings: the mean of both directions by database, and the number of seeds."""
    held: dict[str, dict[str, list[dict[str, float]]]] = {}
    for one in runs:
        asked = one["map"] | {title: one[title] for title in TITLES if title in one}
        means = {name: float(np.mean(list(scores.values()))) for name, scores in asked.items()}
        held.setdefault(f"{one['data']}, {one['noise']}", {}).setdefault(one["name"], []).append(means)
    return {
        place: {
            name: {of: float(np.mean([m[of] for m in means if of in m])) for of in {**means[0], **means[-1]}}
            | {"n": len(means)}
            for name, means in rows.items()
        }
        for place, rows in held.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("noise")
    parser.add_argument("seed", type=int, nargs="?")
    parser.add_argument("kept", type=Path, nargs="?")
    parser.add_argument("settings", nargs="*")
    args = parser.parse_args()
    if args.data == "table":
        print(json.dumps(table(read_runs([Path(args.noise)])), indent=1))
        return
    trained, scored = cell(as_vectors(load_data(args.data), MODALITIES), args.noise, args.seed)
    place = {"data": Path(args.data).stem, "noise": args.noise, "seed": args.seed}
    made: dict[str, Posterior] = {}
    original = Look.posterior

    def once(self: Look, view: Any) -> Posterior:
        key = self.settings.kernel
        if key not in made:
            made[key] = original(self, view)
        return made[key]

    with patch.object(Look, "posterior", once):
        for text in args.settings:
            name, _, rest = text.partition(":")
            line = {**place, "name": name, "settings": dict(pair.split("=") for pair in rest.split())}
            if any(all(kept[key] == line[key] for key in line) for kept in read_runs([args.kept])):
                continue
            line |= run(trained, scored, line["settings"], args.seed)
            with args.kept.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
