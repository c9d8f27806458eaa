"""Featurisers for the modalities of paired data, and their features row by row."""

from __future__ import annotations

import numpy as np

from crossbit.data.types import PairedData
from crossbit.features import Featuriser, fit_featuriser

FIT_ROWS = 20_000  # rows that featurisers are fitted on, at most
CHUNK = 4096  # rows fetched at a time; the arrays may be memory-mapped


def fit_featurisers(data: PairedData, modalities: list[str], *, seed: int) -> dict[str, Featuriser]:
    """A featuriser per modality, fitted on rows that are not queries (at most 20,000 of them, drawn with `seed`)."""
    rows = np.union1d(data.splits["train"], data.splits["retrieval"])
    if len(rows) > FIT_ROWS:
        rows = np.sort(np.random.default_rng([seed, 2]).choice(rows, FIT_ROWS, replace=False))
    return {modality: fit_featuriser(data.kind(modality), data[modality][rows], seed=seed) for modality in modalities}


def features_of(featuriser: Featuriser, array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Features float32 (rows, dim) of these rows of a modality's array."""
    parts = [featuriser.transform(array[rows[start : start + CHUNK]]) for start in range(0, len(rows), CHUNK)]
    return np.concatenate(parts) if parts else np.empty((0, featuriser.dim), np.float32)
