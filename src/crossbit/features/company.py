"""Rare words by their company: the mean of the rows of those texts that hold them.

A column for each rare word would be learned from one or two pairs, and costs accuracy elsewhere. A mean of known words
and pieces needs no column: from a rare word the texts that hold it are found, and pictures like theirs. The idea: "you
shall know a word by the company it keeps" (Firth 1957).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from crossbit.storage.words import words_of

ENTRIES = 64  # of a rare word's mean that are kept, the largest
BLOCK = 1000  # rare words whose means are made together


class Company:
    """Rare words, and the mean row of each.

    Args:
        words: the rare words.
        means: float32 (words, dim).

    >>> rows = sparse.csr_array(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32))
    >>> company = Company.fit(["red zebu", "old zebu"], ["zebu"], rows)
    >>> company.blended(np.array([[1.0, 0.0]], np.float32), ["red zebu"], np.array([1])).tolist()
    [[0.1875, 0.0625]]
    """

    def __init__(self, words: Sequence[str], means: sparse.csr_array) -> None:
        self.words = list(words)
        self.means = means
        self._place = {word: row for row, word in enumerate(self.words)}

    @classmethod
    def fit(cls, texts: Sequence[str], words: Sequence[str], rows: sparse.csr_array) -> Company:
        """The company of `words` in texts (n,) with these rows (n, dim); words in texts of zeros are left out."""
        columns, starts = cls(words, sparse.csr_array((len(words), rows.shape[1]), dtype=np.float32))._held(texts)
        ones = np.ones(len(columns), np.float32)
        held = sparse.csr_array((ones, columns, starts), (len(texts), len(words))).T.tocsr()
        held = sparse.csr_array(sparse.diags_array((1 / np.diff(held.indptr)).astype(np.float32)) @ held)
        blocks = [_largest(held[start : start + BLOCK] @ rows) for start in range(0, max(1, len(words)), BLOCK)]
        means = sparse.csr_array(sparse.vstack(blocks, format="csr"))
        some = np.diff(means.indptr) > 0
        return cls([word for word, is_some in zip(words, some, strict=True) if is_some], means[some])

    def __contains__(self, word: str) -> bool:
        return word in self._place

    def blended(
        self, rows: NDArray[np.float32], texts: Sequence[str], frequent: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(1 - s)^3 times each row plus s^3 times the mean of its rare words' means; s is the share of rare words.

        Sums are in the order of the words, in float64, so that `export/page/words.js` gives the same to the bit.

        Args:
            rows: (n, dim), of the texts without their rare words.
            texts: (n,), each with a rare word.
            frequent: (n,) how many other known words each has.
        """
        held, starts = self._held(texts)
        rare = np.diff(starts)
        share = rare / (rare + frequent)
        weights, kept = _cubed(share) / rare, _cubed(1 - share)
        blended = rows * kept[:, None]
        of_rows = np.repeat(np.arange(len(texts)), rare)
        first = self.means.indptr[held]
        many = self.means.indptr[held + 1] - first
        some = np.arange(many.sum()) + np.repeat(first - np.cumsum(many) + many, many)  # those of the words' means
        each = np.repeat(of_rows, many)
        np.add.at(blended, (each, self.means.indices[some]), weights[each] * self.means.data[some])
        return blended

    def _held(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The places of the rare words that texts hold, one text after the other, and where each text's begin."""
        places = [
            [place for word in dict.fromkeys(words_of(text)) if (place := self._place.get(word)) is not None]
            for text in texts
        ]
        starts = np.concatenate([[0], np.cumsum([len(each) for each in places], dtype=np.int64)])
        return np.fromiter(chain.from_iterable(places), np.int64, starts[-1]), starts


def _cubed(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """How strongly a text's frequent words outweigh its rare ones; the power was chosen on held-out rows."""
    return share * share * share


def _largest(rows: sparse.csr_array) -> sparse.csr_array:
    """The same rows with their largest `ENTRIES` only."""
    rows = sparse.csr_array(rows)
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    order = np.lexsort((rows.indices, -rows.data, row))
    rank = np.arange(len(row)) - rows.indptr[:-1][row]
    kept = np.sort(order[(rank < ENTRIES) & (rows.data[order] > 0)])
    return sparse.csr_array((rows.data[kept], (row[kept], rows.indices[kept])), rows.shape, dtype=np.float32)
