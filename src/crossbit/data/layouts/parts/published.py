"""Whether a file that is called like a published set has that set's sizes."""

from __future__ import annotations

import re

from crossbit.data.layouts.parts.rules import PUBLISHED, PublishedSet
from crossbit.data.types import PairedData


def unlike_published(data: PairedData, *, fixed: bool) -> list[str]:
    """A sentence where data are called like a published set, and are not of its size; no sentence otherwise.

    Args:
        data: what was found.
        fixed: whether its queries and training rows are in the file, so that they are compared, too.
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
