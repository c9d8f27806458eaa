"""How likely each label of an item is, as far as the run has kept it: beside each index, in `image.labels.npz`.

A row's probabilities are of what it held when it was indexed. They are found by the place of its embedding
(`crossbit.index.segments`), which changes when an item is replaced: so none is taken for what came later.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.bits.labels import as_matrix
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.index.local import LocalIndex
from crossbit.model import Model
from crossbit.search.build import index_path
from crossbit.search.items import ids_of
from crossbit.storage.npz import read_npz, write_npz

LEAST = 0.05  # probabilities below it are kept of given labels only
Ids = npt.NDArray[np.int64]


class Probabilities:
    """Those of the items of one index; of none where there is no file, or a damaged one, or the index is on a
    server."""

    def __init__(self, index: LocalIndex | None) -> None:
        self.held: dict[str, Any] = {}
        if index is None:
            return
        self.index = index
        try:
            held = read_npz(_path(index), "an index's file", "index the run anew")
            self.held = {name: held[name] for name in ("places", "starts", "classes", "p", "names")}
        except (UserError, KeyError):
            self.held = {}

    def of(self, ids: Ids) -> list[dict[str, float]]:
        """Of each id that is there the probabilities of labels by name; empty where none are kept."""
        if not self.held or not len(ids) or not len(self.held["places"]):
            return [{} for _ in ids]
        at = np.minimum(np.searchsorted(self.held["places"], self.index.places(ids)), len(self.held["places"]) - 1)
        there = self.held["places"][at] == self.index.places(ids)
        return [self._at(row) if kept else {} for row, kept in zip(at.tolist(), there.tolist(), strict=True)]

    def _at(self, row: int) -> dict[str, float]:
        some = slice(self.held["starts"][row], self.held["starts"][row + 1])
        names = self.held["names"][self.held["classes"][some]]
        return dict(zip(names.tolist(), self.held["p"][some].tolist(), strict=True))


def write_probabilities(model: Model, data: PairedData, folder: Path) -> None:
    """Write what the run has kept of the rows of its data's database; nothing where it has kept none.

    Args:
        model: the run's.
        data: the run's, as it was trained on, of which the index was just made.
        folder: the index's.
    """
    if "probability" not in model.rows or data.label is None or data.label_names is None:
        return
    rows = np.sort(data.splits["retrieval"])
    ids, kept = ids_of(data, rows), np.isin(rows, model.rows["row"])
    rows, ids = rows[kept], ids[kept]
    order = np.argsort(model.rows["row"])
    p = model.rows["probability"][order[np.searchsorted(model.rows["row"], rows, sorter=order)]]
    told = (p >= LEAST) | _given(data, rows)
    for modality in model.modalities:
        with LocalIndex(index_path(folder, modality), read_only=True) as index:
            places = index.places(ids)
            _write(index, places, p, told, np.array(data.label_names))


def _write(index: LocalIndex, places: Ids, p: np.ndarray, told: npt.NDArray[np.bool_], names: np.ndarray) -> None:
    """Write probabilities p (n, classes) of the items at some places, as far as they are to be told."""
    order = np.argsort(places)
    rows, classes = np.nonzero(told[order])
    starts = np.searchsorted(rows, np.arange(len(order) + 1))
    arrays = {
        "places": places[order],
        "starts": starts,
        "classes": classes,
        "p": p[order][rows, classes],
        "names": names,
    }
    write_npz(_path(index), arrays)


def _given(data: PairedData, rows: np.ndarray) -> npt.NDArray[np.bool_]:
    """Which labels rows have, (n, classes)."""
    return as_matrix(np.asarray(data.label)[rows], data.classes) > 0


def _path(index: LocalIndex) -> Path:
    return index.path.with_suffix(".labels.npz")
