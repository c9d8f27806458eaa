"""Lists of labels that hold together: what a row's other labels say about a change that is proposed.

A posterior takes the labels of a row for independent of one another. So a list of rare labels that nothing near has
looks as if it were drawn at random, though its labels stand together elsewhere, too. And a class that is hard to
predict looks as if another one were labelled so. Here each is asked what the lists of other rows say.

* A list is as likely among the lists that people give, or as likely among lists that are drawn at random: labels by
  their frequency, times the mean over all trees of how much more often than by chance their pairs occur, against
  classes that are all alike. How many lists are random at all follows from the rows that look so.
* Of two classes that are taken for one another, the rest of the lists must go with the truth that is proposed, over
  all rows for which it is.

Shapes: n rows, c classes, k labels of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from crossbit.posterior.noise import NoiseModel

WORTH = 0.1  # probability from which a row is worth a look, and has its reason told
PRIOR = 0.1  # pairs of labels, beside those that occur: twice together says something, and never says little
FEW_RANDOM = 0.01  # share of rows with a random list below which there are none: weak features alone can feign it
MOST = 0.95  # probability that a list is right though nothing near has it: some doubt is left, less than `WORTH`
SPEAKS = np.log(10)  # how much the rest of the lists must speak for a confusion, over all of its rows
ROUNDS = 200  # of fitting a share, at most
LARGE = 60.0  # of a logarithm
KEPT = 100_000  # answers


class Lists:
    """The labels that rows were given, with what stands together in them. A row's family does not count for it.

    >>> given = np.zeros((40, 20), bool)
    >>> given[:10, :3] = given[10, [0, 7, 15]] = True  # ten lists of three, and one of labels that nothing joins
    >>> given[np.arange(11, 40), np.arange(29) % 17 + 3] = True
    >>> lists = Lists(given, np.arange(40))
    >>> bool(lists.likelier(0, np.array([0, 1, 2])) > 5), bool(lists.likelier(10, np.array([0, 7, 15])) < 1)
    (True, True)
    """

    def __init__(self, given: np.ndarray, family: np.ndarray) -> None:
        """Of given (n, c) bool and family (n,) by number."""
        self._of_label = np.ascontiguousarray(given.T)
        self._rows, self._all = int(given.any(1).sum()), int(given.sum())
        self._order = np.argsort(family, kind="stable")
        self._family, self._sorted = family, family[self._order]
        self._likelier = lru_cache(KEPT)(self._likelier_of)  # a decision changes one row, and asks about all again
        self._speaks = lru_cache(KEPT)(self._speaks_of)

    def likelier(self, row: int, labels: np.ndarray) -> float:
        """Log of how much likelier labels (k,) are among the lists of others than among as many drawn at random."""
        return self._likelier(row, tuple(labels.tolist()))

    def speaks(self, row: int, rest: np.ndarray, truth: int, label: int) -> float:
        """How much the rest of a row's labels (k,) speaks for the truth, and not for the label, as a logarithm."""
        return self._speaks(row, tuple(rest.tolist()), truth, label)

    def _likelier_of(self, row: int, labels: tuple[int, ...]) -> float:
        both, _ = self._counts(row, labels)
        classes = len(self._of_label)
        frequent = np.log(classes * (both.diagonal() + 1) / (self._all + classes)).sum()
        return float(frequent + _mean_of_trees(self._together(row, labels)))

    def _speaks_of(self, row: int, rest: tuple[int, ...], truth: int, label: int) -> float:
        ratio = self._together(row, (*rest, truth, label))[-2:, : len(rest)].mean(1)
        return float(np.log(ratio[0] / ratio[1]))

    def _together(self, row: int, labels: tuple[int, ...]) -> np.ndarray:
        """How much more often labels (k,) occur in pairs than by chance, (k, k), in other rows than this."""
        both, rows = self._counts(row, labels)
        chance = np.outer(both.diagonal(), both.diagonal()) / max(1, rows)
        return np.asarray((both + PRIOR) / (chance + PRIOR))

    def _counts(self, row: int, labels: tuple[int, ...]) -> tuple[np.ndarray, int]:
        """How many rows have both of labels (k, k), and how many there are."""
        own = self._order[slice(*np.searchsorted(self._sorted, self._family[row] + np.array([0, 1])))]
        found = self._of_label[list(labels)].astype(np.float32)
        found[:, own] = 0
        return (found @ found.T).astype(np.float64), self._rows - len(own)


def _mean_of_trees(weights: np.ndarray) -> float:
    """Log of the mean over all trees of the product of their edges' weights (k, k), by Kirchhoff's theorem.

    >>> _mean_of_trees(np.array([[0.0, 2.0], [2.0, 0.0]])) == np.log(2)
    np.True_
    """
    k = len(weights)
    if k < 2:
        return 0.0
    laplacian = np.diag(weights.sum(1) - weights.diagonal()) - weights + np.diag(weights.diagonal())
    return float(np.linalg.slogdet(laplacian[1:, 1:])[1] - (k - 2) * np.log(k))


@dataclass(frozen=True)
class Belief:
    """What is left of a posterior's doubt.

    Attributes:
        right: (n,) probability that a row's list is right although nothing near has it: its labels stay as they are.
        row, label: (e,) labels that stay as they are: the rest of the lists speaks against what was proposed.
        corrupted, evidence: (n,), as those of a posterior.
        believed: (confusions,) bool, those that the rest of the lists speaks for.
    """

    right: np.ndarray
    row: np.ndarray
    label: np.ndarray
    corrupted: np.ndarray
    evidence: np.ndarray
    believed: np.ndarray

    def apply(self, p: np.ndarray, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Probabilities (q, c) of rows (q,), which are all different, from those of a posterior, and labels (q, c)."""
        some = np.flatnonzero(self.right[rows])
        p[some] += self.right[rows[some], None] * (y[some] - p[some])
        place = np.full(len(self.right), -1)
        place[rows] = np.arange(len(rows))
        at, label = place[self.row], self.label
        at, label = at[at >= 0], label[at >= 0]
        p[at, label] = y[at, label]
        return p


def believe(
    lists: Lists,
    y: np.ndarray,
    likely: Callable[[np.ndarray], np.ndarray],
    corrupted: np.ndarray,
    evidence: np.ndarray,
    noise: NoiseModel,
) -> Belief:
    """What is left of the doubt about rows with several labels.

    Args:
        lists: of what the rows were given.
        y: (n, c) bool, labels of now.
        likely: gives the posterior's probabilities (q, c) of rows (q,).
        corrupted, evidence: (n,), of the posterior.
        noise: its model.
    """
    rows = np.flatnonzero(np.nan_to_num(corrupted) >= WORTH)
    p, own = likely(rows), y[rows]
    judged = own if noise.shown is None else own & noise.shown.numpy()
    right = np.zeros(len(y))
    right[rows] = _right(lists, rows, p, judged, noise, len(y))
    row, label, believed = _unbelieved(lists, rows, p, own, noise)
    first = Belief(right, row, label, corrupted, evidence, believed)
    most = np.ones(len(y))  # a row whose confusion is not believed is no more in doubt than its other labels are
    again = np.unique(row)
    at = np.searchsorted(rows, again)
    most[again] = np.abs(first.apply(p[at], own[at], again) - own[at]).max(1, initial=0.0)
    left, less = corrupted.copy(), evidence.copy()
    touched = rows[(right[rows] > 0) | (most[rows] < 1)]
    ours, at_most, odds = right[touched], most[touched], evidence[touched]
    left[touched] = np.minimum(corrupted[touched] * (1 - ours), at_most)
    after = odds + _log(1 - ours) - np.logaddexp(0, _log(ours) + odds)
    less[touched] = np.minimum(after, np.where(at_most < 1, _log(at_most) - _log(1 - at_most), np.inf))
    return replace(first, corrupted=left, evidence=less)


def _right(lists: Lists, rows: np.ndarray, p: np.ndarray, y: np.ndarray, noise: NoiseModel, n: int) -> np.ndarray:
    """Probability (q,) that the lists y (q, c) are right although nothing near has them."""
    random = _random(p, y) if noise.shares.get("resample", 0.0) else np.zeros(len(y))
    found, asked = np.zeros(len(y)), np.flatnonzero(random > 0)
    if not len(asked):
        return found
    random = random[asked]
    log = [lists.likelier(int(rows[row]), np.flatnonzero(y[row])) for row in asked]
    likelier = np.exp(np.clip(log, -LARGE, LARGE))
    part = 0.5  # of the lists that look random, those that are
    for _ in range(ROUNDS):
        before, part = part, float((random * part / (part + (1 - part) * likelier)).sum() / random.sum())
        if abs(part - before) < 1e-9:
            break
    given, drawn = random * (1 - part) * likelier, random * part
    if (drawn / (given + drawn + 1 - random)).sum() < FEW_RANDOM * n:
        given, drawn = np.maximum(given + drawn, random), np.zeros(len(asked))
    found[asked] = MOST * given / (given + drawn + 1 - random)
    return found


def _random(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """At least how probable (q,) it is that a whole list was drawn at random, from probabilities p (q, c).

    Every other kind of noise puts one wrong label into a row. So of m labels that are in doubt all but one are by this
    kind. An only label has no other to go with: nothing says that it was drawn, and it is left to the posterior.
    """
    size, (row, label) = y.sum(1), np.nonzero(y)
    doubt = np.zeros((len(y), max(1, int(size.max(initial=1)))))
    doubt[row, np.arange(len(row)) - np.repeat(size.cumsum() - size, size)] = 1 - p[row, label]
    doubt = -np.sort(-doubt, axis=1)
    number = np.arange(2, doubt.shape[1] + 1)
    parts = np.where(number <= size[:, None], (doubt.cumsum(1)[:, 1:] - 1) / (number - 1), 0.0)
    return np.asarray(np.clip(parts.max(1, initial=0.0), 0, 1))


def _unbelieved(
    lists: Lists, rows: np.ndarray, p: np.ndarray, y: np.ndarray, noise: NoiseModel
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and labels (e,) that are proposed to change by a confusion that the rest of the lists does not speak for;
    and which confusions it does, or does not speak of at all."""
    none = np.zeros(0, np.int64)
    if (confusion := noise.confusion) is None:
        return none, none, none.astype(bool)
    number = np.arange(y.shape[1]) if noise.shown is None else np.flatnonzero(noise.shown.numpy())
    found: list[tuple[np.ndarray, int]] = []
    believed = np.ones(len(confusion.truth), bool)
    for which, pair in enumerate(zip(confusion.truth.tolist(), confusion.label.tolist(), strict=True)):
        truth, label = number[list(pair)].tolist()
        those = np.flatnonzero(y[:, label] & ~y[:, truth] & (p[:, label] < 0.5) & (p[:, truth] > 0.5))
        rests = [(row, rest[rest != label]) for row in those if len(rest := np.flatnonzero(y[row])) > 1]
        said = [lists.speaks(int(rows[row]), rest, truth, label) for row, rest in rests]
        if said and sum(said) < SPEAKS:
            believed[which] = False
            found += [(rows[those], truth), (rows[those], label)]
    row = np.concatenate([none, *(at for at, _ in found)])
    return row, np.concatenate([none, *(np.full(len(at), c) for at, c in found)]), believed


def _log(p: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(p, 1e-300)))
