"""Hits of several ways to search as one list: merged where they are of one thing, and fused by rank.

Source: Cormack, Clarke and Büttcher, Reciprocal Rank Fusion (2009). Their constant is 60, for many runs of a thousand
documents each. Here it is 2, so that what one way ranks first is among the first eight, whatever the other way says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from crossbit.search.results import SearchHit

CONSTANT = 2


def thing_of(id: int, item: Mapping[str, Any]) -> Hashable:
    """What an item shows: its group, or its path, or itself. Several captions of one picture have the same path.

    >>> thing_of(7, {"path": "fox.jpg", "group": None}) == thing_of(8, {"path": "fox.jpg"})
    True
    """
    for name in ("group", "path"):
        if item.get(name) is not None:
            return name, item[name]
    return "id", id


def fused(ways: Mapping[str, Sequence[SearchHit]]) -> list[SearchHit]:
    """One list, the best first: the score of a thing is the sum of 1 / (2 + rank) over the ways that found it.

    The best ranked hit of a thing stands for it. It says which ways found the thing, and how many further hits it had.

    >>> a, b, c = (SearchHit(id, "image", 0, None, {}) for id in (1, 2, 3))
    >>> [(hit.id, hit.by) for hit in fused({"codes": [a, b], "captions": [c, b]})]
    [(2, ('codes', 'captions')), (1, ('codes',)), (3, ('captions',))]
    """
    ranked: dict[Hashable, list[tuple[int, str, SearchHit]]] = {}  # per thing, by each way: rank, way, hit
    ids: dict[Hashable, set[int]] = {}
    for way, hits in ways.items():
        first: dict[Hashable, SearchHit] = {}
        for hit in hits:
            thing = thing_of(hit.id, hit.item)
            first.setdefault(thing, hit)
            ids.setdefault(thing, set()).add(hit.id)
        for rank, (thing, hit) in enumerate(first.items(), start=1):
            ranked.setdefault(thing, []).append((rank, way, hit))
    scores = {thing: sum(1 / (CONSTANT + rank) for rank, _, _ in found) for thing, found in ranked.items()}
    order = sorted(ranked, key=lambda thing: -scores[thing])  # stable: of equal scores, the first way's before
    return [_standing(ranked[thing], len(ids[thing]) - 1) for thing in order]


def _standing(found: Sequence[tuple[int, str, SearchHit]], more: int) -> SearchHit:
    best = min(found, key=lambda each: each[0])[2]
    return dataclasses.replace(best, by=tuple(way for _, way, _ in found), more=more)
