"""Paired data: the type, its files, the built-in sets, splits and noise."""

from __future__ import annotations

import ast
import importlib
import logging
import pkgutil
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.data.layouts import Found, find_layout
from crossbit.data.neutral import load_neutral, save_neutral
from crossbit.data.types import PairedData, Rows
from crossbit.errors import UserError, unknown

__all__ = [
    "Found",
    "PairedData",
    "Rows",
    "builtins",
    "describe",
    "find_data",
    "load_data",
    "load_neutral",
    "save_neutral",
]

_LOG = logging.getLogger(__name__)


def load_data(name_or_path: str | Path, *, split: str | None = None, transposed: bool | None = None) -> PairedData:
    """Data by the name of a built-in set, or by a path: a neutral `.npz` or folder of `.npy`, or a public layout.

    What was decided in reading a public layout (its split rule, a mapping of labels, ...) is logged as a warning.

    Args:
        name_or_path: such as "glyphs", "mine.npz", "mirflickr25k/", "MIRFlickr.h5"; docs/layouts.md lists the layouts.
        split: for a public layout, which rows are queries: RULE[:QUERIES[:TRAIN]], such as "ucch", "nrch" or
            "nrch:2000:10000"; None takes the layout's default.
        transposed: for a public layout, how an array is meant whose sides alone do not tell.

    Raises:
        UserError: none of these; the file cannot be read (see `load_neutral`), or lacks something; or `split` or
            `transposed` was given for data that is split already.

    >>> load_data("glyph")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    crossbit.errors.UserError: unknown data 'glyph'; did you mean 'glyphs'? known: ...; or give the path of ...
    """
    name = str(name_or_path)
    found = find_data(name_or_path)
    if found is not None:
        reading = found.read(split, transposed)
        for note in (*found.notes, *reading.notes):
            _LOG.warning("%s: %s", found.name, note)
        return reading.data()
    if split is not None or transposed is not None:
        raise UserError(f"{name} is split already; 'split' and 'transposed' are for public layouts (docs/layouts.md)")
    modules = _builtin_modules()
    return importlib.import_module(modules[name][0]).load() if name in modules else load_neutral(name)


def find_data(name_or_path: str | Path) -> Found | None:
    """The public layout that a path is in; None for a built-in name and for what only `load_neutral` may know.

    Cheap: names and headers are read, no arrays.

    Raises:
        UserError: a name that is neither built in nor a path; or as `crossbit.data.layouts.find_layout`.

    >>> find_data("glyphs") is None
    True
    """
    name, modules = str(name_or_path), _builtin_modules()
    if name in modules:
        return None
    if not Path(name).exists() and Path(name).name == name and not Path(name).suffix:
        raise UserError(f"{unknown('data', name, modules)}; or give the path of an .npz or a folder")
    return find_layout(name)


def builtins() -> dict[str, str]:
    """The built-in sets: name to one line about each. Nothing is loaded.

    >>> "glyphs" in builtins()
    True
    """
    return {name: line for name, (_, line) in _builtin_modules().items()}


def describe(data: PairedData) -> dict[str, Any]:
    """What there is in data, as plain values for JSON and for people.

    `observed_differs` holds, per array of observed labels, in how many training rows it differs from the truth.

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
            name: {"kind": data.kind(name), "shape": list(array.shape), "dtype": str(array.dtype)}
            for name, array in data.modalities.items()
        },
        "splits": {name: len(rows) for name, rows in data.splits.items()},
        "classes": data.classes,
        "multi_label": data.multi_label,
        "labels_per_pair": _labels_per_pair(data.label),
        "label_names": data.label_names,
        "observed_differs": _observed_differs(data),
        "captions": data.caption is not None,
        "paths": data.path is not None,
        "groups": _groups(data.group),
    }


def _labels_per_pair(label: np.ndarray | None) -> dict[str, float] | None:
    if label is None:
        return None
    sizes = label.sum(axis=1, dtype=np.int64) if label.ndim == 2 else np.ones(len(label), np.int64)
    return {"mean": float(sizes.mean()), "smallest": int(sizes.min()), "largest": int(sizes.max())}


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
        name: int((observed[train] != truth[train]).reshape(len(train), -1).any(axis=1).sum())
        for name, (observed, truth) in pairs.items()
        if observed is not None and truth is not None
    }


def _builtin_modules() -> dict[str, tuple[str, str]]:
    """Name: (module, its first line) of every module here that says `BUILTIN = "name"`.

    Read from the source, because importing a set may load heavy libraries.
    """
    found = {}
    for info in pkgutil.iter_modules(__path__):
        source = Path(str(getattr(info.module_finder, "path", "")), f"{info.name}.py")
        tree = ast.parse(source.read_bytes()) if source.is_file() else ast.Module([], [])
        line = (ast.get_docstring(tree) or "").partition("\n")[0]
        for node in tree.body:
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["BUILTIN"]:
                found[ast.literal_eval(node.value)] = (f"{__name__}.{info.name}", line)
    return found
