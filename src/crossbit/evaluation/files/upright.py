"""Which way up the arrays of a file of codes are: items as rows, or - as MATLAB's code often writes them - as columns.

Codes are one group and labels another, since a file is written by code that treats all of a group alike. A group is
turned where only so the sizes fit; a square array, of which both ways fit, follows its group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np

from crossbit.errors import UserError
from crossbit.evaluation.rankings import Array

Arrays = dict[str, Array]


def upright(arrays: Arrays) -> Arrays:
    """Arrays <side>_<what> with items as rows; those that fit no way are left as they are.

    Labels with a single row or column on both sides are class numbers (items,).

    Raises:
        UserError: two ways are possible; names the arrays.

    >>> turned = {"query_image": np.ones((8, 3)), "query_label": np.ones((1, 3)), "retrieval_image": np.ones((8, 5))}
    >>> {name: array.shape for name, array in upright({**turned, "retrieval_label": np.ones((1, 5))}).items()}
    {'query_image': (3, 8), 'query_label': (3,), 'retrieval_image': (5, 8), 'retrieval_label': (5,)}
    """
    if any(array.ndim != 2 for name, array in arrays.items() if not _is_label(name)):
        return arrays
    ways = _different(arrays, filter(_fit, _by_group(arrays)))
    if not ways:
        ways = _different(arrays, filter(_fit, _by_size(arrays)))
        square = [name for name, array in arrays.items() if array.ndim == 2 and array.shape[0] == array.shape[1] > 1]
        if ways and square:
            raise _ambiguous(arrays, square)
    if len(ways) > 1:
        raise _ambiguous(arrays, [name for name in arrays if len({_told(arrays, way, name) for way in ways}) > 1])
    return ways[0] if ways else arrays


def as_classes(array: Array) -> Array:
    """Labels of one column as class numbers (items,), whole numbers of any type as int64; others as they are.

    >>> as_classes(np.array([[1.0], [3.0]]))
    array([1, 3])
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 1 and array.dtype.kind == "f" and np.isfinite(array).all() and (array == array.round()).all():
        array = array.astype(np.int64)
    return array.astype(np.int64) if array.ndim == 1 and array.dtype.kind == "b" else array


def _is_label(name: str) -> bool:
    return name.endswith("_label")


def _by_group(arrays: Arrays) -> Iterator[Arrays]:
    """Each group kept or turned: codes, and labels, which may also be class numbers in one line."""
    codes = {name: array for name, array in arrays.items() if not _is_label(name)}
    for chosen, labels in product([codes, _turned(codes)], _labels(arrays)):
        yield {name: (chosen | labels)[name] for name in arrays}


def _by_size(arrays: Arrays) -> Iterator[Arrays]:
    """Each array by itself, with as many rows as an axis of its side's labels has entries."""
    for labels in _labels(arrays):
        sides = sorted({name.partition("_")[0] for name in arrays})
        for rows in product(*(sorted(set(labels[f"{side}_label"].shape)) for side in sides)):
            of_side = dict(zip(sides, rows, strict=True))
            whole = arrays | labels
            yield {name: _with_rows(array, of_side[name.partition("_")[0]]) for name, array in whole.items()}


def _labels(arrays: Arrays) -> list[Arrays]:
    """The labels as they are, turned, and in one line where that is what they are."""
    labels = {name: array for name, array in arrays.items() if _is_label(name)}
    forms = [labels, _turned(labels)]
    if all(array.ndim == 1 or 1 in array.shape for array in labels.values()):
        forms.append({name: array.reshape(-1) for name, array in labels.items()})
    return forms


def _turned(arrays: Arrays) -> Arrays:
    return {name: array.T for name, array in arrays.items()}


def _with_rows(array: Array, rows: int) -> Array:
    return array.T if array.ndim == 2 and array.shape[0] != rows == array.shape[1] else array


def _fit(arrays: Arrays) -> bool:
    """Whether every side has one number of rows, and codes as well as labels have one width."""
    rows: dict[str, set[int]] = {}
    widths: dict[bool, set[int | None]] = {}
    for name, array in arrays.items():
        rows.setdefault(name.partition("_")[0], set()).add(len(array))
        widths.setdefault(_is_label(name), set()).add(array.shape[1] if array.ndim > 1 else None)
    fits = all(len(values) == 1 for values in rows.values()) and all(len(values) == 1 for values in widths.values())
    return fits and widths.get(True) != {1}  # one column is one line, which is class numbers


def _different(arrays: Arrays, ways: Iterable[Arrays]) -> list[Arrays]:
    """The ways without those that give the same data as another."""
    return list({tuple(_told(arrays, way, name) for name in arrays): way for way in ways}.values())


def _told(arrays: Arrays, way: Arrays, name: str) -> tuple[tuple[int, ...], bool]:
    """What tells two ways of one array apart: its shape, and whether a square one is another than before."""
    before, now = arrays[name], way[name]
    return now.shape, now is before or np.array_equal(now, before)


def _ambiguous(arrays: Arrays, names: list[str]) -> UserError:
    listed = ", ".join(f"{name} {arrays[name].shape}" for name in names)
    return UserError(
        f"{listed}: both ways up fit, so items cannot be told from entries; "
        "save all arrays with items as rows in an .npz, which is never turned"
    )
