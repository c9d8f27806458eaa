"""Split rules: which rows a paper asks with, trains on and searches, by the order of a published file.

A rule is written NAME[:QUERIES[:TRAIN]], the numbers by default those of the published set that a file's name tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from crossbit.data.split import random_split
from crossbit.errors import UserError, unknown

# Part of a file's name, letters and digits only: (queries, labelled training rows) in the papers.
PUBLISHED = {
    "mirflickr": (2000, 10000),
    "flickr25k": (2000, 10000),
    "nuswide": (2100, 10500),
    "iapr": (2000, 10000),
    "coco": (5000, 10000),
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
        UserError: the set is not known by its name and the rule has no numbers, or they are more than `n`.
    """
    queries, train = _numbers(split, name)
    if not 0 < queries + (train or 1) <= n or not queries or train == 0:
        asked = f"{queries:,} queries and {'at least 1' if train is None else f'{train:,}'} training rows"
        hint = f"{split.rule}:QUERIES:TRAIN gives others"
        raise UserError(f"split '{split.rule}' takes {asked} of the {n:,} rows there are; {hint}")
    rows = RULES[split.rule](n, queries, train)
    said = _SAID[split.rule].format(q=f"{queries:,}", n=f"{n:,}")
    left = [rule for rule in others if rule != split.rule]
    choice = f" (the default; others: {', '.join(left)})" if left and not split.chosen else ""
    sizes = f"the other {len(rows['retrieval']):,} are the database, {len(rows['train']):,} of them training rows"
    return rows, f"split '{split.rule}'{choice}: {said}, {sizes}"


def _numbers(split: Split, name: str) -> tuple[int, int | None]:
    plain = re.sub("[^a-z0-9]", "", name.lower())
    known = next((sizes for part, sizes in PUBLISHED.items() if part in plain), None)
    if known is None and not split.numbers:
        right = f"say how many, as in {split.rule}:2000 or {split.rule}:2000:10000"
        raise UserError(f"the name '{name}' tells no published set, so the number of queries is unknown; {right}")
    if not split.numbers:
        return known[0], None if split.rule == "ucch" else known[1]  # type: ignore[index]
    queries, *train = split.numbers
    default = None if split.rule == "ucch" or known is None or len(split.numbers) == 1 else known[1]
    return queries, train[0] if train else default
