"""Learn from held-out queries how likely the best hit fits.

A hit fits if it is of the query's kind: their labels, or the words of their texts, overlap by a third or more,
|A and B| / |A or B|, where a label or a word counts the more, the rarer it is: a common one alone does not make a kind,
and a specific one does, though each item has others beside it. Words count, since people who label seldom give all
labels: a text that says the same is of the same kind.

Each query searches twice: all of the index, and the index without its kind and all else that shares a label with it.
What is of its kind by less than a third goes, too: a flag among other countries' flags has an answer still. So nothing
fits in the second search. What tells the two apart is learnt by logistic regression.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from crossbit.data.types import PairedData
from crossbit.index.filters import TIME_LIMIT_MS
from crossbit.model import Model
from crossbit.model.collapse import true_labels
from crossbit.search.build import encoder_of
from crossbit.search.evidence import ALIKE, NAMES, beside_of, evidence
from crossbit.search.fits import ALIKE_PICTURES, Fits, Scale
from crossbit.search.items import ids_of
from crossbit.search.opened import OpenIndex
from crossbit.search.query import Query
from crossbit.storage.words import words_of

QUERIES, FEWEST = 300, 50  # that are searched for, at most; and that must have a kind in the index
COMMON = 0.5  # share of the items from which a label relates none of them: without all that have it, few are left
KEPT = 100_000  # items that are held in memory meanwhile, at most

LIMITS: dict[str, Any] = {"rerank": True, "where": None, "time_limit_ms": TIME_LIMIT_MS}

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tried:
    """What searches of held-out queries showed, a row for each search.

    Attributes:
        modality, ways: what was searched, and how.
        evidence: (n, 9).
        fits: bool (n,), whether the best hit is of the query's kind.
        near: bool (n,), whether a hit that was looked at is.
        answerable: bool (n,), whether the index had its kind; otherwise nothing that shares a label with it.
        query: (n,) which query.
    """

    modality: str
    ways: tuple[str, ...]
    evidence: Array
    fits: npt.NDArray[np.bool_]
    near: npt.NDArray[np.bool_]
    answerable: npt.NDArray[np.bool_]
    query: npt.NDArray[np.int64]


def calibrate(model: Model, data: PairedData, folder: Path, rows: np.ndarray | None = None) -> Fits:
    """The scales of an index of the run's own data.

    Args:
        model: the run's.
        data: the run's; its database is what the index holds.
        folder: the index's.
        rows: queries to learn from, those of the data if None; see `try_out`.

    Returns:
        Without a scale where there are no labels, or fewer than 50 queries whose kind the index holds.
    """
    scales, queries, labels = {}, data.splits["query"] if rows is None else rows, label_weights(data)
    for name, kind, own in (
        ("words", "words", False),
        ("pictures", "pictures", False),
        (ALIKE_PICTURES, "pictures", True),
    ):
        found = try_out(model, data, folder, kind, queries, labels, own=own)
        if found is not None and found.answerable.sum() >= FEWEST and found.fits.any():
            scales[name] = learn(found)
    return Fits(encoder_of(model)["hash"], len(data.splits["retrieval"]), scales, labels)


def try_out(
    model: Model,
    data: PairedData,
    folder: Path,
    kind: str,
    rows: np.ndarray,
    weights: Mapping[str, float],
    *,
    own: bool = False,
    alone: bool = False,
) -> Tried | None:
    """Search for held-out rows in an index, and in it without their kind and what shares a label with them.

    Args:
        model, data, folder: as for `calibrate`.
        kind: of the queries, "words" or "pictures".
        rows: of the queries; those that are `varied` are taken.
        weights: of labels.
        own: search what the queries are of, as a picture searches the pictures; the other modality if False.
        alone: the second search is without their kind alone; what shares a label with them beyond that stays.

    Returns:
        None where no such query is possible, more than one index is searched, or there are no labels.
    """
    given = [name for name, featuriser in model.featurisers.items() if featuriser.reads == kind]
    sought = given[:1] if own else [name for name in model.modalities if name not in given[:1]]
    labels = true_labels(data, np.arange(data.n))
    if not given or len(sought) != 1 or not {given[0], sought[0]} <= labels.keys():
        return None
    database, found, words = np.sort(data.splits["retrieval"]), [], said(data)
    ids, kinds = ids_of(data, database), Kinds(labels[sought[0]][database])
    saying, encoder = Kinds(words[database]), encoder_of(model)
    with (
        closing(OpenIndex(str(folder), sought[0], encoder, model.bits)) as index,
        closing(OpenIndex(str(folder), beside_of(model, sought[0]), encoder, model.bits)) as beside,
    ):
        if index.size <= KEPT:
            index.keep_items()
        ways: tuple[str, ...] = ("codes", "pictures")
        if own:
            ways = ("codes",)
        elif kind == "words":
            ways = ("codes", "words") if len(index.captions) else ("codes",)
        for row, query in _queries(model, data, given[0], varied(data, given[0], rows)):
            alike = ids[kinds.of(labels[given[0]][row]) | saying.of(words[[row]].toarray()[0])]
            gone = alike if alone else np.union1d(alike, ids[kinds.related(labels[given[0]][row])])
            for without in (None, gone) if len(alike) else ():
                here = index.search(query, 1, ways, **LIMITS, without=without, own=beside)
                if here.seen is not None:
                    of_kind = np.isin(here.seen.ids, alike)
                    shown = evidence(here.seen, beside.likeness(query, here.seen.ids), weights)
                    found.append((shown, bool(of_kind[0]), bool(of_kind.any()), without is None, row))
    return _tried(found, sought[0], ways)


def _tried(found: list[tuple[Array, bool, bool, bool, int]], modality: str, ways: tuple[str, ...]) -> Tried:
    shown, *told, query = zip(*found, strict=True) if found else ((), (), (), (), ())
    fits, near, answerable = (np.array(each, bool) for each in told)
    rows = np.array(shown).reshape(-1, len(NAMES))
    return Tried(modality, ways, rows, fits, near, answerable, np.array(query, np.int64))


def learn(tried: Tried) -> Scale:
    """The scale of what was tried."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaled, fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(tried.evidence, tried.fits)
    weights = fitted.coef_[0] / scaled.scale_
    return Scale(
        tried.modality,
        tried.ways,
        weights.tolist(),
        float(fitted.intercept_[0] - weights @ scaled.mean_),
        len(np.unique(tried.query)),
    )


class Kinds:
    """Which items are of a query's kind, by their labels: 0/1 (n, classes), sparse or not, or classes (n,).

    Of several labels each counts -log of the share of items that have it.

    >>> labels = np.array([[1, 0, 1], [1, 1, 0], [1, 1, 0], [0, 1, 0]])
    >>> Kinds(labels).of(np.array([1, 0, 1])).tolist(), Kinds(np.array([3, 7])).of(7).tolist()
    ([True, False, False, False], [False, True])
    >>> Kinds(np.eye(4)[:, [0, 1, 1, 2]]).related(np.array([1, 1, 0, 0])).tolist()
    [True, True, False, False]
    """

    def __init__(self, labels: np.ndarray) -> None:
        self.labels, self.weights = labels, np.ones(1)
        if labels.ndim == 2:
            share = np.asarray(labels.mean(axis=0)).ravel()
            self.weights = -np.log(np.maximum(share, 1 / labels.shape[0]))
            self.telling = np.round(share, 9) < COMMON  # a sparse mean is not exact
            self.labels = sparse.csr_array(labels.astype(np.float64) * self.weights)

    def of(self, label: Any) -> npt.NDArray[np.bool_]:
        """Bool (n,)."""
        if self.labels.ndim == 1:
            return np.asarray(self.labels == label)
        both = self.labels @ np.asarray(label, np.float64)
        either = self.labels.sum(axis=1) + self.weights @ label - both
        return np.asarray((both > 0) & (both >= ALIKE * either))

    def related(self, label: Any) -> npt.NDArray[np.bool_]:
        """Bool (n,): those that share a label which fewer than half of the items have."""
        if self.labels.ndim == 1:
            return self.of(label)
        return np.asarray(self.labels @ (np.asarray(label, np.float64) * self.telling) > 0)


def _queries(model: Model, data: PairedData, given: str, rows: np.ndarray) -> Iterator[tuple[int, Query]]:
    """Rows as queries, encoded together; without those that the model knows nothing of."""
    featuriser, content = model.featurisers[given], data[given][rows]
    embeddings = model.ordering(given, content)
    for at, row in enumerate(rows.tolist()):
        words = frozenset(words_of(str(content[at]))) if featuriser.reads == "words" else frozenset()
        if featuriser.reads != "words" or featuriser.knows(str(content[at])):
            yield row, Query("", embeddings[at], frozenset([given]), words)


def label_weights(data: PairedData) -> dict[str, float]:
    """How much each label counts, by its name in the items; all alike where each row has one."""
    if data.label is None or data.label.ndim == 1:
        return {}
    names = data.label_names or [str(number) for number in range(data.classes)]
    return dict(zip(names, Kinds(data.label[data.splits["retrieval"]]).weights.tolist(), strict=True))


def said(data: PairedData) -> sparse.csr_array:
    """Which words each row says, 0/1 (n, words); no words where no modality has any."""
    texts = next((array for name, array in data.modalities.items() if data.kind(name) == "words"), None)
    held = [frozenset[str]()] * data.n if texts is None else [frozenset(words_of(str(text))) for text in texts]
    numbers: dict[str, int] = {}
    columns = [numbers.setdefault(word, len(numbers)) for words in held for word in words]
    starts = np.cumsum([0, *map(len, held)])
    return sparse.csr_array((np.ones(len(columns)), columns, starts), shape=(data.n, len(numbers)))


def varied(data: PairedData, given: str, rows: np.ndarray) -> np.ndarray:
    """Of rows of queries 300 at most: one of each text, or of each group of pictures, before a second of any."""
    rows = np.sort(rows)
    things = data[given] if data.kind(given) == "words" else data.group
    _, group = np.unique(rows if things is None else things[rows], return_inverse=True)
    order = np.argsort(group, kind="stable")
    nth = np.empty(len(rows), np.int64)
    nth[order] = np.arange(len(rows)) - np.searchsorted(group[order], group[order])
    enough = np.sort(nth)[:QUERIES][-1:]
    rows = rows[nth <= enough]
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), QUERIES)).astype(int)]
