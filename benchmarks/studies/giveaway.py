"""How well one modality alone tells the labels of the glyph sets, by a linear classifier; one JSON object out.

    python -m benchmarks.studies.giveaway [--page docs/data.md]

On the features that training uses, ridge regression (its penalty chosen for each label by leave-one-out on the training
rows) learns the true labels of the training rows and orders the queries for each label. Told are the mean over the
labels of average precision and of the area under the ROC curve, what a random order gives, and the share of the queries
of which every label is told right (regression above a half), and the labels that are given away: average precision of
at least .95. --page puts a table of these figures between the marks of a page.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.common.page import Section, between, table
from crossbit.data import PairedData, load_data
from crossbit.evaluation.metrics import chance_level
from crossbit.features.paired import choose_features, features_of, fit_featurisers

SETS = ("glyphs", "glyphs-hard")
MODALITIES = ("image", "text")
GIVEN_AWAY, FEW = 0.95, 5
PENALTIES = np.logspace(-3, 3, 13)
MARKS = ("<!-- giveaway -->", "<!-- end of giveaway -->")


def told(data: PairedData, modality: str) -> dict[str, Any]:
    """How well a modality tells the labels of the queries."""
    featuriser = fit_featurisers(data, choose_features(data, [modality], scale_vectors=False), seed=0)[modality]
    train, query = (features_of(featuriser, data[modality], data.splits[split]) for split in ("train", "query"))
    truth = np.asarray(data.query.label)
    model = RidgeCV(PENALTIES, alpha_per_target=True).fit(train, np.asarray(data.train.label, dtype=np.float32))
    scores = model.predict(query)
    precision = average_precision_score(truth, scores, average=None)
    return {
        "average_precision": float(precision.mean()),
        "given_away": np.array(data.label_names)[precision >= GIVEN_AWAY].tolist(),
        "area": float(roc_auc_score(truth, scores, average="macro")),
        "all_right": float(((scores > 0.5) == truth).all(axis=1).mean()),
    }


def measured(name: str) -> dict[str, Any]:
    """A set's sizes, its level of chance, and what each modality tells."""
    data = load_data(name)
    truth, database = np.asarray(data.query.label), np.asarray(data.retrieval.label)
    return {
        "pairs": data.n,
        "splits": {split: len(rows) for split, rows in data.splits.items()},
        "labels": data.classes,
        "labels_per_pair": float(np.asarray(data.label).sum(axis=1).mean()),
        "characters": len(np.unique(data.group)),  # type: ignore[arg-type]
        "captions": len(np.unique(data["text"])),
        "chance_map": chance_level(truth, database),
        "random": float(truth.mean(axis=0).mean()),
        "told": {modality: told(data, modality) for modality in MODALITIES},
    }


FIGURES: dict[str, Callable[[dict[str, Any]], str]] = {
    "pairs": lambda r: f"{r['pairs']:,}",
    "training pairs / queries / database": lambda r: " / ".join(f"{n:,}" for n in r["splits"].values()),
    "characters / different captions": lambda r: f"{r['characters']:,} / {r['captions']:,}",
    "labels / of a pair": lambda r: f"{r['labels']} / {r['labels_per_pair']:.2f}",
    "mAP@all of a random order": lambda r: f"{r['chance_map']:.3f}",
    "a label's average precision, random": lambda r: f"{r['random']:.3f}",
    "... from the picture alone": lambda r: f"{r['told']['image']['average_precision']:.3f}",
    "... from the text alone": lambda r: f"{r['told']['text']['average_precision']:.3f}",
    "area under ROC, picture / text": lambda r: " / ".join(f"{r['told'][m]['area']:.3f}" for m in MODALITIES),
    "all labels of a query right, picture / text": lambda r: " / ".join(
        f"{r['told'][m]['all_right']:.1%}" for m in MODALITIES
    ),
    "labels that the text gives away": lambda r: named(r["told"]["text"]["given_away"]),
}


def named(labels: list[str]) -> str:
    """A few labels by name, many by their number."""
    return ", ".join(labels) if 0 < len(labels) <= FEW else str(len(labels))


def section(result: dict[str, Any]) -> str:
    """The figures as a table, a column a set; the page shows the same."""
    rows = [[what, *map(figure, result.values())] for what, figure in FIGURES.items()]
    return table(["", *(f"`{name}`" for name in result)], rows)


ABOUT = (
    "Ridge regression on the features that training uses, learned from the true labels of the training rows, tried "
    "on the queries; means over the labels. *Given away*: average precision of at least .95."
)
SECTIONS = {"giveaway": Section("How much each modality says about the labels of the glyph sets", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path)
    args = parser.parse_args()
    results = {name: measured(name) for name in SETS}
    if args.page is not None:
        between(args.page, MARKS, section(results))
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
