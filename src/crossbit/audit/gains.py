"""What a decision is worth: the number of wrong labels that it is expected to mend.

A label of a row is wrong if the row has it and should not, or lacks it and should have it. Where every row has one
label, a wrong label and the right one that it stands for count once.

Shapes: n rows, c classes; p (n, c) probability of each label, y (n, c) labels of now, settled (n, c) what a person has
decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from crossbit.audit.entries import WORTH

SURE = 0.9  # probability from which a change is one of a range


@dataclass(frozen=True)
class Range:
    """Changes of one label that are all sure, to look at together and to decide about at once.

    Attributes:
        label: number of the class.
        given: whether the rows have it and should not; else they lack it and should have it.
        rows: positions, the surest first.
        gain: how many of the changes are expected to be right.
    """

    label: int
    given: bool
    rows: np.ndarray
    gain: float


@dataclass
class Gains:
    """What rows and ranges of rows are worth a look.

    Attributes:
        p: (n, c); 0 or 1 where it is settled.
        y: (n, c) bool.
        settled: (n, c) bool.
        corrupted: (n,) probability that the labels of a row, taken together, are wrong.
        evidence: (n,) log-odds of that.
        family: (n,) by number, the same for rows that show the same thing.
        single: whether every row has one label.
    """

    p: np.ndarray
    y: np.ndarray
    settled: np.ndarray
    corrupted: np.ndarray
    evidence: np.ndarray
    family: np.ndarray
    single: bool

    @cached_property
    def doubt(self) -> np.ndarray:
        """(n, c) probability that a row is wrong to have, or to lack, a label; 0 where it is settled."""
        return np.where(self.settled, 0.0, np.abs(self.y - self.p))

    @cached_property
    def proposed(self) -> np.ndarray:
        """(n, c) bool: the likeliest class where rows have one, else all labels above one half, or the likeliest."""
        likeliest = np.zeros_like(self.y)
        likeliest[np.arange(len(self.p)), self.p.argmax(1)] = True
        if self.single:
            return np.where(self.settled, self.y, likeliest)
        likely = self.p > 0.5
        found = np.where(likely.sum(1)[:, None] > 0, likely, likeliest & ~self.settled)
        return np.where(found.sum(1)[:, None] > 0, found, self.y)

    @cached_property
    def wrong(self) -> np.ndarray:
        """(n,) expected number of wrong labels of a row, those that nobody has decided about."""
        return self.doubt.sum(1) / (2 if self.single else 1)

    @cached_property
    def worth(self) -> np.ndarray:
        """(n,) bool, rows that are worth a look."""
        doubtful = (self.corrupted >= WORTH) | (self.doubt > 0.5).any(1)
        return doubtful & ~self.settled.all(1)

    @cached_property
    def kin(self) -> np.ndarray:
        """(n,) by number, rows of one family with the same labels and the same proposal: one decision settles all."""
        names = np.arange(len(self.family))
        size = np.bincount(self.family)[self.family]
        first = dict[tuple[int, bytes], int]()
        for row in np.flatnonzero((size > 1) & self.worth):
            key = int(self.family[row]), self.y[row].tobytes() + self.proposed[row].tobytes()
            names[row] = first.setdefault(key, int(row))
        return names

    @cached_property
    def gain(self) -> np.ndarray:
        """(n,) expected number of wrong labels that a decision about a row and its kin mends: whoever looks sees the
        labels that are in doubt, with at least `WORTH`, and none of the others."""
        seen = self.wrong if self.single else np.where(self.doubt >= WORTH, self.doubt, 0.0).sum(1)
        return np.bincount(self.kin, seen * self.worth, len(self.kin))[self.kin]

    def ranked(self, by: str = "gain") -> np.ndarray:
        """Positions of what is worth a look, the first of each kin, by gain or by evidence, the most before."""
        keys = [self.gain, self.evidence] if by == "gain" else [self.evidence]
        rows = np.flatnonzero(self.worth)
        order = rows[np.lexsort([rows, *(-key[rows] for key in reversed(keys))])]
        return order[np.sort(np.unique(self.kin[order], return_index=True)[1])]

    def alike(self, position: int) -> np.ndarray:
        """Positions of the kin of a row, without the row."""
        others = np.flatnonzero((self.kin == self.kin[position]) & self.worth)
        return others[others != position]

    def ranges(self, above: float = SURE) -> list[Range]:
        """All ranges of changes with at least this probability, the largest gain first.

        A row that would have no label left is in none: it needs a look of its own.
        """
        sure = self.doubt >= above
        last = (self.y.sum(1) == 1)[:, None] & self.y & (not self.single)
        found = []
        for given, changes in ((True, sure & self.y & ~last), (False, sure & ~self.y)):
            for label in np.flatnonzero(changes.any(0)):
                rows = np.flatnonzero(changes[:, label])
                doubt = self.doubt[rows, label]
                found.append(Range(int(label), given, rows[np.argsort(-doubt, kind="stable")], float(doubt.sum())))
        return sorted(found, key=lambda one: (-one.gain, one.label, one.given))

    def of_class(self, label: int) -> np.ndarray:
        """Positions of the rows that have a label or may have it: changes first, the surest before; then the others,
        those in doubt before."""
        doubt, y = self.doubt[:, label], self.y[:, label]
        rows = np.flatnonzero(y | (doubt >= WORTH))
        changed = (doubt > 0.5)[rows]
        return rows[np.lexsort([rows, -doubt[rows], ~changed])]
