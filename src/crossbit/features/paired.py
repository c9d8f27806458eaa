"""Featurisers for the modalities of paired data, and their features row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from crossbit.data.checks import Kind
from crossbit.data.types import PairedData
from crossbit.errors import UserError, unknown
from crossbit.features import Featuriser, available, fit_featuriser, get
from crossbit.features.base import FIT_ROWS

CHUNK = 4096  # rows fetched at a time; the arrays may be memory-mapped


def choose_features(
    data: PairedData,
    modalities: Sequence[str],
    given: Mapping[str, str] | None = None,
    *,
    scale_vectors: bool = True,
    pixels: bool = False,
) -> dict[str, str]:
    """The name of each modality's featuriser: what was asked for, else the default.

    Args:
        data: holds the modalities.
        modalities: those that are to have a featuriser.
        given: names by modality, for some of them.
        scale_vectors: whether vectors are scaled by default, or taken as they are.
        pixels: whether the method's encoders take pictures as pixels.

    Raises:
        UserError: an unknown modality or name, one that reads something else, or pixels where vectors are taken.

    >>> data = PairedData("toy", {"image": np.eye(2), "text": np.array(["red fox", "red car"])}, None,
    ...                   {"train": [0, 1], "query": [], "retrieval": [0, 1]})
    >>> choose_features(data, ["image", "text"])
    {'image': 'scaled', 'text': 'words'}
    >>> choose_features(data, ["image", "text"], {"image": "as-is"})
    {'image': 'as-is', 'text': 'words'}
    """
    held, given = {modality: data.kind(modality) for modality in modalities}, given or {}
    pictures, vectors = "pixels" if pixels else "hog", "scaled" if scale_vectors else "as-is"
    default = {"pictures": pictures, "words": "words", "vectors": vectors}
    for modality in given:
        if modality not in held:
            raise unknown("modality of features", modality, held)
    for modality, name in given.items():
        _check_reads(modality, held[modality], name)
        if held[modality] == "pictures" and (name == "pixels") != pixels:
            right = "set pictures=cnn" if name == "pixels" else "take features pixels, or set pictures=vectors"
            raise UserError(f"features {modality}={name} do not suit what the encoder takes of pictures; {right}")
    return {modality: given.get(modality, default[reads]) for modality, reads in held.items()}


def _check_reads(modality: str, held: Kind, name: str) -> None:
    if (reads := get(name).reads) != held:
        right = ", ".join(each for each, featuriser in available().items() if featuriser.reads == held)
        raise UserError(f"features {modality}={name} are of {reads}, and {modality} holds {held}; take one of: {right}")


def fit_featurisers(data: PairedData, names: Mapping[str, str], *, seed: int) -> dict[str, Featuriser]:
    """A featuriser per modality, fitted on rows that are not queries (at most 20,000 of them, drawn with `seed`)."""
    rows = np.union1d(data.splits["train"], data.splits["retrieval"])
    if len(rows) > FIT_ROWS:
        rows = np.sort(np.random.default_rng([seed, 2]).choice(rows, FIT_ROWS, replace=False))
    return {m: fit_featuriser(name, data[m][rows], seed=seed) for m, name in names.items()}


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
