"""The probabilities of labels, by rows: whole, or made when they are asked for.

Shapes: n rows, c classes, q rows asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch

from crossbit.audit.lists import Belief
from crossbit.posterior import Posterior
from crossbit.posterior.compact import BLOCK, compact


class Source(Protocol):
    """What has the probabilities."""

    @property
    def corrupted(self) -> np.ndarray: ...
    @property
    def evidence(self) -> np.ndarray: ...
    def relabel(self, labels: np.ndarray) -> None: ...
    def of_rows(self, rows: np.ndarray) -> np.ndarray: ...


class Whole:
    """A posterior whose labels are all there; a changed label judges all of them again."""

    def __init__(self, posterior: Posterior) -> None:
        self._first = self._now = posterior
        assert posterior.basis is not None
        self._seen = posterior.basis.witnesses[0][0].numpy() > 0

    def relabel(self, labels: np.ndarray) -> None:
        """The labels (n, c) of now, bool; a row without any keeps those that it had at first."""
        moved = torch.from_numpy(np.flatnonzero((labels != self._seen).any(1) & labels.any(1)))
        new = torch.from_numpy(labels[moved.numpy()]).float()
        self._now = self._first
        if len(moved):
            self._now = self._first.relabel(moved, dict.fromkeys(self._first.noise, new))

    @property
    def corrupted(self) -> np.ndarray:
        return np.asarray(next(iter(self._now.corrupted.values())))

    @property
    def evidence(self) -> np.ndarray:
        return np.asarray(next(iter(self._now.evidence.values())))

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities (q, c)."""
        return self._now.labels.numpy()[rows]


def source_of(posterior: Posterior) -> Source:
    """The source that takes the least time and memory."""
    return compact(posterior) or Whole(posterior)


class Likely:
    """Probabilities of labels, as far as they are believed, and what a person has settled: 0 or 1 there.

    >>> class Half:
    ...     of_rows = staticmethod(lambda rows: np.full((len(rows), 2), 0.5))
    >>> y, settled = np.eye(2, dtype=bool), np.array([[True, True], [False, False]])
    >>> Likely(Half(), y, settled)[np.array([0, 1])].tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """

    def __init__(self, source: Source, y: np.ndarray, settled: np.ndarray, belief: Belief | None = None) -> None:
        self._source, self._y, self._settled, self._belief = source, y, settled, belief
        self._open: np.ndarray = np.logical_not(settled.any(1))

    def __len__(self) -> int:
        return len(self._y)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities (q, c) of rows (q,), which are all different."""
        p = self._source.of_rows(rows)
        if self._belief is not None:
            p = self._belief.apply(p, self._y[rows], rows)
        if not self._open[rows].all():
            p = np.where(self._settled[rows], self._y[rows], p)
        return p

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All rows, some at a time, and their probabilities."""
        for start in range(0, len(self), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(self)))
            yield rows, self[rows]
