"""A collection that has grown or changed since a run was trained on it: the rows of then among those of now.

A row is known by what its picture and its words hold, wherever the files are and however they are called. Rows of one
content are told apart by their order.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from crossbit.data.types import PairedData
from crossbit.runs.folder import SPLITS
from crossbit.storage.picture_facts import facts_of
from crossbit.storage.picture_files import PictureFiles

CONTENT, LABELS = "row_content", "row_labels"  # hashes that a run keeps of each row
SHARE = 0.5  # of the rows of then that must be there: else the data are others


def identities(data: PairedData) -> dict[str, np.ndarray]:
    """Hashes uint64 (n,) of what each row holds, and of the names of its labels; nothing where pictures are no files.

    >>> identities(PairedData("toy", {"x": np.eye(3)}, None, {"train": [1, 2], "query": [0], "retrieval": [1, 2]}))
    {}
    """
    if not any(isinstance(array, PictureFiles) for array in data.modalities.values()):
        return {}
    held = [_contents(data.modalities[name]) for name in sorted(data.modalities)]
    seen: Counter[tuple[str, ...]] = Counter()
    content = np.empty(data.n, np.uint64)
    for row, key in enumerate(zip(*held, strict=True)):
        seen[key] += 1
        content[row] = _hash(*key, str(seen[key]))
    return {CONTENT: content, LABELS: np.array([_hash(*names) for names in _label_names(data)], np.uint64)}


@dataclass(frozen=True)
class Again:
    """Rows of then among those of now.

    Attributes:
        place: (n of then,) the row of now; -1 where it is gone.
        relabelled: bool (n of now,): a row of then whose labels are others.
        new: how many rows of now were not there.
    """

    place: np.ndarray
    relabelled: np.ndarray
    new: int

    @property
    def gone(self) -> int:
        return int((self.place < 0).sum())

    def __str__(self) -> str:
        counts = {
            "new and left out": self.new,
            "gone": self.gone,
            "with other labels, which count as they are now": int(self.relabelled.sum()),
        }
        parts = [f"{what}: {count:,}" for what, count in counts.items() if count]
        return "pairs " + "; ".join(parts) if parts else "the same pairs in another order or split"

    def splits(self, then: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The run's splits, of the rows that are there."""
        found = {name: self.place[then[name]] for name in SPLITS}
        return {name: rows[rows >= 0] for name, rows in found.items()}

    def arrays(self, then: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A run's arrays by the row numbers of now, without pairs of which a part is gone; no observed labels."""
        partner = then["rows"][then["pairing"]]
        kept = (self.place[then["rows"]] >= 0) & (self.place[partner] >= 0)
        kept &= np.isin(partner, then["rows"][kept])
        rows, partner = self.place[then["rows"][kept]], self.place[partner[kept]]
        at = np.full(len(self.relabelled), -1)
        at[rows] = np.arange(len(rows))
        found = {"rows": rows, "pairing": at[partner]} | self.splits(then)
        return found | {name: self._moved(mask) for name, mask in then.items() if name.startswith("changed_label")}

    def with_observed(self, data: PairedData, observed: np.ndarray, names: Sequence[str]) -> PairedData:
        """Data with the labels (n of then, classes) that the run saw of the rows that have the same as then, and with
        the classes of then and of now."""
        assert data.label is not None
        every = [*names, *(name for name in data.label_names or () if name not in set(names))]
        column = {name: number for number, name in enumerate(every)}
        label = np.zeros((data.n, len(every)), np.uint8)
        label[:, [column[name] for name in data.label_names or ()]] = data.label
        seen = label.copy()
        there = np.flatnonzero(self.place >= 0)
        there = there[~self.relabelled[self.place[there]]]
        seen[self.place[there]] = 0
        seen[self.place[there], : len(names)] = observed[there]
        return data.replace(label=label, label_names=every, observed_label=seen)

    def _moved(self, mask: np.ndarray) -> np.ndarray:
        made = np.zeros(len(self.relabelled), bool)
        made[self.place[self.place >= 0]] = mask[self.place >= 0]
        return made & ~self.relabelled


def find_again(then: Mapping[str, np.ndarray], data: PairedData) -> Again | None:
    """The rows that a run kept in its arrays, among those of data; None where it kept none, or most are not there."""
    now = identities(data) if CONTENT in then else {}
    if not now:
        return None
    of = {content: row for row, content in enumerate(now[CONTENT].tolist())}
    place = np.array([of.get(content, -1) for content in then[CONTENT].tolist()], np.int64)
    there = place >= 0
    if there.mean() < SHARE:
        return None
    relabelled = np.zeros(data.n, bool)
    relabelled[place[there]] = then[LABELS][there] != now[LABELS][place[there]]
    return Again(place, relabelled, data.n - int(there.sum()))


def _contents(array: np.ndarray | PictureFiles) -> list[str]:
    if isinstance(array, PictureFiles):
        return [facts.content for facts in facts_of(array)]
    return [str(one) if array.dtype.kind == "U" else str(one.tobytes()) for one in array]


def _label_names(data: PairedData) -> list[list[str]]:
    """The names of each row's labels, with those that are not trained on."""
    others = data.columns.get("other_labels", ())
    rows = data.label if data.label is not None and data.label.ndim == 2 else np.empty((data.n, 0))
    names = np.array(data.label_names or [], object)
    return [
        sorted([*names[np.flatnonzero(row)], *(other or ())])
        for row, other in zip_longest(rows, others, fillvalue=None)
        if row is not None
    ]


def _hash(*parts: str) -> int:
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())
