"""Which recipes a published set is in, and whether a file has that set's sizes."""

from __future__ import annotations

import re

from crossbit.data.layouts.parts.rules import PUBLISHED, PublishedSet
from crossbit.data.types import PairedData

# Beside a paper's main recipe those that it is followed by: after a part of the set's name, letters and digits only.
OTHERS: dict[str, dict[str, tuple[str, ...]]] = {
    "nrch-main": {
        "mirflickr": ("nrch-curves", "nrch-sensitivity", "nrch-ablation", "nrch-efficiency"),
        "": ("nrch-curves",),
    },
    "ucch-main": {
        "mirflickr": ("ucch-curves", "ucch-efficiency"),
        "iapr": ("ucch-curves", "ucch-sensitivity", "ucch-ablation"),
        "coco": ("ucch-curves", "ucch-sensitivity", "ucch-ablation"),
        "": ("ucch-curves",),
    },
    "mrl-main": {
        "wiki": ("mrl-sensitivity", "mrl-ablation"),
        "inria": ("mrl-sensitivity", "mrl-efficiency"),
    },
    "ssah-main": {},
}


def recipes_of(stem: str, name: str) -> list[str]:
    """The main recipe `stem` and its paper's others that hold the set of this name.

    >>> recipes_of("nrch-main", "IAPR")
    ['nrch-main', 'nrch-curves']
    """
    plain = _plain(name)
    return [stem, *next((others for part, others in OTHERS.get(stem, {}).items() if part in plain), ())]


def unlike_published(data: PairedData, *, fixed: bool) -> list[str]:
    """A sentence where data are called like a published set, and are not of its size; no sentence otherwise.

    Args:
        data: what was found.
        fixed: whether its queries and training rows stand in the file, so that they are compared, too.
    """
    known = next((known for part, known in PUBLISHED.items() if part in _plain(data.name)), None)
    if known is None:
        return []
    wrong = _wrong(data, known, fixed)
    if not wrong:
        return []
    return [f"not the published set: {'; '.join(wrong)}; figures do not compare with the paper's"]


def _wrong(data: PairedData, known: PublishedSet, fixed: bool) -> list[str]:
    pairs = " or ".join(f"{pairs:,}" for pairs in known.pairs)
    n = len(data.splits["query"]) + len(data.splits["retrieval"])  # training rows may be stored twice
    wrong = [] if n in known.pairs else [f"{n:,} pairs, it has {pairs}"]
    for split, size in (("query", known.queries), ("train", known.train)) if fixed else ():
        if (rows := len(data.splits[split])) != size:
            wrong.append(f"{rows:,} {split} rows, it has {size:,}")
    return wrong


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
