"""What the hits of a query say about whether one of them fits: a few numbers of each search.

The index's ordinary search makes them, and so does a search of the same index without some of its items, from which
the probability is learnt (`crossbit.search.calibrate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.search.results import SearchHit, labels_of
from crossbit.storage.words import words_of

LOOKED_AT = 10  # hits
NAMES = (
    "cosine of the nearest",
    "share of its bits that differ",
    "cosine of the nearest less that of the tenth",
    "overlap of the labels of the nearest ten",
    "overlap of the labels of the best hit with those of the others",
    "word match of the best caption, of the most there could be",
    "share of the query's words in what the best hit says",
)

Array = npt.NDArray[np.float64]


def evidence(
    hits: Sequence[SearchHit], near: Sequence[SearchHit], bits: int, match: float, words: frozenset[str]
) -> Array:
    """The numbers called `NAMES`.

    Args:
        hits: as they are shown, the best first; at least one.
        near: what the codes found, the best first, at least one, each with a cosine.
        bits: of a code.
        match: the BM25 score of the best caption, divided by that of a caption that is the query; 0 without words.
        words: of the query, in normal form.

    >>> hit = SearchHit(7, "image", 4, 0.5, {"caption": "a red fox", "labels": ["fox"]})
    >>> evidence([hit], [hit], 16, 0.7, frozenset(["red", "zebu"])).tolist()
    [0.5, 0.25, 0.0, 0.0, 0.0, 0.7, 0.5]
    """
    first, tenth = near[0], near[:LOOKED_AT][-1]
    others = [hit.item for hit in near[:LOOKED_AT] if hit.id != hits[0].id]
    cosine, distance = float(first.cosine or 0), float(first.distance or 0)
    alike = _overlaps([hit.item for hit in near[:LOOKED_AT]])
    beside = _overlaps([hits[0].item, *others])[0, 1:]
    said = set(words_of(str(hits[0].item.get("caption") or ""))).union(*map(words_of, labels_of(hits[0].item)))
    shared = len(words & said) / len(words) if words else 0.0
    pairs = alike[np.triu_indices(len(alike), 1)]
    return np.array(
        [cosine, distance / bits, cosine - float(tenth.cosine or 0), _mean(pairs), _mean(beside), match, shared]
    )


def _overlaps(items: Sequence[Mapping[str, Any]]) -> Array:
    """|A and B| / |A or B| of the labels of each item and each other one; 0 for two that have none."""
    held = [frozenset(labels_of(item)) for item in items]
    return np.array([[len(a & b) / max(len(a | b), 1) for b in held] for a in held])


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else 0.0
