"""Which pairs of a collection are queries: as its table says, or drawn in whole groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crossbit.data.collection.places import SPLITS
from crossbit.data.split import random_split
from crossbit.errors import UserError, unknown

SEED = 0
FEWEST, MOST, SHARE, LARGEST_SHARE = 100, 2000, 10, 5  # queries: a tenth, within these; a fifth of a small collection


def split_rows(said: Sequence[str | None], group: np.ndarray) -> tuple[dict[str, np.ndarray], str]:
    """The rows of each split, and a sentence about them.

    Args:
        said: what the table says of each pair's split; None where it says nothing.
        group: (n,) pairs that may not be torn apart.

    Raises:
        UserError: a split of an unknown name.
    """
    if any(each is not None for each in said):
        return _as_said(said, group)
    return _drawn(np.arange(len(said)), group)


def _drawn(rows: np.ndarray, group: np.ndarray) -> tuple[dict[str, np.ndarray], str]:
    n = len(rows)
    wanted = min(max(n // SHARE, FEWEST), MOST, n // LARGEST_SHARE)
    smallest = int(np.bincount(np.unique(group, return_inverse=True)[1]).min(initial=n))
    if wanted < smallest:
        every = np.arange(n)
        return {"train": every, "query": every[:0], "retrieval": every}, "no queries: the collection is too small"
    split = random_split(n, query=wanted, train=1, seed=SEED, groups=group)
    split["train"] = split["retrieval"]
    drawn = f"{len(split['query']):,} pairs are queries, drawn by seed {SEED} in whole groups"
    return split, f"{drawn}; the other {len(split['train']):,} are trained on and are the database"


def _as_said(said: Sequence[str | None], group: np.ndarray) -> tuple[dict[str, np.ndarray], str]:
    """Rows of which the table says nothing are trained on; where it names no query, some are drawn among these."""
    known = {each for each in said if each is not None}
    for each in known:
        if each.casefold() not in SPLITS:
            raise unknown("split", each, SPLITS)
    of = np.array(["train" if each is None else SPLITS[each.casefold()] for each in said])
    if "query" not in of:
        return _drawn_among(of, group)
    split = {name: np.flatnonzero(of == name) for name in ("train", "query", "validation")}
    split["retrieval"] = np.flatnonzero(of != "query")
    if not len(split["train"]):
        raise UserError(f"the table's splits are {', '.join(sorted(known))}; some rows must be train")
    torn = int(np.isin(group[split["query"]], group[split["retrieval"]]).sum())
    twins = f"; {torn:,} queries have a near-duplicate in the database" if torn else ""
    return _without_empty(split), f"the splits are as the table says: {_counts(split)}{twins}"


def _drawn_among(of: np.ndarray, group: np.ndarray) -> tuple[dict[str, np.ndarray], str]:
    rows = np.arange(len(of))
    split, sentence = _drawn(rows, group)
    kept = split["retrieval"]
    split |= {"train": kept[of[kept] == "train"], "validation": kept[of[kept] == "validation"]}
    return _without_empty(split), f"the table names no queries: {sentence}"


def _without_empty(split: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: rows for name, rows in split.items() if name != "validation" or len(rows)}


def _counts(split: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{name} {len(rows):,}" for name, rows in split.items() if len(rows))
