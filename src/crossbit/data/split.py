"""Seeded splits into queries, training rows and a database, with groups that may not be torn apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossbit.errors import UserError


def random_split(
    n: int, *, query: int, train: int, validation: int = 0, seed: int, groups: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Split rows 0..n-1 at random: queries, and a database of all other rows that holds train and validation rows.

    Rows of one group (pictures of one character, pairs of one article) are all queries or all not. The number of
    queries is exact where groups of the given sizes add up to it, else the nearest below; all other sizes are exact.

    Args:
        n: number of rows.
        query: number of queries.
        train: number of training rows, at least one.
        validation: number of validation rows; they are no training rows.
        seed: the same seed gives the same split.
        groups: (n,) group of each row, of any type; None makes every row its own.

    Returns:
        Sorted int64 row numbers under "train", "query", "retrieval" and, where asked for, "validation".

    Raises:
        UserError: the sizes are impossible.

    >>> split = random_split(6, query=2, train=3, seed=0)
    >>> {name: len(rows) for name, rows in split.items()}
    {'train': 3, 'query': 2, 'retrieval': 4}
    """
    for name, size in (("query", query), ("train", train), ("validation", validation)):
        if size < 0 or (name == "train" and size == 0):
            raise UserError(f"{name} is {size} rows; it must be at least {int(name == 'train')}")
    rng = generator(seed)
    inverse = np.arange(n) if groups is None else group_numbers(groups, n)
    is_query = np.isin(inverse, _choose_groups(np.bincount(inverse), query, rng))
    rest = np.flatnonzero(~is_query)
    if train + validation > len(rest):
        asked = f"query {query}, train {train} and validation {validation} rows"
        raise UserError(
            f"{asked} are more than the {n} rows there are; at most {len(rest)} can be train and validation"
        )
    mixed = rng.permutation(rest)
    split = {"train": mixed[:train], "query": np.flatnonzero(is_query), "retrieval": rest}
    if validation:
        split["validation"] = mixed[train : train + validation]
    return {name: np.sort(rows) for name, rows in split.items()}


def held_out(n: int, rows: np.ndarray, count: int, seed: Any, groups: np.ndarray | None = None) -> np.ndarray:
    """Hold `count` of `rows` out, drawn at random: a mask (n,) of all rows.

    With groups (n,) whole ones are drawn, that have `count` of the rows, or as many below it as they can add up to; the
    mask then holds all rows of theirs, those that are not in `rows`, too.

    Raises:
        UserError: the smallest group has more rows than `count`.

    >>> held_out(5, np.array([0, 1, 2, 3]), 2, 0, np.array(["a", "b", "b", "b", "a"])).tolist()
    [True, False, False, False, True]
    """
    number = np.arange(n) if groups is None else group_numbers(groups, n)
    found, sizes = np.unique(number[rows], return_counts=True)
    if sizes.min(initial=n) > count:
        raise UserError(f"{count} rows are to be held out, and groups stay whole; the smallest has {sizes.min()} rows")
    return np.isin(number, found[_choose_groups(sizes, count, np.random.default_rng(seed))])


def generator(seed: Any) -> np.random.Generator:
    """Numpy's random generator for a seed; UserError where it is not a whole number from 0."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UserError(f"seed is {seed!r}; it must be a whole number from 0")
    return np.random.default_rng(seed)


def group_numbers(groups: np.ndarray, n: int) -> np.ndarray:
    """Groups (n,) of any type as int64 numbers (n,) from 0, in the order of the groups' values.

    >>> group_numbers(np.array(["b", "a", "b"]), 3).tolist()
    [1, 0, 1]
    """
    array = np.asarray(groups)
    if array.shape != (n,):
        raise UserError(f"groups has shape {array.shape}; give one group for each of the {n} rows")
    return np.unique(array, return_inverse=True)[1]


def _choose_groups(sizes: np.ndarray, target: int, rng: np.random.Generator) -> np.ndarray:
    """Groups in random order until their sizes add up to `target`, or to the nearest sum below that they can make."""
    order = rng.permutation(len(sizes))
    total = np.concatenate([[0], np.cumsum(sizes[order])])
    if (exact := np.flatnonzero(total == target)).size:  # always so where every row is its own group
        return order[: exact[0]]
    if target > total[-1]:
        raise UserError(f"query is {target} rows; there are {total[-1]}")
    last = _last_of_sums(sizes, order, target)
    if not (chosen := _add_up(sizes, last)):
        raise UserError(f"query is {target} rows; the smallest group has {sizes.min()}, so it must be at least that")
    return np.array(chosen)


def _last_of_sums(sizes: np.ndarray, order: np.ndarray, target: int) -> np.ndarray:
    """For each sum 0..target the last group, in `order`, of the first choice of groups that makes it, or -1."""
    last = np.full(target + 1, -1)
    reached = np.zeros(target + 1, bool)
    reached[0] = True
    for group in order:
        size = sizes[group]
        if size <= target:
            fresh = ~reached[size:] & reached[: target + 1 - size]
            last[size:][fresh] = group
            reached[size:] |= fresh
        if reached[target]:
            break
    return last


def _add_up(sizes: np.ndarray, last: np.ndarray) -> list[int]:
    """The groups that make the largest sum: a sum's last group came after all groups of the sum before it."""
    rest = int(np.flatnonzero(last >= 0)[-1]) if (last >= 0).any() else 0
    chosen = []
    while rest:
        chosen.append(int(last[rest]))
        rest -= int(sizes[chosen[-1]])
    return chosen
