"""The labels that training may see, in the form in which methods take them, and who has any."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossbit.bits.labels import as_matrix
from crossbit.data.types import PairedData, Rows
from crossbit.errors import UserError

MOST_CLASSES = 1 << 16  # of labels that methods see: a column each


def observed_labels(data: PairedData, modalities: list[str], rows: np.ndarray) -> dict[str, np.ndarray]:
    """As `Prepared.observed`; UserError for data without labels."""
    apart = bool(data.modality_label or data.modality_observed_label)
    if any(Rows(data, rows[:0]).observed(modality) is None for modality in modalities):
        raise UserError(f"data '{data.name}' has no labels")
    if data.classes > MOST_CLASSES:
        right = "are they ids? number the classes from 0, or train by a method that sees no labels"
        raise UserError(f"data '{data.name}' has {data.classes:,} classes; training takes {MOST_CLASSES:,}; {right}")

    def hot(modality: str) -> np.ndarray:
        labels: Any = Rows(data, rows).observed(modality)
        return as_matrix(labels, data.classes).astype(np.float32)

    return (
        {modality: hot(modality) for modality in modalities} if apart else dict.fromkeys(modalities, hot(modalities[0]))
    )


def training_labels(data: PairedData, modalities: list[str], rows: np.ndarray) -> dict[str, np.ndarray]:
    """As `observed_labels`, with zeros for rows outside the training split: nobody labelled them for training."""
    labels = observed_labels(data, modalities, rows)
    outside = ~np.isin(rows, data.splits["train"])
    for array in {id(array): array for array in labels.values()}.values():
        array[outside] = 0
    return labels


def has_labels(data: PairedData) -> bool:
    arrays = data.label, data.observed_label
    return any(array is not None for array in arrays) or bool(data.modality_label or data.modality_observed_label)


def unlabelled(data: PairedData) -> list[str]:
    """The modalities that have no labels; all of them where no training row has one.

    >>> rows = {"train": [1, 2], "query": [0], "retrieval": [1, 2]}
    >>> data = PairedData("toy", {"x": np.eye(3), "y": np.eye(3)}, None, rows)
    >>> unlabelled(data), unlabelled(data.replace(modality_label={"x": np.array([0, 1, 1])}))
    (['x', 'y'], ['y'])
    """
    of_pairs = data.label is not None or data.observed_label is not None
    named = data.modalities if of_pairs else data.modality_label | data.modality_observed_label
    seen: list[Any] = [data.train.observed(modality) for modality in named]
    some = any(labels.ndim == 1 or labels.any() for labels in seen)
    return [modality for modality in data.modalities if not some or modality not in named]
