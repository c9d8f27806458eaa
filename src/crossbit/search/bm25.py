"""Word match ranked by BM25 over texts that come in parts, so that an index can grow.

A library such as bm25s weighs all texts when it reads them, so that a further text means weighing all anew. Here counts
are kept, and weighed for the words of a query alone.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), section 3; with the
inverse document frequency of Lucene, which is never negative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from crossbit.storage.nearest import nearest
from crossbit.storage.words import numbers_of, singular, words_of

K1, B = 1.2, 0.75  # how soon a repeated word counts no more; how much a long text loses (the source's usual values)
FEW = 16  # the share of texts, one in so many, below which looking at those that hold a word is quick
OTHER = 0.5  # how much a word counts in its other number, dog where dogs is typed
SPELT = 4096  # words of which it is kept in which numbers the texts hold them
MISSPELT = 83  # of 100: likeness from which a word may be meant; "guitra" is 83 like "guitar", "horse" 80 like "house"
OFTEN = 20  # texts: of fewer a hundredth is too few to tell a frequent word
Rows: TypeAlias = npt.NDArray[np.int64]
Scores: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Which words some texts hold, by word.

    Attributes:
        words: all that occur.
        starts: int64 (words + 1,), where each word's entries begin in `rows` and `counts`.
        rows: int32, the texts that hold the word, ascending.
        counts: int32, how often.
        lengths: int32 (texts,), how many words each text has.

    >>> part = part_of(["a red fox", "a car"])
    >>> part.words, part.lengths.tolist(), part.entries("a")[0].tolist()
    (['a', 'car', 'fox', 'red'], [3, 2], [0, 1])
    """

    words: list[str]
    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]

    @cached_property
    def at(self) -> dict[str, int]:
        """The place of each word."""
        return {word: place for place, word in enumerate(self.words)}

    def entries(self, word: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The texts that hold a word, and how often."""
        if (place := self.at.get(word)) is None:
            return self.rows[:0], self.counts[:0]
        some = slice(self.starts[place], self.starts[place + 1])
        return self.rows[some], self.counts[some]


def part_of(texts: Sequence[str]) -> Part:
    """The words of texts (n,), in their normal form."""
    held: dict[str, list[tuple[int, int]]] = {}
    lengths = np.zeros(len(texts), np.int32)
    for row, text in enumerate(texts):
        words = words_of(text)
        lengths[row] = len(words)
        for word, count in Counter(words).items():
            held.setdefault(word, []).append((row, count))
    words = sorted(held)
    starts = np.cumsum([0, *(len(held[word]) for word in words)], dtype=np.int64)
    entries = np.array([entry for word in words for entry in held[word]], np.int32).reshape(-1, 2)
    return Part(words, starts, entries[:, 0].copy(), entries[:, 1].copy(), lengths)


def joined(parts: Sequence[Part]) -> Part:
    """Parts one after the other as one.

    >>> both = joined([part_of(["a red fox"]), part_of(["the fox"])])
    >>> both.words, both.entries("fox")[0].tolist(), both.lengths.tolist()
    (['a', 'fox', 'red', 'the'], [0, 1], [3, 2])
    """
    if len(parts) == 1:
        return parts[0]
    words = sorted(set().union(*(part.words for part in parts)))
    at = {word: place for place, word in enumerate(words)}
    places = [np.array([at[word] for word in part.words], np.int64) for part in parts]
    many = np.zeros(len(words), np.int64)
    for part, place in zip(parts, places, strict=True):
        many[place] += np.diff(part.starts)
    starts = np.concatenate([[0], np.cumsum(many)])
    rows, counts, free, first = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int32), starts[:-1].copy(), 0
    for part, place in zip(parts, places, strict=True):
        held = np.diff(part.starts)
        to = np.arange(len(part.rows)) + np.repeat(free[place] - part.starts[:-1], held)  # the next free ones
        rows[to], counts[to] = part.rows + first, part.counts
        free[place] += held
        first += len(part.lengths)
    lengths = np.concatenate([np.empty(0, np.int32), *(part.lengths for part in parts)])
    return Part(words, starts, rows, counts, lengths)


class Bm25:
    """Texts of several parts, numbered through.

    Args:
        parts: one after the other.
        alive: bool (texts,), False for those that are no longer there.
        few: more texts after those, which are not joined with them; see `grown`.

    Attributes:
        count, spoken: how many texts are there, and how many of them hold a word.

    >>> Bm25([part_of(["a red fox", "a car"]), part_of(["the fox"])]).search(["fox"])[0].tolist()
    [2, 0]
    """

    def __init__(
        self, parts: Sequence[Part], alive: npt.NDArray[np.bool_] | None = None, few: Part | None = None
    ) -> None:
        self._texts, self._few = joined(parts), few
        lengths = self._texts.lengths if few is None else np.concatenate([self._texts.lengths, few.lengths])
        self._lengths = lengths
        self.alive = np.ones(len(lengths), bool) if alive is None else alive
        self.count = int(self.alive.sum())
        self.spoken = int((lengths[self.alive] > 0).sum())
        self._spelt: dict[str, list[str]] = {}  # see `_forms`
        self._both: dict[str, tuple[Rows, Scores]] = {}  # see `_held`
        self._mean = float(lengths[self.alive].mean()) if self.count else 1.0
        self._counted: dict[str, int] = {}  # see `holders`

    def grown(self, part: Part, alive: npt.NDArray[np.bool_]) -> Bm25:
        """The same texts and a few more, without joining all of them again.

        >>> texts = Bm25([part_of(["a red fox", "a car"])])
        >>> texts.grown(part_of(["the fox"]), np.array([False, True, True])).search(["fox"])[0].tolist()
        [2]
        """
        return Bm25([self._texts], alive, part if self._few is None else joined([self._few, part]))

    def knows(self, word: str) -> bool:
        """Whether a text that is there holds the word, in one number or the other."""
        return self.holders(word) > 0

    def near(self, word: str) -> list[str]:
        """The words of the texts that are written nearly as a word that they do not hold, the most similar first.

        >>> Bm25([part_of(["a guitar", "a house"])]).near("gutar")
        ['guitar']
        """
        known = [*self._texts.words, *([] if self._few is None else self._few.words)]
        return [one for one in nearest(word, known, alike=MISSPELT) if self.knows(one)]

    def idle(self, words: frozenset[str], telling: frozenset[str]) -> frozenset[str]:
        """Those words of a query, in normal form, that say nothing of a text which holds them: words of more than half
        of the texts, and where the query has another word besides, those that are frequent for their length. In every
        language the words that join others are short and frequent, so each letter after the first asks for a hundredth
        of the texts more. None of `telling`, each `singular`, is among them.

        Source: Zipf, The Psycho-Biology of Language (1935), for length and frequency.
        """
        held = {word: self.holders(word) for word in words}
        telling = frozenset(word for word in words if singular(word) in telling)

        def is_often(word: str) -> bool:
            return held[word] >= max(OFTEN, self.spoken * (max(len(word), 2) - 1) / 100)

        always = frozenset(word for word in words - telling if held[word] > self.spoken / 2)
        often = always.union(word for word in words - telling if is_often(word))
        return often if any(held[word] or word in telling for word in words - often) else always

    def search(
        self, words: Iterable[str], k: int = 10, among: npt.NDArray[np.bool_] | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """The k best texts that hold a word, the best first, those of equal score by number; and their scores.

        Args:
            words: those of the query, in normal form; each counts once.
            k: how many, at most.
            among: bool (texts,), those that may be found.
        """
        each = list(dict.fromkeys(words))
        found, scores = self._likely(each, k, among) or self._scored(each, among)
        if len(found) > k:
            high = scores >= _largest(scores, k)
            found, scores = found[high], scores[high]
        best = np.argsort(-scores, kind="stable")[:k]
        return found[best], scores[best]

    def _scored(self, words: Sequence[str], among: npt.NDArray[np.bool_] | None) -> tuple[Rows, Scores]:
        """All texts that hold a word and may be found, ascending, and their scores."""
        entries = [self._entries(word) for word in words]
        rows = np.concatenate([np.empty(0, np.int32), *(texts for texts, _ in entries)])
        counts = np.concatenate([np.empty(0, np.int32), *(often for _, often in entries)])
        rarity = np.array([self._rarity(word) for word in words])
        gains = self._gains(np.repeat(rarity, [self.holders(word) for word in words]), rows, counts)
        found, scores = _summed(rows, gains, len(self.alive))
        return (found, scores) if among is None else (found[among[found]], scores[among[found]])

    def _likely(self, words: Sequence[str], k: int, among: npt.NDArray[np.bool_] | None) -> tuple[Rows, Scores] | None:
        """As `_scored`, of those texts alone that can be among the k best, where rare words tell them: whoever holds
        none of these scores less, even with all the frequent ones. None where they do not tell.

        Source: Turtle and Flood, Query Evaluation: Strategies and Optimizations (1995), MaxScore.
        """
        rarest = sorted(words, key=self.holders)
        few = int(np.searchsorted(np.cumsum([self.holders(word) for word in rarest]), len(self.alive) // FEW))
        if not 0 < few < len(words):
            return None
        found, least = self._scored(rarest[:few], among)
        most = sum(map(self._rarity, rarest[few:])) * (K1 + 1) * (1 + 1e-9)  # and rounding
        if len(found) < k or (bar := _largest(least, k)) <= most:
            return None
        found = found[least + most >= bar]
        return found, self.scores(words, found)  # in the order of `_scored`: sums are the same to the bit

    def _gains(self, rarity: float | Scores, rows: npt.NDArray[Any], counts: npt.NDArray[Any]) -> Scores:
        """What words of a rarity add to the scores of texts that hold them so often."""
        return rarity * counts * (K1 + 1) / (counts + self._damping(self._lengths[rows]))

    def _damping(self, lengths: npt.NDArray[Any] | int) -> Any:
        """How much a text loses by its length."""
        return K1 * (1 - B + B * lengths / max(self._mean, 1e-9))

    def _gains_of(self, word: str, rows: Rows) -> Scores:
        """What a word adds to the scores of some texts; 0 where they do not hold it."""
        texts, counts = self._held(word)
        at = np.minimum(np.searchsorted(texts, rows), len(texts) - 1)
        if not len(texts):
            return np.zeros(len(rows))
        return np.where(texts[at] == rows, self._gains(self._rarity(word), rows, counts[at]), 0.0)

    def scores(self, words: Iterable[str], rows: Rows) -> Scores:
        """Of some texts, 0 where they hold none of the words.

        >>> texts = Bm25([part_of(["a red fox", "a car"])])
        >>> texts.scores(["fox"], np.array([1, 0])).round(2).tolist() == [0.0, texts.search(["fox"])[1].round(2)[0]]
        True
        """
        found = np.zeros(len(rows))
        for word in dict.fromkeys(words):
            found += self._gains_of(word, rows)
        return found

    def coverage(self, words: Iterable[str], rows: Rows) -> Scores:
        """How much of the words some texts hold, each counted by its rarity: 1 for all, 0 for none.

        >>> texts = Bm25([part_of(["a red fox, a very red one", "a car"])])
        >>> texts.coverage(["red", "fox"], np.array([0, 1])).tolist()
        [1.0, 0.0]
        """
        each = list(dict.fromkeys(words))
        found, rarity = np.zeros(len(rows)), [self._rarity(word) for word in each]
        for word, counts in zip(each, rarity, strict=True):
            found += counts * np.isin(rows, self._held(word)[0])
        return found / (sum(rarity) or 1.0)

    def most(self, words: Iterable[str]) -> float:
        """The score of a text that holds each of these words once and no other."""
        each = list(dict.fromkeys(words))
        return float(sum(map(self._rarity, each)) * (K1 + 1) / (1 + self._damping(len(each))))

    def _rarity(self, word: str) -> float:
        """How much a word counts."""
        holders = self.holders(word)
        return float(np.log1p((self.count - holders + 0.5) / (holders + 0.5)))

    def holders(self, word: str) -> int:
        """How many texts hold a word, in one number or the other; counted once, as a search asks for it ten times."""
        if (known := self._counted.get(word)) is None:
            known = len(self._entries(word)[0])
            if known:  # there are as many words as anybody types that no text holds
                self._counted[word] = known
        return known

    def _entries(self, word: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The texts that are there and hold a word, and how often; in its other number it counts `OTHER`."""
        rows, counts = self._held(word)
        if self.count == len(self.alive):
            return rows, counts
        there = self.alive[rows]
        return rows[there], counts[there]

    def _held(self, word: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """The texts that hold a word, be they there or not, and how often; in its other number it counts `OTHER`."""
        forms = self._forms(word)
        if not forms or forms == [word]:
            return self._written(word)
        if (known := self._both.get(word)) is None:
            known = self._in_forms(word, forms)
            if sum(len(rows) for rows, _ in self._both.values()) > len(self.alive):  # as much memory as two words take
                self._both.clear()
            self._both[word] = known
        return known

    def _in_forms(self, word: str, forms: Sequence[str]) -> tuple[Rows, Scores]:
        """As `_held`, of these forms of a word: to join frequent ones takes longer than to search for them."""
        each = [self._written(form) for form in forms]
        counts = [often * (1.0 if form == word else OTHER) for form, (_, often) in zip(forms, each, strict=True)]
        rows = np.concatenate([texts for texts, _ in each])
        held: tuple[Rows, Scores] = _summed(rows, np.concatenate(counts), len(self.alive))
        return held

    def _forms(self, word: str) -> list[str]:
        """In which numbers the texts hold a word."""
        if (known := self._spelt.get(word)) is None:
            held = (self._texts.at, {} if self._few is None else self._few.at)
            known = [form for form in numbers_of(word) if any(form in each for each in held)]
            if len(self._spelt) < SPELT:
                self._spelt[word] = known
        return known

    def _written(self, word: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """The texts that hold a word as it is written, be they there or not, and how often."""
        rows, counts = self._texts.entries(word)
        if self._few is None or word not in self._few.at:
            return rows, counts
        more, often = self._few.entries(word)
        return np.concatenate([rows, more + np.int32(len(self._texts.lengths))]), np.concatenate([counts, often])


def _largest(scores: Scores, k: int) -> float:
    """The k-th largest of at least k."""
    return -float(np.partition(-scores, k - 1)[k - 1])  # many are equal; numpy is slow with these at the other end


def _summed(rows: npt.NDArray[np.int64], gains: npt.NDArray[np.float64], of: int) -> tuple[Any, Any]:
    """The rows that occur, of so many, ascending, and the sum of each one's gains."""
    if len(rows) < of // FEW:  # sorting them is quicker than looking at every row
        order = np.argsort(rows, kind="stable")  # those of a word ascend already
        rows = rows[order]
        is_first = np.append(True, rows[1:] != rows[:-1])[: len(rows)]
        return rows[is_first], np.bincount(np.cumsum(is_first) - 1, gains[order])
    sums = np.bincount(rows, gains, minlength=of)
    found = np.flatnonzero(sums)
    return found, sums[found]
