"""The known words nearest to an unknown one."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz import fuzz, process

ALIKE = 60  # of 100; "fox" and "dog" share a third of their letters


def nearest(word: str, known: Sequence[str], n: int = 3) -> list[str]:
    """Up to `n` of the known words that are written like `word`, the most similar first; none where none is similar.

    Milliseconds for 100,000 words.

    >>> nearest("pizzza", ["pasta", "piazza", "pizza", "tree"])
    ['pizza', 'piazza']
    """
    return [found for found, _, _ in process.extract(word, known, scorer=fuzz.ratio, limit=n, score_cutoff=ALIKE)]
