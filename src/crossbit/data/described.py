"""What there is in data, as plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from crossbit.data.hashes import hash_of
from crossbit.data.types import PairedData
from crossbit.storage.picture_files import PictureFiles


def describe(data: PairedData) -> dict[str, Any]:
    """What there is in data, as plain values for JSON and for people.

    `observed_differs` holds, per array of observed labels, in how many training rows it differs from the truth;
    `labels`, per array of labels but `label` itself, how many classes occur in it, how many rows have a label, and in
    how many of all rows it differs from `label` (where there is none: from the same of the other modalities).

    >>> data = PairedData("toy", {"image": np.eye(3)}, np.array([0, 1, 1]),
    ...                   {"train": [1, 2], "query": [0], "retrieval": [1, 2]}, observed_label=np.array([0, 1, 0]))
    >>> described = describe(data)
    >>> described["modalities"], described["observed_differs"]
    ({'image': {'kind': 'vectors', 'shape': [3, 3], 'dtype': 'float64'}}, {'observed_label': 1})
    """
    return {
        "name": data.name,
        "pairs": data.n,
        "modalities": {
            name: {"kind": data.kind(name), "shape": list(array.shape), "dtype": dtype_of(array)}
            for name, array in data.modalities.items()
        },
        "splits": {name: len(rows) for name, rows in data.splits.items()},
        "classes": data.classes,
        "multi_label": data.multi_label,
        "labels_per_pair": _labels_per_pair(data.label),
        "label_names": data.label_names,
        "labels": _labels(data),
        "observed_differs": _observed_differs(data),
        "captions": data.caption is not None,
        "paths": data.path is not None,
        "groups": _groups(data.group),
    }


def dtype_of(array: np.ndarray | PictureFiles) -> str:
    """What each row is: the array's type, or "file".

    >>> dtype_of(np.zeros(2)), dtype_of(PictureFiles(["a.png"]))
    ('float64', 'file')
    """
    return "file" if isinstance(array, PictureFiles) else str(array.dtype)


def _labels_per_pair(label: np.ndarray | None) -> dict[str, float] | None:
    if label is None:
        return None
    sizes = label.sum(axis=1, dtype=np.int64) if label.ndim == 2 else np.ones(len(label), np.int64)
    return {"mean": float(sizes.mean()), "smallest": int(sizes.min()), "largest": int(sizes.max())}


def _labels(data: PairedData) -> dict[str, dict[str, Any]]:
    """What is in each array of labels but `label`."""
    whole = {} if data.label is None else {"label": data.label}
    told = {} if data.observed_label is None else {"observed_label": _held(data.observed_label, whole)}
    for kind, of in (("label", data.modality_label), ("observed_label", data.modality_observed_label)):
        named = {f"{kind}_{modality}": array for modality, array in of.items()}
        for name, array in named.items():
            others = {other: each for other, each in named.items() if other != name}
            told[name] = _held(array, whole or others)
    return told


def _held(array: np.ndarray, others: dict[str, np.ndarray]) -> dict[str, Any]:
    """Of one array of labels: the classes that occur, the rows that have one, the rows that differ from others."""
    hot = array.ndim == 2
    return {
        "classes": int(array.any(axis=0).sum()) if hot else len(np.unique(array)),
        "labelled": int(array.any(axis=1).sum()) if hot else len(array),
        "differs": {name: _unlike(array, other) for name, other in others.items()},
    }


def _unlike(array: np.ndarray, other: np.ndarray) -> int:
    """In how many rows two arrays of labels differ."""
    return int((array != other).reshape(len(array), -1).any(axis=1).sum())


def _groups(group: np.ndarray | None) -> dict[str, int] | None:
    if group is None:
        return None
    _, sizes = np.unique(group, return_counts=True)
    return {"number": len(sizes), "smallest": int(sizes.min()), "largest": int(sizes.max())}


def _observed_differs(data: PairedData) -> dict[str, int]:
    pairs = {"observed_label": (data.observed_label, data.label)}
    for name, observed in data.modality_observed_label.items():
        pairs[f"observed_label_{name}"] = (observed, data.modality_label.get(name, data.label))
    train = data.splits["train"]
    return {
        name: _unlike(observed[train], truth[train])
        for name, (observed, truth) in pairs.items()
        if observed is not None and truth is not None
    }


def fingerprint(data: PairedData, modalities: Iterable[str] | None = None, *, labels: bool = True) -> str:
    """A hash of all values of all rows: splits, groups, modalities, captions, and (if `labels`) labels and their names.

    With `modalities`, of these and their labels alone. Without `labels` none is looked at.

    Data that differ in any value have another one. The name of the data and the paths of its rows are left out: a
    folder that was moved holds the same data.

    >>> data = PairedData("toy", {"x": np.eye(3)}, None, {"train": [1, 2], "query": [0], "retrieval": [1, 2]})
    >>> other = data.replace(modalities={"x": np.eye(3) + 1e-12})
    >>> fingerprint(data) == fingerprint(data.replace(name="other")), fingerprint(data) == fingerprint(other)
    (True, False)
    """
    whole: dict[str, Any] = {"group": data.group, "caption": data.caption}
    parts = {f"split {name}": rows for name, rows in data.splits.items()}
    named = list(data.modalities if modalities is None else modalities)
    parts |= {f"modality {name}": data[name] for name in named}
    if labels:
        whole |= {"label": data.label, "observed": data.observed_label}
        whole |= {"label names": None if data.label_names is None else np.array(data.label_names)}
        parts |= {f"label of {name}": array for name, array in data.modality_label.items() if name in named}
        parts |= {f"observed of {name}": x for name, x in data.modality_observed_label.items() if name in named}
    parts |= {name: array for name, array in whole.items() if array is not None}
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(parts):
        digest.update(f"{name} {hash_of(parts[name])} ".encode())
    return digest.hexdigest()
