"""Texts as weighted counts of words, or of pieces of words, by a vocabulary that was chosen before.

scikit-learn chooses the vocabulary and its weights (`TfidfVectorizer`). What it does to further texts is done here,
with the same result, since loading scikit-learn takes longer than a search from the shell. Sums are taken in the order
of the text, and logarithms in float64, so that `export/page/words.js` gives the same numbers to the bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

PIECES = (3, 4)  # characters of a piece


class Tfidf:
    """tf-idf with logarithmic counts: (1 + log count) x weight, each row scaled to length 1, or 0 with nothing known.

    Args:
        words: the vocabulary, in the order of the columns.
        weights: float32 (words,).
        analyze: a text to its words, or its pieces, as often as they occur.

    >>> Tfidf(["fox", "red"], np.array([1.0, 2.0], np.float32), str.split).transform(["red red hat"]).toarray().tolist()
    [[0.0, 1.0]]
    """

    def __init__(self, words: Sequence[str], weights: NDArray[np.float32], analyze: Callable[[str], list[str]]) -> None:
        self.columns = {word: column for column, word in enumerate(words)}
        self.weights = np.ascontiguousarray(weights, dtype=np.float32)
        self._analyze = analyze

    def knows(self, text: str) -> bool:
        """Whether any word of a text has a column."""
        return any(word in self.columns for word in self._analyze(text))

    def transform(self, texts: Sequence[str]) -> sparse.csr_array:
        """Texts (n,) to float32 (n, words)."""
        return sparse.csr_array(self.weighed(texts), shape=(len(texts), len(self.columns)))

    def weighed(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
        """The same as the values, columns and starts of rows, which for one text are made in half the time."""
        counted = [self._counts(text) for text in texts]
        many = np.array([len(counts) for counts in counted], np.int64)
        columns = np.fromiter(chain.from_iterable(counted), np.int32, many.sum())
        counts = np.fromiter(chain.from_iterable(each.values() for each in counted), np.float32, many.sum())
        values = (np.log(counts.astype(np.float64)) + 1).astype(np.float32) * self.weights[columns]
        rows = np.repeat(np.arange(len(counted)), many)
        lengths = np.sqrt(np.bincount(rows, values.astype(np.float64) ** 2, len(counted)))
        starts = np.concatenate([[0], np.cumsum(many)])
        scaled = (values / lengths[rows]).astype(np.float32)
        return scaled, columns, starts

    def _counts(self, text: str) -> dict[int, int]:
        known = (self.columns.get(word) for word in self._analyze(text))
        return Counter(column for column in known if column is not None)


def pieces_of(text: str) -> list[str]:
    """The pieces of three and four characters of a text's words, each with a space before and behind it; as
    scikit-learn's analyzer "char_wb".

    >>> pieces_of("a fox")
    [' a ', ' fo', 'fox', 'ox ', ' fox', 'fox ']
    """
    pieces: list[str] = []
    for word in (f" {word} " for word in text.split()):
        for size in PIECES:
            pieces += [word[start : start + size] for start in range(max(1, len(word) - size + 1))]
            if len(word) <= size:  # a short word counts once
                break
    return pieces
