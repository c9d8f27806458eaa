"""Texts to vectors with nothing downloaded: tf-idf over words and over character n-grams, side by side.

Frequent words and pieces have a column each; rare words stand for the texts that hold them (`company`). All are of the
texts' normal form (`crossbit.storage.words`), so that a text means the same however it is encoded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import chain
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from crossbit.errors import UserError
from crossbit.features.base import Featuriser, State
from crossbit.features.company import Company
from crossbit.features.tfidf import Tfidf, pieces_of
from crossbit.storage.nearest import nearest
from crossbit.storage.words import normal_form, numbers_of, words_of

Texts = Sequence[str] | NDArray[np.str_]

PARTS: dict[str, Callable[[str], list[str]]] = {  # words for meaning, pieces of them for misspelt and unseen ones
    "words": words_of,
    "pieces": lambda text: pieces_of(normal_form(text)),
}
LIMITS = {"words": 1500, "pieces": 450}  # columns at most, the most frequent first
RARE = 0.002  # a word or piece in a smaller share of the texts, or in one text only, has no column
RARE_WORDS = 50_000  # words without a column that are kept, the most frequent first
NAMED = 5  # unknown words of a query that are named, at most


class WordsFeaturiser(Featuriser):
    """Two tf-idf parts, each row of length 1 (0 where nothing is known), joined.

    A rare word, which has no column, brings the mean row of the texts that hold it.

    Args:
        vocabularies: per part, its words or pieces in column order.
        tensors: per part, `<part>_idf` (columns,).
        company: the rare words; None where there are none.

    >>> texts = ["a red fox", "a red car", "the old car", "the old fox"]
    >>> featuriser = WordsFeaturiser.fit(texts)
    >>> featuriser.knows("foxes"), featuriser.knows("zebu")
    (True, False)
    >>> featuriser.check_query("old fix")
    ["'fix' is not a word that this model knows; nearest: fox"]
    """

    name = "words"
    reads = "words"

    def __init__(
        self,
        vocabularies: dict[str, list[str]],
        tensors: dict[str, NDArray[np.float32]],
        company: Company | None = None,
    ) -> None:
        self.vocabularies = vocabularies
        self.parts = {
            part: Tfidf(vocabulary, tensors[f"{part}_idf"], PARTS[part]) for part, vocabulary in vocabularies.items()
        }
        self.company = company

    @classmethod
    def fit(cls, rows: Texts, *, seed: int = 0) -> Self:
        """Choose the vocabulary and its weights from texts (n,); nothing is random, `seed` is not used.

        Raises:
            UserError: no word occurs in two texts.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer  # here: a search from the shell does without

        texts, least = as_texts(rows), max(2, round(RARE * len(rows)))
        vocabularies, tensors = {}, {}
        for part, limit in LIMITS.items():
            try:
                chosen = TfidfVectorizer(analyzer=PARTS[part], min_df=least, max_features=limit).fit(texts)
            except ValueError:  # nothing is frequent enough
                continue
            vocabularies[part] = chosen.get_feature_names_out().tolist()
            tensors[f"{part}_idf"] = chosen.idf_.astype(np.float32)
        if not vocabularies:
            raise UserError(f"no word occurs in {least} of the {len(texts)} texts; give more texts, or vectors")
        made = cls(vocabularies, tensors)
        if rare := _rare_words(texts, vocabularies.get("words", [])):
            made.company = Company.fit(texts, rare, made._known(texts))
        return made

    @property
    def dim(self) -> int:
        """Numbers per text."""
        return sum(map(len, self.vocabularies.values()))

    def transform(self, rows: Texts) -> NDArray[np.float32]:
        """Texts (n,) to float32 (n, dim).

        Raises:
            UserError: `rows` does not hold texts.
        """
        texts = as_texts(rows)
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        made = self._dense(texts)
        if company := self.company:
            words = [set(words_of(text)) for text in texts]
            some = np.flatnonzero([any(word in company for word in each) for each in words])
            frequent = np.array([self._frequent(words[row], company) for row in some], dtype=np.int64)
            made[some] = self._scaled(company.blended(made[some], [texts[row] for row in some], frequent))
        return made

    def _known(self, texts: list[str]) -> sparse.csr_array:
        """Rows (n, dim) of the frequent words and pieces."""
        return sparse.csr_array(sparse.hstack([tfidf.transform(texts) for tfidf in self.parts.values()]))

    def _dense(self, texts: list[str]) -> NDArray[np.float32]:
        """The same, dense; for one text, joining sparse rows takes longer than all the rest."""
        made, first = np.zeros((len(texts), self.dim), np.float32), 0
        for tfidf in self.parts.values():
            part = tfidf.transform(texts)
            made[np.repeat(np.arange(len(texts)), np.diff(part.indptr)), first + part.indices] = part.data
            first += part.shape[1]
        return made

    def _frequent(self, words: set[str], company: Company) -> int:
        """How many of a text's words have a column; a character of a rare pair counts with its pair only."""
        split = [words_of(word, pairs=False) for word in words if not word.isascii() and word in company]
        paired = {character for characters in split if len(characters) > 1 for character in characters}
        return sum(word in self.parts["words"].columns for word in words - paired) if "words" in self.parts else 0

    def _scaled(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows with each part of length 1, or 0; squares are added in the order of the columns."""
        ends = np.cumsum([len(vocabulary) for vocabulary in self.vocabularies.values()])
        return np.hstack([_unit_rows(part) for part in np.split(rows, ends[:-1], axis=1)])

    def knows(self, row: str) -> bool:
        """Whether a text holds any known word or piece; without one its vector is 0 and a search would be arbitrary."""
        words = self.company or ()
        return any(part.knows(row) for part in self.parts.values()) or any(word in words for word in words_of(row))

    def _has(self, word: str) -> bool:
        """Whether a whole word is known."""
        frequent = self.parts["words"].columns if "words" in self.parts else ()
        return word in frequent or (self.company is not None and word in self.company)

    def as_known(self, row: str) -> str:
        """A text in normal form with each unknown word of which the other number is known in that one; as it is where
        there is none."""
        text = normal_form(row)
        for word in dict.fromkeys(words_of(row, pairs=False)):
            if not self._has(word) and (other := next(filter(self._has, numbers_of(word)), None)):
                text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", other, text)
        return row if text == normal_form(row) else text

    def check_query(self, row: str, found: Collection[str] = ()) -> list[str]:
        """A line for each unknown word that is not `found` otherwise, with the nearest known ones; one for all without.

        Raises:
            UserError: an empty text, or one of which no word or piece of a word is known.
        """
        if not row.strip():
            raise UserError('the text is empty; give words, such as "red fox"')
        known = self.vocabularies.get("words", []) + (self.company.words if self.company else [])
        columns = {*known, *found}
        unknown = [word for word in dict.fromkeys(words_of(row, pairs=False)) if word not in columns]
        near = {word: nearest(word, known) for word in unknown[:NAMED]}
        if not self.knows(row):
            alike = ", ".join(dict.fromkeys(chain(*near.values())))
            advice = f"nearest: {alike}" if alike else "try other words"
            raise UserError(f"this model knows no word of {row!r:.60}; {advice}")
        lines = [
            f"{word!r} is not a word that this model knows; nearest: {', '.join(alike)}"
            for word, alike in near.items()
            if alike
        ]
        if strange := [repr(word) for word, alike in near.items() if not alike]:
            are = "is not a word" if len(strange) == 1 else "are not words"
            lines.append(f"{', '.join(strange)} {are} that this model knows")
        more = len(unknown) - len(near)
        return [*lines, f"{more} further words are not known either"] if more else lines

    def state(self) -> State:
        config: dict[str, Any] = {"name": self.name, "vocabularies": self.vocabularies}
        tensors = {f"{part}_idf": tfidf.weights for part, tfidf in self.parts.items()}
        if self.company:
            config["rare"] = self.company.words
            means = self.company.means
            tensors |= {"rare_data": means.data, "rare_indices": means.indices, "rare_indptr": means.indptr}
        return config, tensors

    @classmethod
    def from_state(cls, config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Self:
        made = cls(config["vocabularies"], tensors)
        if rare := config.get("rare"):
            arrays = tensors["rare_data"], tensors["rare_indices"], tensors["rare_indptr"]
            made.company = Company(rare, sparse.csr_array(arrays, (len(rare), made.dim)))
        return made


def _unit_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    some, columns = np.nonzero(rows)
    sizes = np.sqrt(np.bincount(some, rows[some, columns] ** 2, len(rows)))
    return np.asarray(rows / np.where(sizes == 0, 1, sizes)[:, None])


def _rare_words(texts: list[str], known: list[str]) -> list[str]:
    """The words that have no column, the most frequent first."""
    counts = Counter(chain.from_iterable(words_of(text) for text in texts))
    columns = set(known)
    ordered = sorted((-count, word) for word, count in counts.items() if word not in columns)
    return [word for _, word in ordered[:RARE_WORDS]]


def as_texts(x: Texts) -> list[str]:
    """Texts as a list, or UserError: one text alone and other types are refused."""
    if isinstance(x, str):
        raise UserError(f"texts must be a list or an array of strings, not one string {x!r:.60}")
    texts = x.tolist() if isinstance(x, np.ndarray) else list(x)
    for text in texts:
        if not isinstance(text, str):
            raise UserError(f"texts must be strings, not {type(text).__name__} {text!r:.60}")
    return texts
