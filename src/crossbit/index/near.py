"""The approximate tier of a local index: its codes in cells, of which a search looks into the nearest.

`image.index` has it in the folder `image.cells`: `centres.npy`, `starts.npy`, `planes.npy` and `ids.npy` in the order
of the cells, `sorter.npy` (the places of ascending ids), and `about.json`, written last. `LocalIndex.make_near` makes
it, and `open_index(..., approximate=True)` uses it. What has changed since is known by id: such rows are passed
over in the cells, and compared exactly beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from crossbit import bits
from crossbit.bits.cells import Cells, cells_of, centres_of, laid
from crossbit.bits.masks import mask_words
from crossbit.errors import UserError
from crossbit.index.mapped import map_array, write_array
from crossbit.index.runs import Codes, SortedCodes
from crossbit.index.segments import folder_of
from crossbit.storage.files import read_json, write_json

FORMAT = 1
LARGEST_K = 512  # more are found by comparing all codes: recall is measured for the first hundred
MEASURED = (10, 100)  # hits among which recall is measured
SAMPLE = 500  # queries of each kind that measure it
TYPES = {"centres": np.uint8, "starts": np.int64, "planes": np.uint64, "ids": np.int64, "sorter": np.int64}
SEED = 0
Ids = npt.NDArray[np.int64]
Queries = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Recall:
    """How an approximate tier was measured.

    Attributes:
        codes: how many there were.
        cells: into how many they were laid.
        probes: how many of these a search looks into.
        compared: the share of the codes that a query is compared with.
        of: by what the queries were: of the first ten and the first hundred, the share that is as near as what an exact
            search finds. "itself" are codes of the index, each without itself.
    """

    codes: int
    cells: int
    probes: int
    compared: float
    of: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        shares = (f"{name}: {' and '.join(f'{one:.3f}' for one in found)}" for name, found in self.of.items())
        return (
            f"{self.codes:,} codes in {self.cells:,} cells, of which a query looks into {self.probes:,} and compares "
            f"{100 * self.compared:.2g} %; recall of the first {MEASURED[0]} and {MEASURED[1]} by queries of "
            + ", ".join(shares)
        )


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
    """

    def __init__(self, near: Near) -> None:
        self.near = near
        self._of: Codes | None = None
        self._changes = Changes(np.empty(0, np.int64), None)
        self._seen = 0

    def changes(self, codes: Codes) -> Changes:
        """What has changed, as of now; to be called with the index's lock held."""
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

    def top_k(
        self, queries: Queries, k: int, held: SortedCodes, changes: Changes
    ) -> tuple[npt.NDArray[np.int32], Ids, int] | None:
        """Distances int32 and ids int64, (m, k) by (distance, id), and how many codes a query was compared with; None
        where the cells hold fewer than k.

        Args:
            queries: uint8 (m, bytes).
            k: how many.
            held: all codes.
            changes: passed over in the cells, and compared as `held` has them.
        """
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
        if (distances < 0).any():
            return None
        return distances, ids, compared // max(1, len(queries))


def made(held: SortedCodes, width: int, token: str, target: float, queries: Mapping[str, Queries]) -> Near:
    """Lay codes into cells, and find how many a search must look into.

    Args:
        held: all codes, at least one.
        width: bytes of a code.
        token: of these codes.
        target: the recall that is wanted of the first ten and the first hundred, by each kind of queries.
        queries: further kinds than the codes themselves, by name, each uint8 (q, bytes).
    """
    codes = bits.from_planes(held.planes, 8 * width)
    centres = centres_of(codes, max(1, 2 ** round(np.log2(len(codes)) / 2)), SEED)
    cells, order = laid(held.planes, cells_of(codes, centres), centres)
    rng = np.random.default_rng(SEED)
    own = codes[np.sort(rng.choice(len(codes), min(SAMPLE, len(codes)), replace=False))]
    recall = measured(cells, held.planes, own, queries, target)
    return Near(cells, held.ids[order], np.argsort(order), recall.probes, token, recall)


def measured(
    cells: Cells, planes: npt.NDArray[np.uint64], own: Queries, others: Mapping[str, Queries], target: float
) -> Recall:
    """Look into more and more cells until the recall is reached, as it is where all are looked into."""
    kinds = {"itself": (own, 1), **{name: (codes, 0) for name, codes in others.items() if len(codes)}}
    most = max(MEASURED)
    n, first = planes.shape[1], {name: bits.top_k(codes, planes, most + out)[0] for name, (codes, out) in kinds.items()}
    probes, count = 1, len(cells.centres)
    while True:
        shares, compared = {}, 0
        for name, (codes, out) in kinds.items():
            near, _, looked = cells.top_k(codes, most + out, probes)
            compared += looked
            shares[name] = tuple(_share(near, first[name][:, : near.shape[1]], out, k) for k in MEASURED)
        if probes == count or min(min(one) for one in shares.values()) >= target:
            looks = sum(len(codes) for codes, _ in kinds.values())
            return Recall(n, count, probes, compared / looks / n, shares)
        probes = min(count, max(probes + 1, 5 * probes // 4))


def _share(found: npt.NDArray[np.int32], exact: npt.NDArray[np.int32], out: int, k: int) -> float:
    """The share of k hits, without the first `out`, that are as near as the k-th nearest."""
    near, right = found[:, out : k + out], exact[:, out : k + out]
    good = (near >= 0) & (near <= right.max(axis=1, keepdims=True))
    return float(good.sum() / max(1, (right >= 0).sum())) if (right >= 0).any() else 1.0


def laid_anew(near: Near, held: SortedCodes, width: int, token: str) -> Near:
    """The same cells with the codes of now: what has changed goes to the cell of the nearest centre."""
    before = np.repeat(np.arange(len(near.cells.centres)), np.diff(near.cells.starts))
    cells = np.full(len(held), -1, np.int64)
    mine, at = near.same(held)
    cells[at] = before[mine]
    new = np.flatnonzero(cells < 0)
    cells[new] = cells_of(bits.from_planes(np.take(held.planes, new, axis=1), 8 * width), near.cells.centres)
    there, order = laid(held.planes, cells, near.cells.centres)
    return Near(there, held.ids[order], np.argsort(order), near.probes, token, near.recall)


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
