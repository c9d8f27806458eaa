"""Hits of one way to search, or of several, as one list by likeness; merged where they are of one thing.

Source: Bruch, Gai and Ingber, An Analysis of Fusion Functions for Hybrid Retrieval (TOIS 2023): a weighted sum of two
scores is above fusion by rank.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

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
    """One list of things, the likest first, of equal likeness the lowest id before. The likest hit of a thing stands
    for it.

    Args:
        ways: what each found, the best first.
        things: what each id shows.
        most: how many are told, all if None.
        likeness: of each id; None for that of one way, whose order it is.

    >>> a, b, c = ((id, 0, None) for id in (1, 2, 3))
    >>> found = fused({"words": [c, b], "codes": [a, b]}, {1: 1, 2: 2, 3: 3}, likeness={1: 0.2, 2: 0.7, 3: 0.9})
    >>> [(each.found[0], each.by) for each in found]
    [(3, ('words',)), (2, ('words', 'codes')), (1, ('codes',))]
    >>> [(each.found[0], each.more) for each in fused({"codes": [a, b, c]}, {1: 7, 2: 8, 3: 7})]
    [(1, 1), (2, 0)]
    """
    by: dict[Hashable, list[str]] = {}
    hits: dict[Hashable, dict[int, Found]] = {}
    for way, found in ways.items():
        for hit in found:
            thing = things[hit[0]]
            hits.setdefault(thing, {}).setdefault(hit[0], hit)
            if way not in by.setdefault(thing, []):
                by[thing].append(way)
    order = {hit[0]: rank for rank, hit in enumerate(nearest_of(ways, likeness))}
    best = {thing: min(of.values(), key=lambda hit: order[hit[0]]) for thing, of in hits.items()}
    ranked = sorted(best, key=lambda thing: order[best[thing][0]])[:most]
    return [Fused(best[thing], tuple(by[thing]), len(hits[thing]) - 1) for thing in ranked]


def nearest_of(ways: Mapping[str, Sequence[Found]], likeness: Mapping[int, float] | None) -> list[Found]:
    """What all ways found, the likest first; of equal likeness, the lowest id before.

    >>> nearest_of({"codes": [(1, 0, 0.2)], "pictures": [(3, 9, 0.1), (1, 0, 0.2)]}, {1: 0.2, 3: 0.9})
    [(3, 9, 0.1), (1, 0, 0.2)]
    """
    found = {hit[0]: hit for hits in ways.values() for hit in hits}
    if likeness is None:
        return list(found.values())
    return sorted(found.values(), key=lambda hit: (-likeness[hit[0]], hit[0]))
