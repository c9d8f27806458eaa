"""Split rules: which rows a paper takes as queries, trains on and searches, by the order of a published file.

A rule is written NAME[:QUERIES[:TRAIN]]; the numbers are by default those of the published set that a file's name or
its number of pairs tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from crossbit.data.split import random_split
from crossbit.errors import UserError, unknown


@dataclass(frozen=True)
class PublishedSet:
    """A published set: its pairs (papers differ), and the queries and labelled training rows that papers take."""

    pairs: tuple[int, ...]
    queries: int
    train: int


# By a part of a file's name, letters and digits only.
PUBLISHED = {
    "mirflickr": PublishedSet((20_015,), 2000, 10_000),
    "flickr25k": PublishedSet((20_015,), 2000, 10_000),
    "nuswide": PublishedSet((200_421, 195_834, 186_577, 186_557), 2100, 10_500),
    "iapr": PublishedSet((20_000,), 2000, 10_000),
    "coco": PublishedSet((122_218,), 5000, 10_000),
}
Rows = dict[str, np.ndarray]


@dataclass(frozen=True)
class Split:
    """A rule that was chosen, or the default (`chosen` is False), and its numbers; None where the set decides."""

    rule: str
    numbers: tuple[int, ...] = ()
    chosen: bool = True


def parse_split(text: str | None, rules: Sequence[str]) -> Split:
    """Read `RULE[:NUMBER[:NUMBER]]`; None is the first of `rules`.

    >>> parse_split("nrch:100:500", ["ucch", "nrch"])
    Split(rule='nrch', numbers=(100, 500), chosen=True)
    """
    if text is None:
        return Split(rules[0], chosen=False)
    rule, *numbers = text.split(":")
    if rule not in rules:
        raise unknown("split rule", rule, rules)
    if len(numbers) > 2 or not all(re.fullmatch("[0-9]+", number) for number in numbers):
        raise UserError(f"split is '{text}'; it must be RULE, RULE:QUERIES or RULE:QUERIES:TRAIN, such as {rule}:2000")
    return Split(rule, tuple(map(int, numbers)))


def ucch(n: int, queries: int, train: int | None) -> Rows:
    """The last rows are queries, the rest is database and (its first `train`, or all) training rows (UCCH, sec. 4)."""
    rest = np.arange(n - queries)
    return {"query": np.arange(n - queries, n), "retrieval": rest, "train": rest[:train]}


def nrch(n: int, queries: int, train: int | None) -> Rows:
    """The first rows are queries, then come the training rows; the database is all but the queries (NRCH's code)."""
    rest = np.arange(queries, n)
    return {"query": np.arange(queries), "retrieval": rest, "train": rest[:train]}


def at_random(n: int, queries: int, train: int | None) -> Rows:
    """Queries and, among the other rows, training rows at random; always the same ones (SSAH's code draws anew)."""
    return random_split(n, query=queries, train=n - queries if train is None else train, seed=0)


RULES: dict[str, Callable[[int, int, int | None], Rows]] = {"ucch": ucch, "nrch": nrch, "random": at_random}
_SAID = {
    "ucch": "queries are the last {q} of {n} rows",
    "nrch": "queries are the first {q} of {n} rows",
    "random": "queries are {q} of {n} rows drawn with seed 0",
}


def apply_rule(split: Split, n: int, name: str, others: Sequence[str]) -> tuple[Rows, str]:
    """The rows of each split, and a sentence about them.

    Args:
        split: the rule and its numbers.
        n: number of pairs.
        name: of the file or folder, which tells the published set.
        others: the rules there are for this layout.

    Raises:
        UserError: the numbers are more than `n`, or none.
    """
    queries, train, why = _given(split, n, name) if split.numbers else _known(split, n, name)
    if not 0 < queries + (train or 1) <= n or not queries or train == 0:
        asked = f"{queries:,} queries and {'at least 1' if train is None else f'{train:,}'} training rows"
        hint = f"{split.rule}:QUERIES:TRAIN gives others"
        raise UserError(f"split '{split.rule}' takes {asked} of the {n:,} rows there are; {hint}")
    rows = RULES[split.rule](n, queries, train)
    said = _SAID[split.rule].format(q=f"{queries:,}", n=f"{n:,}")
    left = [rule for rule in others if rule != split.rule]
    choice = f" (the default; others: {', '.join(left)})" if left and not split.chosen else ""
    sizes = f"the other {len(rows['retrieval']):,} are the database, {len(rows['train']):,} of them training rows"
    return rows, f"split '{split.rule}'{choice}: {said}, {sizes}{why}"


def _published(name: str, n: int) -> PublishedSet | None:
    plain = re.sub("[^a-z0-9]", "", name.lower())
    known = (one for part, one in PUBLISHED.items() if part in plain or n in one.pairs)
    return next(known, None)


def _given(split: Split, n: int, name: str) -> tuple[int, int | None, str]:
    """Queries and training rows as the split says; where it leaves those out, as many as published, or all."""
    queries, *train = split.numbers
    known = _published(name, n)
    if train or split.rule == "ucch" or known is None:
        return queries, train[0] if train else None, ""
    return queries, min(known.train, n - queries), ""


def _known(split: Split, n: int, name: str) -> tuple[int, int | None, str]:
    """Queries and training rows (None: all others) of the published set, and why they are others if they are."""
    known, hint = _published(name, n), f"; {split.rule}:QUERIES:TRAIN takes others"
    if known is None:
        queries, train = max(1, n // 10), n // 2
        why = (
            f" (neither the name '{name}' nor its size tells a published set, so a tenth of the rows are queries{hint})"
        )
    elif known.queries >= n:
        queries, train = (max(1, n * size // max(known.pairs)) for size in (known.queries, known.train))
        why = f" (too few for the {known.queries:,} queries of the published set, so its sizes are scaled down{hint})"
    elif split.rule != "ucch" and known.train > n - known.queries:
        queries, train = known.queries, n - known.queries
        why = f" (the published set has {known.train:,} training rows)"
    else:
        queries, train, why = known.queries, known.train, ""
    return queries, None if split.rule == "ucch" else train, why
