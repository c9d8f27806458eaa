"""Whether new rows look unlike those that were there before, so that a new training would pay."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from crossbit.data.types import PairedData
from crossbit.model import Model
from crossbit.storage.words import words_of

NEW, OLD = 1000, 500  # rows looked at, at most: the work does not grow with the collection
ORDINARY = 0.99  # the share of old rows that are no farther from other old rows than the limit
MUCH = 0.2  # the share of rows beyond it, or of unknown words, that is told
FEWEST = 10  # rows of which anything is said


def unlike(model: Model, data: PairedData, new: np.ndarray, old: np.ndarray) -> list[str]:
    """A sentence for each modality in which new rows look unlike old ones; none where there are too few to tell.

    Vectors and pictures: the share of new rows farther from their nearest of 500 old rows than 99 % of other old rows
    are, by their features. Words: the share of words that the model does not know.
    """
    if len(new) < FEWEST or len(old) < 2 * FEWEST:
        return []
    lines = []
    for modality, featuriser in model.featurisers.items():
        if featuriser.reads == "words":
            share = unknown_words(featuriser, data[modality][_some(new, NEW)])
            if share > MUCH:
                lines.append(f"{modality}: {share:.0%} of the words of new rows are not known to the model")
        elif (share := far_rows(featuriser, data[modality], new, old)) > MUCH:
            lines.append(f"{modality}: {share:.0%} of the new rows are farther from old rows than 99 % of these are")
    return lines


def unknown_words(featuriser: object, texts: np.ndarray) -> float:
    """The share of the words of texts that have no column; 0 where the featuriser keeps no vocabulary."""
    known = set(getattr(featuriser, "vocabularies", {}).get("words", []))
    words = [word for text in texts for word in words_of(str(text), pairs=False)] if known else []
    return sum(word not in known for word in words) / max(len(words), 1)


def far_rows(featuriser: object, rows: object, new: np.ndarray, old: np.ndarray) -> float:
    """The share of new rows that are farther from old ones than old ones mostly are from one another."""
    seen = _some(old, 2 * OLD)
    reference, others, given = (
        featuriser.transform(rows[some]).reshape(len(some), -1)  # type: ignore[attr-defined, index]
        for some in (seen[::2], seen[1::2], _some(new, NEW))
    )
    limit = np.quantile(cdist(others, reference).min(axis=1), ORDINARY)
    return float((cdist(given, reference).min(axis=1) > limit).mean())


def _some(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many rows, in even steps."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int)]
