"""Hits of several ways to search as one list: merged where they are of one thing, and fused by rank or by likeness.

Source: Cormack, Clarke and Büttcher, Reciprocal Rank Fusion (2009). Their constant is 60, for many runs of a thousand
documents each. Here it is 2, so that what one way ranks first is among the first eight, whatever the other way says.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

CONSTANT = 2
SHOWS = ("group", "path")  # columns, of which the first with a value says what an item shows
Found = tuple[int, int | None, float | None]  # id, distance, cosine


class Fused(NamedTuple):
    """A thing that was found: the hit that stands for it, the ways that found it, and how many further hits it had."""

    found: Found
    by: tuple[str, ...]
    more: int


def thing_of(id: int, item: Mapping[str, Any]) -> tuple[str, Hashable]:
    """What an item shows: its group, or its path, or itself. Several captions of one picture have the same path.

    >>> thing_of(7, {"path": "fox.jpg", "group": None}) == thing_of(8, {"path": "fox.jpg"})
    True
    """
    for name in SHOWS:
        if item.get(name) is not None:
            return name, item[name]
    return "id", id


def fused(
    ways: Mapping[str, Sequence[Found]],
    things: Mapping[int, Hashable],
    most: int | None = None,
    likeness: Mapping[int, float] | None = None,
) -> list[Fused]:
    """One list, the best first: the score of a thing is the sum of 1 / (2 + rank) over the ways that found it, or its
    likeness, if that is given; then, of equal ones, the lowest id is first.

    The best hit of a thing, by rank or by likeness, stands for it.

    Args:
        ways: what each found, the best first.
        things: what each id shows.
        most: how many are told, all if None.
        likeness: of each id.

    >>> a, b, c = ((id, 0, None) for id in (1, 2, 3))
    >>> [(each.found[0], each.by) for each in fused({"codes": [a, b], "captions": [c, b]}, {1: 1, 2: 2, 3: 3})]
    [(2, ('codes', 'captions')), (1, ('codes',)), (3, ('captions',))]
    >>> found = fused({"codes": [a, b], "pictures": [c, b]}, {1: 1, 2: 2, 3: 3}, likeness={1: 0.2, 2: 0.7, 3: 0.9})
    >>> [(each.found[0], each.by) for each in found]
    [(3, ('pictures',)), (2, ('codes', 'pictures')), (1, ('codes',))]
    """
    if likeness is not None:
        ways = {way: sorted(hits, key=_nearest(likeness)) for way, hits in ways.items()}
    ranked: dict[Hashable, list[tuple[int, str, Found]]] = {}  # per thing, by each way: rank, way, hit
    ids: dict[Hashable, set[int]] = {}
    for way, hits in ways.items():
        first: dict[Hashable, Found] = {}
        for hit in hits:
            thing = things[hit[0]]
            first.setdefault(thing, hit)
            ids.setdefault(thing, set()).add(hit[0])
        for rank, (thing, hit) in enumerate(first.items(), start=1):
            ranked.setdefault(thing, []).append((rank, way, hit))
    if likeness is not None:
        near = _nearest(likeness)
        best = {thing: min((hit for _, _, hit in found), key=near) for thing, found in ranked.items()}
        order = sorted(ranked, key=lambda thing: near(best[thing]))
    else:
        best = {thing: min(found, key=lambda each: each[0])[2] for thing, found in ranked.items()}
        scores = {thing: sum(1 / (CONSTANT + rank) for rank, _, _ in found) for thing, found in ranked.items()}
        order = sorted(ranked, key=lambda thing: -scores[thing])  # stable: of equal scores, the first way's before
    return [
        Fused(best[thing], tuple(way for _, way, _ in ranked[thing]), len(ids[thing]) - 1) for thing in order[:most]
    ]


def nearest_of(ways: Mapping[str, Sequence[Found]], likeness: Mapping[int, float] | None) -> list[Found]:
    """What the codes found, or, with likeness, what all ways found; the nearest first.

    >>> nearest_of({"codes": [(1, 0, 0.2)], "pictures": [(3, 9, 0.1), (1, 0, 0.2)]}, {1: 0.2, 3: 0.9})
    [(3, 9, 0.1), (1, 0, 0.2)]
    """
    if likeness is None:
        return list(ways.get("codes", []))
    found = {hit[0]: hit for hits in ways.values() for hit in hits}
    return sorted(found.values(), key=_nearest(likeness))


def _nearest(likeness: Mapping[int, float]) -> Callable[[Found], tuple[float, int]]:
    """Sorts hits by likeness, then by id."""
    return lambda hit: (-likeness[hit[0]], hit[0])
