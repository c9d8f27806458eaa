"""The known words nearest to an unknown one."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz import fuzz, process

ALIKE = 75  # of 100; "cookie" is 62 like "locomotive"
SHORT = 66  # of two words of three letters, where one other letter takes a third


def nearest(word: str, known: Sequence[str], n: int = 3) -> list[str]:
    """Up to `n` of the known words that are written like `word`, the most similar first; none where none is similar.

    Milliseconds for 100,000 words.

    >>> nearest("pizzza", ["pasta", "piazza", "pizza", "tree"]), nearest("soccer", ["show"])
    (['pizza', 'piazza'], [])
    >>> nearest("red", ["rod", "turned"])
    ['rod']
    """
    found = _alike(word, known, n, ALIKE)
    if len(word) == 3:
        short = _alike(word, [one for one in known if len(one) == 3], n, SHORT)
        found += [one for one in short if one not in found]
    return found[:n]


def _alike(word: str, known: Sequence[str], n: int, least: int) -> list[str]:
    return [found for found, _, _ in process.extract(word, known, scorer=fuzz.ratio, limit=n, score_cutoff=least)]
