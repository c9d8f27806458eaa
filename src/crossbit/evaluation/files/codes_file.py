"""Score a file of codes, or of real vectors, that anyone made."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.bits import MAX_BITS, pack
from crossbit.errors import UserError
from crossbit.evaluation.encoded import Encoded, score_encoded
from crossbit.evaluation.files.array_names import SIDES, is_wanted, modalities_of, renamings
from crossbit.evaluation.files.upright import as_classes, upright
from crossbit.evaluation.measure import Empty, Measure, RankMeasure
from crossbit.evaluation.measures import MeanAveragePrecision
from crossbit.evaluation.passes import as_measure
from crossbit.evaluation.quality import code_quality
from crossbit.evaluation.questions import questions
from crossbit.evaluation.rankings import Array
from crossbit.evaluation.report import Report
from crossbit.evaluation.ties.counts import Cutoff, Ties
from crossbit.storage.matlab import Container, open_container
from crossbit.storage.npz import read_npz

_LOG = logging.getLogger(__name__)
KIND = "a file of codes"
HINT = "give an .npz, .mat or .h5 of query_<modality>, retrieval_<modality>, query_label and retrieval_label"


def score_file(
    path: str | os.PathLike[str],
    *,
    k: int | None = None,
    cutoff: Cutoff = "topk-R",
    ties: Ties = "expected",
    empty: Empty = "skip",
    measures: Sequence[str | Measure] = (),
    curves: bool = False,
    per_query: bool = False,
) -> Report:
    """Score an `.npz`, `.mat` or HDF5 file with `query_image`, `query_text`, `retrieval_image`, `retrieval_text` (or
    other modalities' names), `query_label` and `retrieval_label`; row i is pair i.

    Codes are uint8 (rows, bits // 8), packed as by `np.packbits`; or bool, 0/1 or ±1 in any other type, one bit an
    entry. Other numbers are real vectors, ranked by cosine similarity (equal to 12 decimals: tied); then all modalities
    must hold real vectors. Labels are 0/1 (rows, classes) or classes (rows,); one column is classes. Arrays of a `.mat`
    (any version) or HDF5 file may be transposed. Names that the field's own code gives (`array_names.KNOWN`: qBX,
    rBY, queryL, ...) are taken as what they mean there, and a warning says so. Where both sides hold the same rows, the
    queries are searched themselves.

    The report's `figures` have the mAP and every further measure twice: with ties="index", as the field's usual script
    sorts, and with ties="expected" ("first-k-relevant" has the former only).

    Args:
        path: the file.
        k, cutoff, ties, empty: as for `mean_average_precision`.
        measures, curves, per_query: as for `score_codes`.

    Raises:
        UserError: not such a file (says what it is), keys missing (all are listed), pickled arrays, shapes or values
            that do not fit, arrays of a `.mat` that both ways up fit.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "toy.npz"
    >>> codes = np.array([[1.0] * 8, [-1.0] * 8])
    >>> np.savez(path, query_image=codes, query_text=codes, retrieval_image=codes, retrieval_text=codes,
    ...          query_label=[0, 1], retrieval_label=[0, 1])
    >>> score_file(path).map
    {'image->text': 1.0, 'text->image': 1.0}
    """
    measure = MeanAveragePrecision(k, cutoff, ties=ties, empty=empty)
    further = side_by_side([measure, *map(as_measure, measures)])
    options: dict[str, Any] = {"k": k, "cutoff": cutoff, "ties": ties, "empty": empty, "measures": further}
    file = Path(path)
    container = None if zipfile.is_zipfile(file) else open_container(file)
    arrays, held = _npz_arrays(file) if container is None else _mat_arrays(container)
    try:
        arrays = _ours(arrays, file)
        modalities = modalities_of(arrays, held)
        arrays = _with_classes(upright(arrays) if container else arrays, arrays, file)
        return _score(arrays, modalities, {**options, "curves": curves, "per_query": per_query, "data": file.stem})
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _npz_arrays(file: Path) -> tuple[dict[str, Array], list[str]]:
    """The arrays that are wanted, and all names in the file."""
    held: list[str] = []

    def wanted(name: str) -> bool:
        held.append(name)
        return is_wanted(name)

    return read_npz(file, KIND, HINT, wanted=wanted), held


def _mat_arrays(container: Container) -> tuple[dict[str, Array], list[str]]:
    """As `_npz_arrays`, as MATLAB shows them."""
    for name, what in container.others.items():
        if is_wanted(name):
            raise UserError(f"{container.path}: {name} is {what}; it must be an array of numbers; {HINT}")
    arrays = {name: entry.shown() for name, entry in container.entries.items() if is_wanted(name)}
    return arrays, [*container.entries, *container.others]


def _with_classes(arrays: dict[str, Array], given: dict[str, Array], file: Path) -> dict[str, Array]:
    """The arrays with labels of one column as class numbers; a warning says so where they could be one label."""
    made = {name: as_classes(array) if name.endswith("_label") else array for name, array in arrays.items()}
    lines = [given[name] for name in arrays if name.endswith("_label") and given[name].ndim > made[name].ndim]
    if lines and all(np.isin(line, (0, 1)).all() for line in lines):
        _LOG.warning(
            "%s: the labels are one line of 0 and 1, read as two classes: items of class 0 are relevant to each other, "
            "as those of class 1 are; for a single label that an item has or lacks, add a second column of zeros",
            file,
        )
    return made


def _ours(arrays: dict[str, Array], file: Path) -> dict[str, Array]:
    """The arrays under our names; a warning says which went by others."""
    renamed = renamings(arrays)
    if renamed:
        _LOG.warning("%s: %s", file, ", ".join(f"{name} is taken as {meant}" for name, meant in renamed.items()))
    ours = {renamed.get(name, name): array for name, array in arrays.items()}
    return {name: array for name, array in ours.items() if name.startswith(tuple(f"{side}_" for side in SIDES))}


def side_by_side(measures: Sequence[Measure]) -> list[Measure]:
    """Each measure with ties="index" and with ties="expected", where it is defined, then as it was if by other ties.

    >>> [measure.ties for measure in side_by_side([MeanAveragePrecision(ties="best")])]
    ['index', 'expected', 'best']
    """
    chosen: list[Measure] = []
    for measure in measures:
        if isinstance(measure, RankMeasure):
            chosen += [replace(measure, ties="index")]
            chosen += [replace(measure, ties="expected")] if _has_expectation(measure) else []
        chosen += [measure]
    return list(dict.fromkeys(chosen))


def _has_expectation(measure: Measure) -> bool:
    return getattr(measure, "cutoff", None) != "first-k-relevant" or measure.k is None


def _score(arrays: dict[str, Array], modalities: list[str], options: dict[str, Any]) -> Report:
    names = [f"{side}_{modality}" for side in SIDES for modality in modalities]
    features = {name: _Features.of(name, arrays[name]) for name in names}
    if all(_looks_unpacked(arrays[name]) for name in names):
        _LOG.warning(
            "uint8 arrays are packed codes, but these hold 0 and 1 alone, as if each entry were a bit: distances, and "
            "so all measures, stay the same, but not the number of bits, nor what is said of them; save them as bool"
        )
    real = any(feature.real for feature in features.values())
    chosen = _all_real(features) if real else _all_codes(features)
    query, retrieval = ({modality: chosen[f"{side}_{modality}"] for modality in modalities} for side in SIDES)
    labels = arrays["query_label"], arrays["retrieval_label"]
    itself = np.array_equal(labels[0], labels[1]) and all(np.array_equal(query[m], retrieval[m]) for m in modalities)
    options["questions"] = questions(options["empty"])
    made, other = (Encoded(vectors=side) if real else Encoded(side) for side in (query, retrieval))
    report = score_encoded(made, None if itself else other, *labels, **options)
    bits = None if real else features[names[0]].bits
    quality = {modality: code_quality(codes, bits=bits) for modality, codes in retrieval.items()}
    return replace(report, bits=bits, quality=quality, curves=_within(report.curves, bits))


def _looks_unpacked(array: Array) -> bool:
    """Whether packed codes (n, bytes) are so wide and so plain that every byte was meant as a bit."""
    wide = array.dtype == np.uint8 and array.ndim == 2 and array.shape[1] >= 8
    return bool(wide and array.size and array.max() == 1)


def _within(curves: dict[str, dict[str, Any]], bits: int | None) -> dict[str, dict[str, Any]]:
    """The curves without the radii that only the bits have which fill the last byte."""
    last = None if bits is None else bits + 1
    return {
        title: {
            way: {
                key: values[:last] if "radius" in points and key != "name" else values for key, values in points.items()
            }
            for way, points in of.items()
        }
        for title, of in curves.items()
    }


@dataclass(frozen=True)
class _Features:
    """An array of the file."""

    given: Array
    codes: Array | None  # packed; bits that are equal in all codes fill the last byte
    bits: int

    @property
    def real(self) -> bool:
        return self.codes is None

    @classmethod
    def of(cls, name: str, array: Array) -> _Features:
        if array.dtype == np.uint8:  # its shape is checked with the others
            return cls(array, array, 8 * array.shape[-1] if array.ndim else 0)
        if array.ndim != 2 or array.dtype.kind not in "biuf" or not array.size:
            form = f"{array.dtype} of shape {array.shape}"
            raise UserError(f"{name} is {form}; it must be numbers (rows, length of a code)")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UserError(f"{name} holds NaN or infinite values; codes and vectors must be finite")
        bits = array.shape[1]
        if np.isin(array, (-1, 0, 1)).all():
            return cls(array, _packed(name, array), bits)
        if array.dtype.kind == "f":
            return cls(array, None, bits)
        raise UserError(f"{name} is {array.dtype} with values other than 0 and 1, or -1 and 1; packed codes are uint8")


def _packed(name: str, array: Array) -> Array:
    """Codes of ±1 or 0/1 (n, bits), packed."""
    if array.shape[1] > MAX_BITS:
        raise UserError(f"{name} has codes of {array.shape[1]:,} bits; there may be at most {MAX_BITS:,}")
    signs = array.dtype.kind != "b" and bool((array < 0).any())
    return pack(np.pad(array >= 0 if signs else array > 0, ((0, 0), (0, -array.shape[1] % 8))) - np.float32(0.5))


def _all_codes(features: dict[str, _Features]) -> dict[str, Array]:
    """The packed codes, all of one length."""
    if len({feature.bits for feature in features.values()}) > 1:
        given = ", ".join(f"{name} {feature.bits} bits" for name, feature in features.items())
        raise UserError(f"codes must all have the same length; got {given}")
    return {name: feature.codes for name, feature in features.items() if feature.codes is not None}


def _all_real(features: dict[str, _Features]) -> dict[str, Array]:
    """The features as vectors: beside real ones, floats of 0/1 or ±1 are vectors, too; codes and bools are not."""
    if bits := [name for name, feature in features.items() if not feature.real and feature.given.dtype.kind != "f"]:
        real = ", ".join(name for name, feature in features.items() if feature.real)
        raise UserError(
            f"{', '.join(bits)} hold codes, but {real} real vectors; give codes, or real vectors, throughout"
        )
    return {name: feature.given for name, feature in features.items()}
