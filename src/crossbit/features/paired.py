"""Featurisers for the modalities of paired data, and their features row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossbit.data.checks import Kind
from crossbit.data.types import PairedData
from crossbit.errors import UserError, unknown
from crossbit.features import Featuriser, available, fit_featuriser, parsed
from crossbit.features.auto import AUTO, best
from crossbit.features.base import FIT_ROWS
from crossbit.features.network import NetworkFeaturiser

Progress = Callable[[str, int, int], Any]


def silent(name: str, done: int, of: int) -> None:
    """Progress that nobody is told of."""


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
    default: dict[Kind, str] = {"pictures": pictures, "words": "words", "vectors": vectors}
    for modality in given:
        if modality not in held:
            raise unknown("modality of features", modality, held)
    named = {modality: _suited(modality, held[modality], name, default) for modality, name in given.items()}
    for modality, name in named.items():
        if held[modality] == "pictures" and (name == "pixels") != pixels:
            right = "set pictures=cnn" if name == "pixels" else "take features pixels, or set pictures=vectors"
            raise UserError(f"features {modality}={name} do not suit what the encoder takes of pictures; {right}")
    return {modality: named.get(modality, default[reads]) for modality, reads in held.items()}


def _suited(modality: str, held: Kind, name: str, default: Mapping[Kind, str]) -> str:
    """The featuriser that reads what the modality holds: `auto`'s choice, or a network's other half."""
    if name == AUTO:
        return best(held, default[held])
    featuriser, argument = parsed(name)
    if held in featuriser.twins:
        return f"{featuriser.twins[held]}:{argument}"
    if (reads := featuriser.reads) != held:
        right = ", ".join(each for each, featuriser in available().items() if featuriser.reads == held)
        raise UserError(f"features {modality}={name} are of {reads}, and {modality} holds {held}; take one of: {right}")
    return name


def fit_featurisers(
    data: PairedData, names: Mapping[str, str], *, seed: int, progress: Progress = silent
) -> dict[str, Featuriser]:
    """A featuriser per modality, fitted on rows that are not queries (at most 20,000 of them, drawn with `seed`)."""
    rows = np.union1d(data.splits["train"], data.splits["retrieval"])
    if len(rows) > FIT_ROWS:
        rows = np.sort(np.random.default_rng([seed, 2]).choice(rows, FIT_ROWS, replace=False))
    fitted: dict[str, Featuriser] = {}
    for modality, name in names.items():
        featuriser, argument = parsed(name)
        if issubclass(featuriser, NetworkFeaturiser):
            network = featuriser.opened(argument, fetch=True)
            fitted[modality] = network.scaled_by(features_of(network, data[modality], rows, progress))
        else:
            fitted[modality] = fit_featuriser(name, data[modality][rows], seed=seed)
    return fitted


def features_of(featuriser: Featuriser, array: Any, rows: np.ndarray, progress: Progress = silent) -> np.ndarray:
    """Features float32 (rows, dim), or pixels uint8 (rows, *dim), of these rows of a modality's array.

    `progress` is called with the featuriser's name, the rows that are done and the number of all.
    """
    parts = []
    for start in range(0, max(1, len(rows)), featuriser.chunk):  # no rows give no features, but of the right form
        parts.append(featuriser.transform(array[rows[start : start + featuriser.chunk]]))
        progress(featuriser.name, min(start + featuriser.chunk, len(rows)), len(rows))
    return np.concatenate(parts)


def vectors_of(features: Tensor) -> Tensor:
    """Vectors (n, dim) for the kernel; of pixels, the picture features that other methods train on."""
    if features.ndim == 2:
        return features
    pixels = features.cpu().numpy()
    return torch.from_numpy(fit_featuriser("hog", pixels).transform(pixels)).to(features.device)
