"""The captions and labels of an index, searched by their words.

`image.index` has them in the folder `image.captions`: `000001.npz` holds the words of the items whose embeddings are in
segment 1 (`crossbit.index.segments`), and so on. An item that is replaced gets an embedding in a new segment, so a file
is never changed. All is made of the items again where a file is missing.

Who types a label looks for what has it, so labels are words of their items, but those that the run holds to be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from crossbit.bits.masks import from_mask_words
from crossbit.index.local import LocalIndex
from crossbit.index.masks import Words
from crossbit.index.runs import SortedCodes
from crossbit.index.segments import ROW_BITS
from crossbit.search.bm25 import Bm25, Part, part_of
from crossbit.search.results import labels_of
from crossbit.storage.files import writing

ARRAYS = ("starts", "rows", "counts", "lengths")
HOLDS = "captions and labels"  # what a file says that it has the words of; older ones have those of captions alone
BELIEVED = 0.5  # a given label that is less likely is no word of its item
Ids = npt.NDArray[np.int64]
Likely = Callable[[Ids], Sequence[Mapping[str, float]]]  # how likely the labels of ids are; see `Probabilities.of`
Among = tuple[SortedCodes, Words]  # codes, and which of them may be found, as `LocalIndex.snapshot` gives them


def text_of(item: Mapping[str, Any], likely: Mapping[str, float] | None = None) -> str:
    """The caption of an item, and its labels.

    Args:
        item: as an index has it.
        likely: how likely labels are right, by name; one that is not there is believed.

    >>> text_of({"caption": "a red fox", "labels": ["animal", "car"]}, {"car": 0.02})
    'a red fox animal'
    """
    labels = [str(name) for name in labels_of(item) if (likely or {}).get(name, 1.0) >= BELIEVED]
    return " ".join([str(item.get("caption") or ""), *labels])


class Captions:
    """The captions and labels of all items of an index as they are now; none of one on a server.

    Args:
        index: a local one.
        likely: how likely labels are, all believed if None.
    """

    _codes: tuple[SortedCodes, Ids] | None = None  # these codes, and where among them that of each text is; -1 for none

    def __init__(self, index: LocalIndex | None, likely: Likely | None = None) -> None:
        if index is None:
            self.ids, self.texts = np.empty(0, np.int64), Bm25([part_of([])])
            self._first = self._order = self.ids
            return
        held, named = index.content()
        order = np.argsort(held.places, kind="stable")
        places, parts, found = held.places[order], [], []
        for number in [-1, *sorted(named)]:  # -1: added without an embedding
            ids = held.ids[order[_of_segment(places, number)]]
            at, part = _read(index, number) or _made(index, ids, places[_of_segment(places, number)], likely)
            parts.append(part)
            found.append(_ids_at(at, places, held.ids[order]) if number >= 0 else ids)
        self.ids = np.concatenate(found)
        self.texts = Bm25(parts, self.ids != GONE)
        self._order = np.argsort(self.ids)
        self._first = self.ids[self._order]  # those that were there when it was opened, ascending
        if np.array_equal(self._first, held.ids):
            self._first = held.ids  # and not the same once more in memory

    def changed(self, gone: Ids, ids: Ids, texts: Sequence[str]) -> Captions:
        """These captions without some ids, and with others, without reading all anew."""
        new = copy(self)
        new._codes = None
        new.ids = np.concatenate([np.where(np.isin(self.ids, gone), GONE, self.ids), ids])
        new.texts = self.texts.grown(part_of(texts), new.ids != GONE)
        return new

    def knows(self, word: str) -> bool:
        """Whether a caption or a label holds a word, given in normal form."""
        return self.texts.knows(word)

    def near(self, word: str) -> list[str]:
        """Words of captions and labels that may be meant by one that none of them holds."""
        return self.texts.near(word)

    def __len__(self) -> int:
        return self.texts.spoken

    def search(self, words: frozenset[str], k: int, among: Among | None = None) -> tuple[Ids, npt.NDArray[np.float64]]:
        """The ids of the k best, the best first, of those that may be found; and how well they match, see `match`."""
        rows, scores = self.texts.search(sorted(words), k, None if among is None else self._may(*among))
        return self.ids[rows], scores / self.texts.most(words) if len(scores) else scores

    def match(self, words: frozenset[str], ids: Ids) -> npt.NDArray[np.float64]:
        """How well the texts of ids match, 1 for one that is these words and no other, 0 for one that holds none."""
        rows = self._rows(ids)
        found, most = np.zeros(len(ids)), self.texts.most(words)
        if most > 0:
            found[rows >= 0] = self.texts.scores(sorted(words), rows[rows >= 0]) / most
        return found

    def coverage(self, words: frozenset[str], ids: Ids) -> npt.NDArray[np.float64]:
        """How much of the words the texts of ids hold, whatever else they say: 1 for all, 0 for none."""
        rows = self._rows(ids)
        found = np.zeros(len(ids))
        found[rows >= 0] = self.texts.coverage(sorted(words), rows[rows >= 0])
        return found

    def _rows(self, ids: Ids) -> Ids:
        """Which text is that of each id; -1 for none."""
        rows = np.full(len(ids), -1, np.int64)
        for first, order, start in ((self._first, self._order, 0), (*self._later(), len(self._first))):
            if len(first):
                at = np.minimum(np.searchsorted(first, ids), len(first) - 1)
                found = order[at] + start
                rows = np.where((first[at] == ids) & (self.ids[found] == ids), found, rows)
        return rows

    def _later(self) -> tuple[Ids, Ids]:
        """Ids that came after it was opened, ascending, and their order."""
        later = self.ids[len(self._first) :]
        order = np.argsort(later)
        return later[order], order

    def _may(self, held: SortedCodes, mask: Words) -> npt.NDArray[np.bool_]:
        """Which texts are those of codes that a mask lets through, bool (texts,)."""
        known = self._codes
        if known is None or known[0] is not held:  # the first filter, or the first after a change
            at, order = np.empty(len(self.ids), np.int64), np.argsort(self.ids)
            at[order] = held.find(self.ids[order])
            known = self._codes = held, at
        return np.append(from_mask_words(mask, len(held)), False)[known[1]]  # -1, of no code, is the last


GONE = np.iinfo(np.int64).min  # the id of what was replaced or removed


def write_captions(index: LocalIndex, likely: Likely | None = None) -> None:
    """Write the words of the items of each segment that has no file yet; of all, where it is known how likely labels
    are."""
    held, named = index.content()
    for number in named:
        if likely is not None or not _path(index, number).exists():
            mine = np.flatnonzero(held.places >> ROW_BITS == number)
            mine = mine[np.argsort(held.places[mine])]
            _write(_path(index, number), *_made(index, held.ids[mine], held.places[mine], likely))


def _path(index: LocalIndex, number: int) -> Path:
    return index.path.with_suffix(".captions") / f"{number:06d}.npz"


def _of_segment(places: Ids, number: int) -> slice:
    """Where the places of a segment are among ascending places."""
    if number < 0:
        return slice(0, int(np.searchsorted(places, 0)))
    first, last = (number << ROW_BITS), (number + 1) << ROW_BITS
    return slice(*np.searchsorted(places, [first, last]).tolist())


def _ids_at(at: Ids, places: Ids, ids: Ids) -> Ids:
    """The id at each place, `GONE` where none is any more."""
    if not len(places):
        return np.full(len(at), GONE)
    near = np.minimum(np.searchsorted(places, at), len(places) - 1)
    return np.where(places[near] == at, ids[near], GONE)


def _made(index: LocalIndex, ids: Ids, places: Ids, likely: Likely | None) -> tuple[Ids, Part]:
    items, p = index.items(ids), [{} for _ in ids] if likely is None else likely(ids)
    return places, part_of([text_of(items[id_], each) for id_, each in zip(ids.tolist(), p, strict=True)])


def _write(path: Path, places: Ids, part: Part) -> None:
    path.parent.mkdir(exist_ok=True)
    words = np.frombuffer("\n".join(part.words).encode("utf-8", "surrogatepass"), np.uint8)
    with writing(path) as temporary, open(temporary, "wb") as file:
        held = {name: getattr(part, name) for name in ARRAYS}
        np.savez(file, places=places, words=words, holds=np.array(HOLDS), **held)


def _read(index: LocalIndex, number: int) -> tuple[Ids, Part] | None:
    """What a file holds; None where it is missing, damaged or an older one."""
    try:
        with np.load(_path(index, number), allow_pickle=False) as held:
            if str(held["holds"]) != HOLDS:
                return None
            words = held["words"].tobytes().decode("utf-8", "surrogatepass").split("\n")
            return held["places"], Part(words if words != [""] else [], *(held[name] for name in ARRAYS))
    except (OSError, ValueError, KeyError, BadZipFile):
        return None
