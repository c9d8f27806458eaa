"""Featurisers for the modalities of paired data, and their features row by row."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from crossbit.data.types import PairedData
from crossbit.features import Featuriser, fit_featuriser

DEFAULT = {"pictures": "hog", "words": "words", "vectors": "as-is"}  # by what a modality holds
FIT_ROWS = 20_000  # rows that featurisers are fitted on, at most
CHUNK = 4096  # rows fetched at a time; the arrays may be memory-mapped


def fit_featurisers(
    data: PairedData, modalities: list[str], *, seed: int, pixels: bool = False
) -> dict[str, Featuriser]:
    """A featuriser per modality, fitted on rows that are not queries (at most 20,000 of them, drawn with `seed`).

    With `pixels`, pictures stay pictures, for an encoder that takes them.
    """
    rows = np.union1d(data.splits["train"], data.splits["retrieval"])
    if len(rows) > FIT_ROWS:
        rows = np.sort(np.random.default_rng([seed, 2]).choice(rows, FIT_ROWS, replace=False))
    chosen = {**DEFAULT, "pictures": "pixels"} if pixels else DEFAULT
    return {m: fit_featuriser(chosen[data.kind(m)], data[m][rows], seed=seed) for m in modalities}


def features_of(featuriser: Featuriser, array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Features float32 (rows, dim), or pixels uint8 (rows, *dim), of these rows of a modality's array."""
    parts = [
        featuriser.transform(array[rows[start : start + CHUNK]]) for start in range(0, max(1, len(rows)), CHUNK)
    ]  # no rows give no features, but of the right form
    return np.concatenate(parts)


def vectors_of(features: Tensor) -> Tensor:
    """Vectors (n, dim) for the kernel; of pixels, the picture features that other methods train on."""
    if features.ndim == 2:
        return features
    pixels = features.cpu().numpy()
    return torch.from_numpy(fit_featuriser("hog", pixels).transform(pixels)).to(features.device)
