"""What a decision is worth: the number of wrong labels that it is expected to mend.

A label of a row is wrong if the row has it and should not, or lacks it and should have it. Where every row has one
label, a wrong label and the right one that it stands for count once.

Shapes: n rows, c classes, q rows asked for; y (n, c) labels of now, settled (n, c) what a person has decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from crossbit.audit.likely import Likely
from crossbit.audit.lists import WORTH

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


@dataclass(frozen=True)
class Cells:
    """Labels that are in doubt, with at least `WORTH`: rows in order, classes, and the doubt, (cells,) each."""

    row: np.ndarray
    label: np.ndarray
    doubt: np.ndarray

    def above(self, least: float) -> Cells:
        """Those with more doubt."""
        some = self.doubt > least
        return Cells(self.row[some], self.label[some], self.doubt[some])


@dataclass
class Gains:
    """What rows and ranges of rows are worth a look. The doubt about a label is the probability that a row is wrong to
    have it, or to lack it; 0 where it is settled.

    Attributes:
        likely: (n, c) by rows; 0 or 1 where it is settled.
        y: (n, c) bool.
        settled: (n, c) bool.
        corrupted: (n,) probability that the labels of a row, taken together, are wrong.
        evidence: (n,) log-odds of that.
        family: (n,) by number, the same for rows that show the same thing.
        single: whether every row has one label.
    """

    likely: Likely
    y: np.ndarray
    settled: np.ndarray
    corrupted: np.ndarray
    evidence: np.ndarray
    family: np.ndarray
    single: bool

    def doubt(self, rows: np.ndarray) -> np.ndarray:
        """(q, c) of rows (q,)."""
        return np.abs(self.y[rows] - self.likely[rows])

    def doubt_of(self, label: int) -> np.ndarray:
        """(n,) about one label."""
        p = np.concatenate([p[:, label] for _, p in self.likely.blocks()])
        return np.abs(self.y[:, label] - p)

    def proposed(self, rows: np.ndarray) -> np.ndarray:
        """(q, c) bool: the likeliest class where rows have one, else all labels above one half, or the likeliest."""
        p, y, settled = self.likely[rows], self.y[rows], self.settled[rows]
        likeliest = np.zeros_like(y)
        likeliest[np.arange(len(p)), p.argmax(1)] = True
        if self.single:
            return np.where(settled, y, likeliest)
        likely = p > 0.5
        found = np.where(likely.sum(1)[:, None] > 0, likely, likeliest & ~settled)
        return np.where(found.sum(1)[:, None] > 0, found, y)

    @cached_property
    def _sums(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, Cells]:
        """Doubt by row (n,), by class about labels that rows have and about others (c,), and the cells in doubt."""
        n, c = self.y.shape
        own = np.flatnonzero(self.y)
        of_row, lacked, had = np.empty(n), np.zeros(c), np.zeros(c)
        places, doubts = [], []
        for rows, p in self.likely.blocks():
            start = int(rows[0]) * c
            flat = p.reshape(-1)
            mine = own[slice(*np.searchsorted(own, [start, start + len(flat)]))] - start
            lacked += p.sum(0)
            lacked -= np.bincount(mine % c, flat[mine], c)
            flat[mine] = 1 - flat[mine]
            had += np.bincount(mine % c, flat[mine], c)
            of_row[rows] = p.sum(1)
            places.append(start + (found := np.flatnonzero(flat >= WORTH)))
            doubts.append(flat[found])
        return of_row, had, lacked, Cells(*np.divmod(np.concatenate(places), c), np.concatenate(doubts))

    @property
    def cells(self) -> Cells:
        """Labels in doubt, with at least `WORTH`."""
        return self._sums[3]

    @property
    def wrong_of_class(self) -> np.ndarray:
        """(c,) expected number of rows that have a label and should not."""
        return self._sums[1]

    @property
    def missing_of_class(self) -> np.ndarray:
        """(c,) expected number of rows that lack a label and should have it."""
        return self._sums[2]

    @property
    def wrong(self) -> np.ndarray:
        """(n,) expected number of wrong labels of a row, those that nobody has decided about."""
        return self._sums[0] / (2 if self.single else 1)

    @cached_property
    def worth(self) -> np.ndarray:
        """(n,) bool, rows that are worth a look."""
        doubtful = self.corrupted >= WORTH
        doubtful[self.cells.above(0.5).row] = True
        return doubtful & ~self.settled.all(1)

    @cached_property
    def changes(self) -> np.ndarray:
        """(n,) bool, rows for which other labels are proposed."""
        found, rows = np.zeros(len(self.y), bool), np.unique(self.cells.above(0.5).row)
        found[rows] = (self.proposed(rows) != self.y[rows]).any(1)
        return found

    @cached_property
    def kin(self) -> np.ndarray:
        """(n,) by number, rows of one family with the same labels and the same proposal: one decision settles all."""
        names = np.arange(len(self.family))
        size = np.bincount(self.family)[self.family]
        first = dict[tuple[int, bytes], int]()
        rows = np.flatnonzero((size > 1) & self.worth)
        for row, proposed in zip(rows, self.proposed(rows), strict=True):
            key = int(self.family[row]), self.y[row].tobytes() + proposed.tobytes()
            names[row] = first.setdefault(key, int(row))
        return names

    @cached_property
    def gain(self) -> np.ndarray:
        """(n,) expected number of wrong labels that a decision about a row and its kin mends: whoever looks sees the
        labels that are in doubt, with at least `WORTH`, and none of the others."""
        n, cells = len(self.family), self.cells
        seen = self.wrong if self.single else np.bincount(cells.row, cells.doubt, n)
        return np.bincount(self.kin, seen * self.worth, n)[self.kin]

    def ranked(self, by: str = "gain") -> np.ndarray:
        """Positions of what is worth a look, the first of each kin, by gain or by evidence, the most before. By gain
        the rows for which nothing else is proposed come last, however many small doubts they have."""
        keys = [self.changes.astype(float), self.gain, self.evidence] if by == "gain" else [self.evidence]
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
        sure = self.cells.above(np.nextafter(above, 0))
        given = self.y[sure.row, sure.label]
        last = given & (self.y[sure.row].sum(1) == 1) & (not self.single)
        groups = dict[tuple[int, bool], list[int]]()
        for number in np.flatnonzero(~last).tolist():
            groups.setdefault((int(sure.label[number]), bool(given[number])), []).append(number)
        found = []
        for (label, has), numbers in groups.items():
            rows, doubt = sure.row[numbers], sure.doubt[numbers]
            found.append(Range(label, has, rows[np.argsort(-doubt, kind="stable")], float(doubt.sum())))
        return sorted(found, key=lambda one: (-one.gain, one.label, one.given))

    def of_class(self, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the rows that have a label or may have it, and the doubt about it: changes first, the surest
        before; then the others, those in doubt before."""
        doubt, y = self.doubt_of(label), self.y[:, label]
        rows = np.flatnonzero(y | (doubt >= WORTH))
        rows = rows[np.lexsort([rows, -doubt[rows], ~(doubt > 0.5)[rows]])]
        return rows, doubt[rows]
