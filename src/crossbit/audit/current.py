"""The labels of now: those that a run saw, with what a person has decided since.

Shapes: n rows (labelled training rows, by position), c classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from crossbit.audit.acts import Asked, Decision
from crossbit.audit.decisions import same_picture
from crossbit.audit.seen import Seen
from crossbit.errors import UserError, unknown


class Current:
    """Labels that change with each decision.

    Attributes:
        names: of the classes.
        rows: (n,) row numbers in the data.
        given: (n, c) bool, what the run saw.
        labels: (n, c) bool, of now.
        settled: (n, c) bool, what a person has decided.
        new: labels that are no class of the run, by position; the posterior knows nothing of them.
        asked: what decisions can be about.
    """

    def __init__(self, seen: Seen, single: bool) -> None:
        self.names, self.rows = seen.names, seen.view.rows
        self.given = seen.view.observed().numpy() > 0
        self.begin()
        observed = {int(row): self.text(y) for row, y in zip(self.rows, self.given, strict=True)}
        self._alike = same_picture(seen.data)
        self.asked = Asked(seen, observed, single, self._alike)
        self._place = {int(row): position for position, row in enumerate(self.rows)}
        self._number = {name: number for number, name in enumerate(self.names)}

    def text(self, y: np.ndarray) -> list[str]:
        """The names of labels (c,)."""
        return [self.names[c] for c in np.flatnonzero(y)]

    def named(self, position: int, y: np.ndarray | None = None) -> list[str]:
        """The names of a row's labels, new ones too: of now, or of labels (c,) that it would get."""
        names = self.text(self.labels[position] if y is None else y)
        return names if names and self.asked.single else names + self.new.get(position, [])

    @property
    def new_names(self) -> list[str]:
        """All labels that are no class of the run."""
        return sorted({name for names in self.new.values() for name in names})

    def begin(self) -> None:
        """Nothing is decided."""
        self.labels, self.settled = self.given.copy(), np.zeros_like(self.given)
        self.new: dict[int, list[str]] = {}

    def take(self, decisions: Iterable[Decision]) -> None:
        """Let decisions hold, for all rows of the same picture."""
        for decision in decisions:
            y = self.vector(decision.labels)
            what = slice(None) if decision.about is None else self.number(decision.about)
            for row in self._alike(decision.row):
                if (position := self._place.get(row)) is not None:
                    self.labels[position] = y
                    self.new[position] = decision.new
                    self.settled[position, slice(None) if self.asked.single else what] = True

    def vector(self, labels: Sequence[str]) -> np.ndarray:
        """Labels (c,) by name; names that are known and not trained on count for nothing."""
        y = np.zeros(len(self.names), bool)
        y[[self._number[name] for name in labels if name in self._number]] = True
        return y

    def number(self, label: str) -> int:
        """Of a class.

        Raises:
            UserError: there is no such label.
        """
        if label not in self._number:
            raise unknown("label", label, self.names)
        return self._number[label]

    def has(self, row: int) -> bool:
        """Whether it is a labelled training row."""
        return row in self._place

    def position(self, row: int) -> int:
        """Of a row of the data.

        Raises:
            UserError: it is no labelled training row.
        """
        if row not in self._place:
            raise UserError(f"row {row} is no labelled training row of {self.asked.seen.folder}; take one of the queue")
        return self._place[row]

    @property
    def moved(self) -> np.ndarray:
        """Positions whose labels are others than the run saw, and that have some."""
        return np.flatnonzero((self.labels != self.given).any(1) & self.labels.any(1))
