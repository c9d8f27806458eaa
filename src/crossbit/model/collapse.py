"""Whether codes hardly tell rows apart, and the likely reason; training, evaluation and indexing ask here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from crossbit.data.types import PairedData
from crossbit.evaluation import Report
from crossbit.evaluation.quality import collapse
from crossbit.model.model import Model

ROWS = 1000  # encoded to see it, at most
NEAR = 0.005  # mAP so near to chance is chance


def collapsed(
    model: Model, data: PairedData, rows: np.ndarray, labels: Callable[[np.ndarray], Mapping[str, np.ndarray]]
) -> list[str]:
    """A line for each modality whose codes of these rows have collapsed; none where all is well.

    Args:
        model: encodes; of a floor such as random codes nothing is said.
        data: holds the rows.
        rows: row numbers; of many, 1,000 in even steps are looked at.
        labels: gives by modality the labels of rows, 0/1 (n, classes) or classes (n,); without a modality where they
            are not known.
    """
    if model.floor:
        return []
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), ROWS)).astype(int)]
    lines, known = [], labels(some)
    for modality in model.modalities:
        label = known.get(modality)
        if what := collapse(model.encode(modality, data[modality][some]), label):
            lines.append(
                f"the codes of {modality} tell next to nothing apart: {what}; {_reason(model, modality, label)}"
            )
    return lines


def true_labels(data: PairedData, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The truth of these rows by modality, where it is known."""
    found = {modality: data.modality_label.get(modality, data.label) for modality in data.modalities}
    return {modality: label[rows] for modality, label in found.items() if label is not None}


def at_chance(model: Model, report: Report) -> list[str]:
    """A line where mAP is no better than that of random codes; none of a floor."""
    above = {way: value - report.chance[way] for way, value in report.map.items() if way in report.chance}
    ways = [way for way, more in above.items() if more < NEAR and report.chance[way] < 1]
    if not ways or model.floor:
        return []
    return [f"mAP of {' and '.join(ways)} is that of chance: these codes do not know the labels"]


def _reason(model: Model, modality: str, label: np.ndarray | None) -> str:
    if label is not None and (label == label[0]).all():
        return "all rows have the same labels, so there is nothing to learn from"
    if model.featurisers[modality].name == "as-is":
        return f"vectors as they are may have an offset or a small unit: train with --features {modality}=scaled"
    return "labels or pairs may be wrong in most rows, or the learning rate too high or epochs too few"
