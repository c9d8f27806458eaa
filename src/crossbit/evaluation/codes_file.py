"""Score a file of codes, or of real vectors, that anyone made."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.evaluation.measure import Empty, Measure
from crossbit.evaluation.rankings import Array
from crossbit.evaluation.report import Report, score_codes, score_vectors
from crossbit.evaluation.ties import Cutoff, Ties
from crossbit.npz import read_npz

SIDES = ("query", "retrieval")
USUAL = ("image", "text")  # the modalities to ask for where a file names none


def score_file(
    path: str | os.PathLike[str],
    *,
    k: int | None = None,
    cutoff: Cutoff = "topk-R",
    ties: Ties = "expected",
    empty: Empty = "skip",
) -> Report:
    """Score an `.npz` file with `query_image`, `query_text`, `retrieval_image`, `retrieval_text` (or other modalities'
    names), `query_label` and `retrieval_label`; row i is pair i.

    Codes are uint8 (rows, bits // 8), packed as by `np.packbits`; or bool, 0/1 or ±1 in any other type, one bit an
    entry. Other numbers are real vectors, ranked by cosine similarity, where equal similarities are ties; then all
    modalities must hold real vectors. Labels are 0/1 (rows, classes) or classes (rows,).

    Args:
        path: the file.
        k, cutoff, ties, empty: as for `mean_average_precision`.

    Raises:
        UserError: not such a file, keys missing (all are listed), pickled arrays, shapes or values that do not fit.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "toy.npz"
    >>> codes = np.array([[1.0] * 8, [-1.0] * 8])
    >>> np.savez(path, query_image=codes, query_text=codes, retrieval_image=codes, retrieval_text=codes,
    ...          query_label=[0, 1], retrieval_label=[0, 1])
    >>> score_file(path).map
    {'image->text': 1.0, 'text->image': 1.0}
    """
    measure = Measure(k, cutoff, ties, empty)
    hint = "give an .npz of query_<modality>, retrieval_<modality>, query_label and retrieval_label"
    arrays = read_npz(Path(path), "a file of codes", hint, wanted=lambda name: name.startswith(SIDES))
    try:
        return _score(arrays, measure, Path(path).stem)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _score(arrays: dict[str, Array], measure: Measure, name: str) -> Report:
    modalities = _modalities(arrays)
    features = {f"{side}_{modality}": arrays[f"{side}_{modality}"] for side in SIDES for modality in modalities}
    codes = {key: packed for key, array in features.items() if (packed := _as_codes(key, array)) is not None}
    chosen = codes if len(codes) == len(features) else _all_real(features, codes)
    query, retrieval = ({modality: chosen[f"{side}_{modality}"] for modality in modalities} for side in SIDES)
    sides = query, retrieval, arrays["query_label"], arrays["retrieval_label"]
    score = score_codes if chosen is codes else score_vectors
    return score(*sides, **asdict(measure), data=name)


def _modalities(arrays: dict[str, Array]) -> list[str]:
    """The modalities of the file, all of whose arrays are there."""
    named = [name.partition("_")[2] for name in arrays if "_" in name]
    modalities = [name for name in dict.fromkeys(named) if name != "label"]
    if len(modalities) < 2:
        modalities = list(dict.fromkeys([*modalities, *USUAL]))
    needed = [*(f"{side}_{m}" for side in SIDES for m in modalities), *(f"{side}_label" for side in SIDES)]
    if missing := [name for name in needed if name not in arrays]:
        raise UserError(
            f"it lacks {', '.join(missing)}; needed are query_<modality> and retrieval_<modality> of two modalities "
            "or more (usually image and text), query_label and retrieval_label"
        )
    return modalities


def _as_codes(name: str, array: Array) -> Array | None:
    """Packed codes, or None where the array holds real vectors."""
    if array.dtype == np.uint8:
        return array  # its shape is checked with the others
    if array.ndim != 2 or array.dtype.kind not in "biuf" or not array.size:
        raise UserError(f"{name} is {array.dtype} of shape {array.shape}; it must be numbers (rows, length of a code)")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UserError(f"{name} holds NaN or infinite values; codes and vectors must be finite")
    signs = array.dtype.kind != "b" and bool((array < 0).any())
    if not np.isin(array, (-1, 0, 1)).all():
        if array.dtype.kind == "f":
            return None
        raise UserError(f"{name} is {array.dtype} with values other than 0 and 1, or -1 and 1; packed codes are uint8")
    try:
        return pack(np.where(array >= 0 if signs else array > 0, np.int8(1), np.int8(-1)))
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def _all_real(features: dict[str, Array], codes: dict[str, Array]) -> dict[str, Array]:
    """The features as vectors: beside real ones, floats of 0/1 or ±1 are vectors, too; codes and bools are not."""
    if bits := [name for name in codes if features[name].dtype.kind != "f"]:
        real = ", ".join(name for name in features if name not in codes)
        raise UserError(
            f"{', '.join(bits)} hold codes, but {real} real vectors; give codes, or real vectors, throughout"
        )
    return features
