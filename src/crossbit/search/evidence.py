"""What the hits of a query say about whether one of them fits: a few numbers of each search.

The index's ordinary search makes them, and so does a search of the same index without some of its items, from which
the probability is learnt (`crossbit.search.calibrate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.model import Model
from crossbit.search.results import SearchHit, labels_of
from crossbit.storage.words import singular, words_of

ALIKE = 1 / 3  # the overlap from which two items are of one kind
LOOKED_AT = 40  # hits
READ = 20  # of which the labels are read: each item takes time
NAMES = (
    "cosine of the nearest",
    "share of its bits that differ",
    "cosine of the nearest less that of the fortieth",
    "overlap of the labels of the best hit and the nearest twenty",
    "share of the nearest twenty that are of the best hit's kind",
    "word match of the best caption, of the most there could be",
    "share of the query's words in what the best hit says",
    "cosine of the query with the best hit's other part, its picture where texts are searched",
    "the same, the highest of the best hit and the nearest forty",
)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """What a search has seen.

    Attributes:
        hits: as they are shown, the best first; at least one.
        near: the `LOOKED_AT` that the codes found, or, of a picture, that are most like it, or fewer; the best first,
            at least one, each with a cosine; items of the first `READ` alone.
        bits: of a code.
        match: the BM25 score of the best caption, divided by that of a caption that is the query; 0 without words.
        words: of the query, in normal form.
    """

    hits: Sequence[SearchHit]
    near: Sequence[SearchHit]
    bits: int
    match: float
    words: frozenset[str]

    @property
    def looked_at(self) -> list[SearchHit]:
        """The best hit, and the others near it."""
        return [self.hits[0], *(hit for hit in self.near if hit.id != self.hits[0].id)]

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """Of those that are looked at."""
        return np.array([hit.id for hit in self.looked_at], np.int64)


def beside_of(model: Model, searched: str) -> str:
    """The modality that is looked at beside the one that is searched: the text of pictures, the picture of texts."""
    return next((name for name in model.modalities if name != searched), searched)


def evidence(seen: Seen, beside: Array, weights: Mapping[str, float]) -> Array:
    """The numbers called `NAMES`.

    Args:
        seen: in a search.
        beside: for each of `seen.ids` the cosine of the query with what is there of `beside_of`, NaN for nothing.
        weights: how much labels count; one that is not there counts 1.

    >>> hit = SearchHit(7, "image", 4, 0.5, {"caption": "a red fox", "labels": ["fox"]})
    >>> seen = Seen([hit], [hit], 16, 0.7, frozenset(["red", "zebu"]))
    >>> evidence(seen, np.array([0.9]), {"fox": 3.0}).tolist()
    [0.5, 0.25, 0.0, 0.0, 0.0, 0.7, 0.5, 0.9, 0.9]
    """
    beside = np.nan_to_num(beside)
    first, last, best = seen.near[0], seen.near[-1], seen.hits[0].item
    cosine, distance = float(first.cosine or 0), float(first.distance or 0)
    alike = _overlaps([labels_of(hit.item) for hit in seen.looked_at[:READ]], weights)
    pairs = alike[np.triu_indices(len(alike), 1)]
    texts = [str(best.get("caption") or ""), *labels_of(best)]
    said = {singular(word) for text in texts for word in words_of(text)}
    shared = _mean(np.array([singular(word) in said for word in seen.words]))
    return np.array(
        [
            cosine,
            distance / seen.bits,
            cosine - float(last.cosine or 0),
            _mean(pairs),
            _mean(alike[0, 1:] >= ALIKE),
            seen.match,
            shared,
            beside[0],
            beside.max(),
        ]
    )


def _overlaps(held: Sequence[Sequence[str]], weights: Mapping[str, float]) -> Array:
    """|A and B| / |A or B| of lists of labels, each with each; 0 for two that have none."""
    names = {name: at for at, name in enumerate(dict.fromkeys(name for labels in held for name in labels))}
    has = np.zeros((len(held), len(names)))
    for row, labels in enumerate(held):
        has[row, [names[name] for name in labels]] = 1
    both = (has * [weights.get(name, 1.0) for name in names]) @ has.T
    each = both.diagonal()
    either = each[:, None] + each - both
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0)


def _mean(values: Any) -> float:
    return float(values.mean()) if len(values) else 0.0
