"""The approximate tier of a local index: its codes in cells, of which a search looks into the nearest.

`image.index` has it in the folder `image.cells`: `centres.npy`, `starts.npy`, `planes.npy` and `ids.npy` in the order
of the cells, `sorter.npy` (the places of ascending ids), and `about.json`, written last. `LocalIndex.make_near` makes
it, and `open_index(..., approximate=True)` uses it. What has changed since is known by id: such rows are passed
over in the cells, and compared exactly beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from crossbit import bits
from crossbit.bits.cells import Cells, cells_of, centres_of, laid
from crossbit.bits.masks import mask_words
from crossbit.errors import UserError
from crossbit.index.base import Hits
from crossbit.index.mapped import map_array, write_array
from crossbit.index.recall import SAMPLE, Queries, Recall, measured
from crossbit.index.runs import Codes, SortedCodes
from crossbit.index.segments import folder_of
from crossbit.index.stored import Stored
from crossbit.storage.files import read_json, write_json

FORMAT = 1
LARGEST_K = 512  # more are found by comparing all codes: recall is measured for the first hundred
TYPES = {"centres": np.uint8, "starts": np.int64, "planes": np.uint64, "ids": np.int64, "sorter": np.int64}
SEED = 0
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Near:
    """Codes in cells under their ids.

    Attributes:
        cells: the codes.
        ids: int64 (n,), in the order of the cells.
        sorter: int64 (n,), such that ids[sorter] ascends.
        probes: cells that a search looks into.
        token: of the codes that were laid (`crossbit.index.mapped`).
        recall: as it was measured.
    """

    cells: Cells
    ids: Ids
    sorter: Ids
    probes: int
    token: str
    recall: Recall

    def find(self, ids: Ids) -> Ids:
        """Where ids are in the cells, those that are."""
        if not len(self.ids):
            return np.empty(0, np.int64)
        at = np.minimum(np.searchsorted(self.ids, ids, sorter=self.sorter), len(self.ids) - 1)
        at = self.sorter[at]
        return at[self.ids[at] == ids]

    def same(self, held: SortedCodes) -> tuple[Ids, Ids]:
        """Where codes are in the cells, and in `held`, that are the same under the same id."""
        at = held.find(self.ids[self.sorter])
        mine, at = self.sorter[at >= 0], at[at >= 0]
        alike = (np.take(held.planes, at, axis=1) == np.take(self.cells.planes, mine, axis=1)).all(axis=0)
        return mine[alike], at[alike]

    def changed(self, codes: Codes) -> Ids:
        """The ids that are not in both with the same code, or may not be."""
        if codes.token == self.token:
            return np.unique(np.concatenate([np.empty(0, np.int64), *codes.changed]))
        held = codes.merged()
        mine, at = self.same(held)
        gone, new = np.ones(len(self.ids), bool), np.ones(len(held), bool)
        gone[mine] = new[at] = False
        return np.union1d(self.ids[gone], held.ids[new])


class Changes(NamedTuple):
    """The ids that have changed since cells were made, and which codes in the cells are as before, as `mask_words`;
    None for all."""

    ids: Ids
    alive: npt.NDArray[np.uint64] | None


class NearSearch:
    """A search of cells that knows what has changed since they were made.

    Args:
        near: the cells.
        stored: the content of the index now.
    """

    def __init__(self, near: Near, stored: Stored) -> None:
        self.near, self._stored = near, stored
        self._of: Codes | None = None
        self._changes = Changes(np.empty(0, np.int64), None)
        self._seen = 0

    def search(self, queries: Queries, k: int) -> tuple[Hits, Ids] | None:
        """As `LocalIndex.search_places` of queries, uint8 (m, bytes); None where the cells hold fewer than k."""
        with self._stored.file.lock:
            codes = self._stored.codes()
            held, changes = codes.merged(), self._changes_of(codes)
        distances, ids, compared = self._top_k(queries, k, held, changes)
        if (distances < 0).any():
            return None
        places = held.places[held.find(ids.ravel())].reshape(ids.shape)
        return Hits(distances, ids, self._stored.items, compared=compared, exact=False), places

    def _changes_of(self, codes: Codes) -> Changes:
        """What has changed, as of now; the file's lock is held."""
        if self._of is not codes:
            self._of, self._seen, codes.tracks = codes, len(codes.changed), True
            self._changes = self._as_changes(self.near.changed(codes))
        if len(codes.changed) > self._seen:
            new, self._seen = codes.changed[self._seen :], len(codes.changed)
            self._changes = self._as_changes(np.unique(np.concatenate([self._changes.ids, *new])))
        return self._changes

    def _as_changes(self, ids: Ids) -> Changes:
        if not len(ids):
            return Changes(ids, None)
        alive = np.ones(len(self.near.ids), bool)
        alive[self.near.find(ids)] = False
        return Changes(ids, mask_words(alive))

    def _top_k(
        self, queries: Queries, k: int, held: SortedCodes, changes: Changes
    ) -> tuple[npt.NDArray[np.int32], Ids, int]:
        """Distances int32 and ids int64, (m, k) by (distance, id), -1 where there are fewer, and how many codes a query
        was compared with. What has changed is passed over in the cells, and compared as `held` has it."""
        at = held.find(changes.ids)
        distances, rows, compared = self.near.cells.top_k(queries, k, self.near.probes, mask=changes.alive)
        ids = np.where(rows < 0, -1, self.near.ids[rows]) if len(self.near.ids) else rows
        if (at >= 0).any():
            added = at[at >= 0]
            beside, places = bits.top_k(queries, np.take(held.planes, added, axis=1), k)
            new = np.where(places < 0, -1, held.ids[added[places]])
            distances, ids = np.concatenate([distances, beside[:, :k]], 1), np.concatenate([ids, new[:, :k]], 1)
            compared += len(added) * len(queries)
        order = np.lexsort((ids, distances.view(np.uint32)), axis=1)[:, :k]  # -1, unsigned, is last
        distances, ids = np.take_along_axis(distances, order, axis=1), np.take_along_axis(ids, order, axis=1)
        return distances, ids, compared // max(1, len(queries))


def make(stored: Stored, target: float, queries: Mapping[str, Queries]) -> Recall:
    """Lay codes into cells, find how many a search must look into, and write it; the file's `writing` is held.

    Args:
        stored: the content of the index, at least one code.
        target: the recall that is wanted of the first ten and the first hundred, by each kind of queries.
        queries: further kinds than the codes themselves, by name, each uint8 (q, bytes).
    """
    token, held = stored.token() or stored.map(), stored.merged()
    codes = bits.from_planes(held.planes, stored.file.bits)
    centres = centres_of(codes, max(1, 2 ** round(np.log2(len(codes)) / 2)), SEED)
    cells, order = laid(held.planes, cells_of(codes, centres), centres)
    rng = np.random.default_rng(SEED)
    own = codes[np.sort(rng.choice(len(codes), min(SAMPLE, len(codes)), replace=False))]
    recall = measured(cells, held.planes, own, queries, target)
    write(stored.file.path, Near(cells, held.ids[order], np.argsort(order), recall.probes, token, recall))
    return recall


def renew(stored: Stored, near: Near) -> None:
    """Write the same cells with the codes of now: what has changed goes to the cell of the nearest centre. The file's
    `writing` is held."""
    token, held = stored.token(), stored.merged()
    before = np.repeat(np.arange(len(near.cells.centres)), np.diff(near.cells.starts))
    cells = np.full(len(held), -1, np.int64)
    mine, at = near.same(held)
    cells[at] = before[mine]
    new = np.flatnonzero(cells < 0)
    codes = bits.from_planes(np.take(held.planes, new, axis=1), stored.file.bits)
    cells[new] = cells_of(codes, near.cells.centres)
    there, order = laid(held.planes, cells, near.cells.centres)
    write(stored.file.path, Near(there, held.ids[order], np.argsort(order), near.probes, token, near.recall))


def write(index: Path, near: Near) -> None:
    """Write it beside an index; whoever opens that before the end finds none."""
    folder, recall = folder_of(index, "cells"), near.recall
    (folder / "about.json").unlink(missing_ok=True)
    arrays = vars(near.cells) | {"ids": near.ids, "sorter": near.sorter}
    for name in TYPES:
        write_array(folder / f"{name}.npy", arrays[name])
    about = {"format": FORMAT, "token": near.token, "rows": len(near.ids), **vars(recall), "of": dict(recall.of)}
    write_json(folder / "about.json", about)


def read(index: Path, width: int) -> Near | None:
    """The approximate tier of an index, memory-mapped; None where there is none that can be used."""
    folder = folder_of(index, "cells")
    about: Any = None
    with suppress(UserError):
        about = read_json(folder / "about.json") if (folder / "about.json").exists() else None
    arrays = {name: map_array(folder / f"{name}.npy", kind) for name, kind in TYPES.items()} if about else {}
    if not isinstance(about, dict) or about.get("format") != FORMAT or any(each is None for each in arrays.values()):
        return None
    found: dict[str, Any] = arrays
    with suppress(KeyError, TypeError, ValueError):
        n, count = int(about["rows"]), int(about["cells"])
        shapes = {
            "centres": (count, width),
            "starts": (count + 1,),
            "planes": (-(-width // 8), n),
            "ids": (n,),
            "sorter": (n,),
        }
        if any(found[name].shape != shape for name, shape in shapes.items()) or not _is_parted(found["starts"], n):
            return None
        of = {str(name): tuple(map(float, shares)) for name, shares in about["of"].items()}
        recall = Recall(int(about["codes"]), count, int(about["probes"]), float(about["compared"]), of)
        cells = Cells(found["centres"], found["starts"], found["planes"])
        return Near(cells, found["ids"], found["sorter"], recall.probes, str(about["token"]), recall)
    return None


def findings(index: Path, width: int, codes: Codes) -> list[str]:
    """A line where the folder is there and cannot be used, or holds other codes than the index under its token."""
    folder = folder_of(index, "cells")
    if not folder.exists():
        return []
    mend = "make it anew with `crossbit index RUN --approximate`, or remove that folder"
    if (near := read(index, width)) is None:
        return [f"{folder} cannot be used, so all codes are compared; {mend}"]
    whole = np.array_equal(np.sort(near.sorter), np.arange(len(near.ids))) and bool(
        (np.diff(near.ids[near.sorter]) > 0).all()
    )
    held = codes.merged()
    if not whole or (near.token == codes.token and not codes.changed and len(near.same(held)[0]) != len(held)):
        return [f"{folder} does not hold the codes of {index.name}; {mend}"]
    return []


def _is_parted(starts: Ids, n: int) -> bool:
    return bool(starts[0] == 0 and starts[-1] == n and (np.diff(starts) >= 0).all())
