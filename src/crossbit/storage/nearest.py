"""The known words nearest to an unknown one."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz import fuzz, process

ALIKE = 75  # of 100; "cookie" is 62 like "locomotive"
SHORT = 66  # of two words of three letters, where one other letter takes a third


def nearest(word: str, known: Sequence[str], n: int = 3, alike: float = ALIKE) -> list[str]:
    """Up to `n` of the known words that are written like `word`, the most similar first; none where none is similar.

    Args:
        word: unknown.
        known: words.
        n: how many, at most.
        alike: of 100, twice the letters in common, in their order, over both lengths; from there two words are similar.

    Milliseconds for 100,000 words.

    >>> nearest("pizzza", ["pasta", "piazza", "pizza", "tree"]), nearest("soccer", ["show"])
    (['pizza', 'piazza'], [])
    >>> nearest("red", ["rod", "turned"]), nearest("horse", ["house"]), nearest("horse", ["house"], alike=83)
    (['rod'], ['house'], [])
    """
    found = _alike(word, known, n, alike)
    if len(word) == 3 and alike <= ALIKE:
        short = _alike(word, [one for one in known if len(one) == 3], n, SHORT)
        found += [one for one in short if one not in found]
    return found[:n]


def _alike(word: str, known: Sequence[str], n: int, least: float) -> list[str]:
    return [found for found, _, _ in process.extract(word, known, scorer=fuzz.ratio, limit=n, score_cutoff=least)]
