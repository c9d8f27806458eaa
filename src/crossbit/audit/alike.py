"""The rows that weigh most in what is predicted for another one, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from crossbit.posterior import EXACT, LANDMARKS
from crossbit.posterior.regression import RbfKernel, fit_landmarks
from crossbit.posterior.smoother import ExactSmoother, Smoother

HEAVIEST = 5
CHUNK = 256  # rows whose weights are computed at a time


@dataclass(frozen=True)
class Neighbour:
    """A labelled row that weighs much in what is predicted for another one.

    Attributes:
        row: its number in the data.
        name: its caption, else its path, else its number.
        labels: that it was given.
        weight: of its labels in the prediction, where those of all rows sum to 1; below 0 it speaks against them.
            Near-duplicates are counted with it.
    """

    row: int
    name: str
    labels: list[str]
    weight: float

    def __str__(self) -> str:
        return f"{self.name} [{', '.join(self.labels)}]"


def regression(
    features: Mapping[str, torch.Tensor],
    labels: torch.Tensor,
    kernel: RbfKernel,
    ridge: float,
    groups: torch.Tensor | None,
    seed: int,
) -> Smoother:
    """The regression of a posterior that was estimated with this seed, again: some seconds for 5,000 rows.

    Args:
        features: of the labelled rows, by modality (n, dim).
        labels: (n, c) that they were given.
        kernel, ridge: of the posterior.
        groups: (n,) by number, rows that were left out together; None: each alone.
    """
    if len(labels) <= EXACT:
        return ExactSmoother.of(features, kernel, ridge, groups)
    landmarks = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))[:LANDMARKS]
    fit = fit_landmarks(features, labels, kernel, [ridge], landmarks, groups, keep=True)
    assert fit.smoother is not None
    return fit.smoother


def heaviest(
    smoother: Smoother,
    features: Mapping[str, torch.Tensor],
    labelled: np.ndarray,
    rows: np.ndarray,
    families: np.ndarray,
    k: int = HEAVIEST,
) -> tuple[np.ndarray, np.ndarray]:
    """Of each of `rows` the k labelled rows whose labels weigh most in what is predicted for it, and their weights.

    A prediction is a weighted sum of labels. For a labelled row these are the weights of the regression without it,
    and without its group where that is left out. A family weighs as much as its rows together and is named by the
    heaviest of them.

    Args:
        smoother: the regression on the labelled rows.
        features: by modality (n, dim).
        labelled: row numbers.
        rows: (q,) row numbers.
        families: (n,) by number, the same for rows that show the same thing.

    Returns:
        (q, k) row numbers, -1 where there are fewer; (q, k) weights.

    >>> x = {"x": torch.tensor([[0.0], [1.0], [1.0], [9.0]])}
    >>> smoother = ExactSmoother.of(x, RbfKernel({"x": 1.0}, 1.0, {"x": 1.0}), ridge=0.1)
    >>> near, weight = heaviest(smoother, x, np.arange(4), np.array([0]), np.array([0, 1, 1, 3]))
    >>> near.tolist(), weight.round(2).tolist()
    ([[1, 3, -1, -1, -1]], [[0.68, 0.32, 0.0, 0.0, 0.0]])
    """
    order = np.argsort(families[labelled], kind="stable")  # families stand together
    starts = np.flatnonzero(np.diff(families[labelled][order], prepend=-1))
    near, weight = np.full((len(rows), k), -1), np.zeros((len(rows), k))
    for at, values in _weights(smoother, features, labelled, rows):
        values = values[:, order]
        sums = np.add.reduceat(values, starts, axis=1)
        for row, one, total in zip(at, values, sums, strict=True):
            first = np.argsort(-np.abs(total), kind="stable")[:k]
            for place, family in enumerate(first[total[first] != 0]):
                start, end = starts[family], np.append(starts, len(one))[family + 1]
                near[row, place] = labelled[order[start + _first_of_heaviest(one[start:end])]]
                weight[row, place] = total[family]
    return near, weight


def _first_of_heaviest(weights: np.ndarray) -> int:
    """Of equal ones the first, though they may differ in their last digits."""
    size = np.abs(weights)
    return int(np.argmax(size >= size.max() * (1 - 1e-9)))


def _weights(
    smoother: Smoother, features: Mapping[str, torch.Tensor], labelled: np.ndarray, rows: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions in `rows`, and each labelled row's weight in what is predicted for these."""
    place = np.full(len(next(iter(features.values()))), -1)
    place[labelled] = np.arange(len(labelled))
    own = place[rows] >= 0
    for at in _parts(own):
        yield at, smoother.left_out(torch.from_numpy(place[rows[at]])).numpy()
    for at in _parts(~own):
        some = torch.from_numpy(rows[at])
        yield at, smoother.weights({modality: x[some] for modality, x in features.items()}).numpy()


def _parts(asked: np.ndarray) -> Iterator[np.ndarray]:
    """The positions that are asked for, `CHUNK` at a time."""
    places = np.flatnonzero(asked)
    return (places[start : start + CHUNK] for start in range(0, len(places), CHUNK))
