"""Learn from held-out queries how likely the best hit fits.

Each query searches twice: all of the index, and the index without its kind. Its kind is every item whose labels overlap
with its own by a third or more, |A and B| / |A or B|, where a label counts the more, the rarer it is: a common label
alone does not make a kind, and one specific label does, though each item has others beside it.

A hit fits if it is of the query's kind, so that nothing fits in the second search. What tells the two apart is learnt
by logistic regression, and made a probability by isotonic regression on queries that the regression has not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from crossbit.search.evidence import NAMES
from crossbit.search.fits import Fits, Scale
from crossbit.search.items import ids_of
from crossbit.search.opened import OpenIndex
from crossbit.search.query import Query
from crossbit.storage.words import words_of

ALIKE = 1 / 3  # the overlap of labels from which an item is of the query's kind
QUERIES, FEWEST = 300, 50  # that are searched for, at most; and that must have a kind in the index
KEPT = 100_000  # items that are held in memory meanwhile, at most
FOLDS = 5
CERTAIN = 0.01  # nothing is more likely than 1 less this, or less likely

LIMITS: dict[str, Any] = {"rerank": True, "where": None, "time_limit_ms": TIME_LIMIT_MS}

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tried:
    """What searches of held-out queries showed, a row for each search.

    Attributes:
        modality, ways: what was searched, and how.
        evidence: (n, 7).
        fits: bool (n,), whether the best hit is of the query's kind.
        answerable: bool (n,), whether the index had its kind.
        query: (n,) which query.
    """

    modality: str
    ways: tuple[str, ...]
    evidence: Array
    fits: npt.NDArray[np.bool_]
    answerable: npt.NDArray[np.bool_]
    query: npt.NDArray[np.int64]


def calibrate(model: Model, data: PairedData, folder: Path, rows: np.ndarray | None = None) -> Fits:
    """The scales of an index of the run's own data.

    Args:
        model: the run's.
        data: the run's; its database is what the index holds.
        folder: the index's.
        rows: queries to learn from, those of the data if None. Of many, 300 are taken in even steps.

    Returns:
        Without a scale where there are no labels, or fewer than 50 queries whose kind the index holds.
    """
    scales, queries = {}, data.splits["query"] if rows is None else rows
    for kind in ("words", "pictures"):
        found = try_out(model, data, folder, kind, queries)
        if found is not None and found.answerable.sum() >= FEWEST and found.fits.any():
            scales[kind] = learn(found)
    return Fits(encoder_of(model)["hash"], len(data.splits["retrieval"]), scales)


def try_out(model: Model, data: PairedData, folder: Path, kind: str, rows: np.ndarray) -> Tried | None:
    """Search for held-out rows in an index, and in it without their kind.

    Args:
        model, data, folder: as for `calibrate`.
        kind: of the queries, "words" or "pictures".
        rows: of the queries; of many, 300 are taken in even steps.

    Returns:
        None where no such query is possible, more than one index is searched, or there are no labels.
    """
    given = [name for name, featuriser in model.featurisers.items() if featuriser.reads == kind]
    sought = [name for name in model.modalities if name not in given[:1]]
    labels = true_labels(data, np.arange(data.n))
    if not given or len(sought) != 1 or not {given[0], sought[0]} <= labels.keys():
        return None
    database, found = np.sort(data.splits["retrieval"]), []
    ids, kinds = ids_of(data, database), Kinds(labels[sought[0]][database])
    with closing(OpenIndex(folder, sought[0], encoder_of(model), model.bits)) as index:
        if index.size <= KEPT:
            index.keep_items()
        ways = ("codes", "captions") if kind == "words" and len(index.captions) else ("codes",)
        for row, query in _queries(model, data, given[0], _some(rows)):
            own = ids[kinds.of(labels[given[0]][row])]
            for without in (None, own) if len(own) else ():
                here = index.search(query, 1, ways, **LIMITS, without=without)
                if here.evidence is not None:
                    found.append((here.evidence, here.hits[0].id in own, without is None, row))
    return _tried(found, sought[0], ways)


def _tried(found: list[tuple[Array, bool, bool, int]], modality: str, ways: tuple[str, ...]) -> Tried:
    evidence, fits, answerable, query = zip(*found, strict=True) if found else ((), (), (), ())
    shown = np.array(evidence).reshape(-1, len(NAMES))
    return Tried(modality, ways, shown, np.array(fits, bool), np.array(answerable, bool), np.array(query, np.int64))


def learn(tried: Tried) -> Scale:
    """The scale of what was tried."""
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression, apart = make_pipeline(StandardScaler(), LogisticRegression()), GroupKFold(FOLDS)
    told = {"groups": tried.query, "cv": apart, "method": "decision_function"}
    unseen = cross_val_predict(regression, tried.evidence, tried.fits, **told)
    stair = IsotonicRegression(y_min=CERTAIN, y_max=1 - CERTAIN, out_of_bounds="clip").fit(unseen, tried.fits)
    scaled, fitted = regression.fit(tried.evidence, tried.fits)
    weights = fitted.coef_[0] / scaled.scale_
    return Scale(
        tried.modality,
        tried.ways,
        weights.tolist(),
        float(fitted.intercept_[0] - weights @ scaled.mean_),
        stair.X_thresholds_.tolist(),
        stair.y_thresholds_.tolist(),
        len(np.unique(tried.query)),
    )


class Kinds:
    """Which items are of a query's kind, by their labels: 0/1 (n, classes), or classes (n,).

    Of several labels each counts -log of the share of items that have it.

    >>> labels = np.array([[1, 0, 1], [1, 1, 0], [1, 1, 0], [0, 1, 0]])
    >>> Kinds(labels).of(np.array([1, 0, 1])).tolist(), Kinds(np.array([3, 7])).of(7).tolist()
    ([True, False, False, False], [False, True])
    """

    def __init__(self, labels: np.ndarray) -> None:
        self.labels, self.weights = labels, np.ones(1)
        if labels.ndim == 2:
            self.weights = -np.log(np.maximum(labels.mean(axis=0), 1 / len(labels)))
            self.labels = sparse.csr_array(labels.astype(np.float64) * self.weights)

    def of(self, label: Any) -> npt.NDArray[np.bool_]:
        """Bool (n,)."""
        if self.labels.ndim == 1:
            return np.asarray(self.labels == label)
        both = self.labels @ np.asarray(label, np.float64)
        either = self.labels.sum(axis=1) + self.weights @ label - both
        return np.asarray((both > 0) & (both >= ALIKE * either))


def _queries(model: Model, data: PairedData, given: str, rows: np.ndarray) -> Iterator[tuple[int, Query]]:
    """Rows as queries, encoded together; without those that the model knows nothing of."""
    featuriser, content = model.featurisers[given], data[given][rows]
    embeddings = model.ordering(given, content)
    for at, row in enumerate(rows.tolist()):
        words = frozenset(words_of(str(content[at]))) if featuriser.reads == "words" else frozenset()
        if featuriser.reads != "words" or featuriser.knows(str(content[at])):
            yield row, Query("", embeddings[at], frozenset([given]), words)


def _some(rows: np.ndarray) -> np.ndarray:
    rows = np.sort(rows)
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), QUERIES)).astype(int)]
