"""Why learn codes at all? A random rotation and signs of the same vectors, beside a run's codes.

    python -m benchmarks.speed.unlearned RUN [--rotations 3]

The vectors are what the run's encoders read: features of pictures and of texts. Rotated at random and cut to their
signs they are codes that need no training; the query keeps its real values, and each code has one number that corrects
the length of what is left of it. Such codes answer within a modality alone: nothing brings a text near a picture. So
they are compared there, and the run's codes across modalities stand beside. The database's rows, by the test queries;
mAP by labels and the label overlap of the first ten. A table on standard error, one JSON object on standard output.

Source: Gao and Long, RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound (SIGMOD 2024).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import crossbit
from benchmarks.common.page import Section, mean_text, table
from benchmarks.common.runs import spread
from crossbit.evaluation.scoring import score_codes, score_vectors
from crossbit.features.paired import features_of
from crossbit.runs.folder import RunFolder

MEASURE = "overlap@10"
BYTES_OF_FACTOR = 4


def rotation(columns: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Random directions at right angles to one another, (columns, width), as far as there are as many."""
    parts = []
    while sum(part.shape[1] for part in parts) < width:
        parts.append(np.linalg.qr(rng.normal(size=(columns, columns)))[0])
    return np.concatenate(parts, axis=1)[:, :width]


def rotated(query: np.ndarray, database: np.ndarray, width: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Real queries and signs of a database, such that their cosines rank as the estimated products of vectors do.

    A code s of a vector o with <s, o> = f estimates <q, o> by <q, s> / f. One further column, which the queries have 0
    in, makes all rows of s / f as long as the longest.
    """
    centre = database.mean(axis=0)
    turned = rotation(database.shape[1], width, rng)
    inner = [
        (rows - centre) / np.linalg.norm(rows - centre, axis=1, keepdims=True).clip(1e-12) for rows in (query, database)
    ]
    asked, held = (rows @ turned for rows in inner)
    signs = np.where(held >= 0, 1.0, -1.0)
    estimates = signs / np.abs(held).sum(axis=1, keepdims=True).clip(1e-12)
    lengths = (estimates**2).sum(axis=1, keepdims=True)
    rest = np.sqrt((lengths.max() - lengths).clip(0))
    return np.hstack([asked, np.zeros((len(asked), 1))]), np.hstack([estimates, rest])


def within(score: Any, query: Any, database: Any, labels: tuple[Any, Any]) -> dict[str, float]:
    """Scores of queries against a database of their own modality."""
    sides = {"it": query, "same": query}, {"it": database, "same": database}
    report = score(*sides, *labels, measures=[MEASURE])
    return {"mAP": report.map["it->same"], MEASURE: next(iter(report.figures.values()))["it->same"]}


def across(report: Any) -> dict[str, dict[str, float]]:
    return {way: {"mAP": report.map[way], MEASURE: next(iter(report.figures.values()))[way]} for way in report.map}


def measured(run: Path, rotations: int) -> dict[str, Any]:
    """By task and way of coding: mAP, overlap, bytes of an item."""
    model, data = crossbit.load_model(run), RunFolder(run).data()
    rows = data.splits["query"], data.splits["retrieval"]
    if data.label is None:
        raise SystemExit(f"{run} has no labels, which the measures need")
    labels = (data.label[rows[0]], data.label[rows[1]])
    results: dict[str, Any] = {}
    codes = {m: [model.encode(m, data[m][some]) for some in rows] for m in model.modalities}
    for m in model.modalities:
        vectors = [np.asarray(features_of(model.featurisers[m], data[m], some), np.float64) for some in rows]
        columns = vectors[0].shape[1]
        task = results[f"{m}->{m}"] = {}
        task["the vectors themselves"] = within(score_vectors, *vectors, labels) | {"bytes": 4 * columns}
        for width in sorted({model.bits, 8 * -(-columns // 8)}):
            found = [
                within(score_vectors, *rotated(*vectors, width, np.random.default_rng(seed)), labels)
                for seed in range(rotations)
            ]
            means = {name: float(np.mean([one[name] for one in found])) for name in ("mAP", MEASURE)}
            spreads = {f"{name} spread": spread(one[name] for one in found) for name in ("mAP", MEASURE)}
            task[f"rotated at random, {width} signs"] = means | spreads | {"bytes": width // 8 + BYTES_OF_FACTOR}
        task[f"learned, {model.bits} bits"] = within(score_codes, *codes[m], labels) | {"bytes": model.bits // 8}
    sides = [{m: codes[m][side] for m in codes} for side in (0, 1)]
    learned = across(score_codes(*sides, *labels, measures=[MEASURE]))
    results |= {way: {f"learned, {model.bits} bits": one | {"bytes": model.bits // 8}} for way, one in learned.items()}
    return {"method": model.method, "data": data.name, "rotations": rotations, "results": results}


def section(result: dict[str, Any]) -> str:
    rows = []
    for task, ways in result["results"].items():
        for way, found in ways.items():
            told = [
                mean_text(found[f"{name} spread"], 3) if f"{name} spread" in found else f"{found[name]:.3f}"
                for name in ("mAP", MEASURE)
            ]
            rows.append([task, way, *told, f"{found['bytes']:,}"])
    head = ["", "codes", "mAP@all", "label overlap of ten", "bytes an item"]
    lines = table(head, rows)
    return f"{result['data']}, {result['method']}; rotations: mean of {result['rotations']}.\n\n{lines}"


ABOUT = (
    "A random rotation and signs, with real-valued queries and a correction for each code (RaBitQ), of the features "
    "that the run's encoders read. They answer within a modality alone."
)
SECTIONS = {"unlearned": Section("Why learn codes at all", ABOUT, section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run's folder, whose data can be read")
    parser.add_argument("--rotations", type=int, default=3)
    args = parser.parse_args()
    result = measured(args.run, args.rotations)
    print(section(result), file=sys.stderr)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
