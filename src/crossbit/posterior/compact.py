"""The posterior of rows that share their labels, kept so that a changed label costs little.

`Posterior.relabel` judges all rows and classes again. Here a changed label moves the logits of its class alone. What
follows for a row are a few sums over its classes and the shares of the kinds of noise; the probabilities of its labels
are made of these when they are asked for. The numbers depend on the labels of now alone, not on the way to them.

Shapes: n rows, c classes, s of them judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crossbit.posterior import Posterior
from crossbit.posterior.compact_kernels import fill_labels, label_sums, size_parts
from crossbit.posterior.kinds import SEVERAL, Sums, log_ways
from crossbit.posterior.noise import TINY, NoiseModel, wrong_and_evidence

BLOCK = 256  # rows whose labels are made at a time: they stay in the processor's cache
LEAST = np.log(np.finfo(np.float64).tiny)
NOTHING = 1e-12  # probability of a resampled set below which it is none


def can_be_compact(posterior: Posterior) -> bool:
    """Whether `Compact` can keep a posterior: it has its basis, one array of labels, and rows with several."""
    basis = posterior.basis
    one = basis is not None and len(basis.witnesses) == 1 and bool(basis.labelled.all())
    return one and not any(model.single for model in posterior.noise.values())


@dataclass
class Places:
    """Rows with a label (e,) that may stand for another, the truth; how much likelier that is than not, and the sum of
    that in each row, `total` (n,)."""

    row: Tensor
    truth: Tensor
    label: Tensor
    ratio: Tensor
    total: Tensor


class Compact:
    """A posterior in few numbers a row, of labels that change.

    Attributes:
        corrupted, evidence: (n,), as those of a posterior.
    """

    def __init__(self, posterior: Posterior) -> None:
        assert posterior.basis is not None
        self.basis, self.noise = posterior.basis, next(iter(posterior.noise.values()))
        self._first = self.basis.witnesses[0][0].numpy() > 0
        shown = self.noise.shown
        self._shown = np.ones(self._first.shape[1], bool) if shown is None else shown.numpy()
        self._class = np.flatnonzero(self._shown)  # of those that are judged
        self._y = self._first.copy()
        self._odds = self.noise.logits(self.basis.predicted).numpy()
        np.exp(self._odds, out=self._odds)
        self._odds[:, ~self._shown] = 0
        self.corrupted = self.evidence = np.zeros(0)
        self._judge()

    def relabel(self, labels: np.ndarray) -> None:
        """The labels (n, c) of now, bool; a row without any keeps those that it had at first."""
        y = np.where(labels.any(1, keepdims=True), labels, self._first)
        changed = (y != self._y).any(0)
        if changed.any():
            self._y = y
            for label in np.flatnonzero(changed & self._shown).tolist():
                self._odds[:, label] = self._moved(label)
            self._judge()

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities (q, c) of the labels of rows (q,), which are all different."""
        found = np.empty((len(rows), self._y.shape[1]))
        fill_labels(self._odds, self._start, self._column, rows, *self._parts, found)
        place = np.full(len(self._y), -1)
        place[rows] = np.arange(len(rows))
        for row, label, change in self._confused:
            there = place[row] >= 0
            np.add.at(found, (place[row[there]], label[there]), change[there])
        row, label = self._unjudged
        there = place[row] >= 0
        found[place[row[there]], label[there]] = 1
        return np.clip(found, TINY, 1 - TINY, out=found)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _moved(self, label: int) -> np.ndarray:
        """The odds (n,) of a class."""
        change = torch.from_numpy(self._y[:, [label]].astype(np.float64) - self._first[:, [label]])
        left_out, _, _ = self.basis.smoother.moved(change)
        predicted = self.basis.predicted[:, label] + left_out[:, 0]
        noise: NoiseModel = self.noise
        one = NoiseModel(False, noise.slope, noise.offset[[label]], noise.shares)
        return np.exp(one.logits(predicted.unsqueeze(1))[:, 0].numpy())  # as at first, to the last digit

    def _judge(self) -> None:
        """What the labels of now make of each row."""
        row, column = np.divmod(np.flatnonzero(self._y), self._y.shape[1])
        judged = self._shown[column]
        self._unjudged = row[~judged], column[~judged]
        row, self._column = row[judged], column[judged]
        self._start = np.searchsorted(row, np.arange(len(self._y) + 1))
        kept, out, into = (np.empty(len(self._y)) for _ in range(3))
        label_sums(self._odds, self._start, self._column, kept, out, into)
        size = np.diff(self._start).astype(np.float64)
        parts = [torch.from_numpy(part) for part in (kept, out, into, size)]
        sums = Sums(parts[0], parts[1], parts[2], parts[3], len(self._class))
        places, log_keeps = self._places(), self._log_keeps(row)
        logs = self._kinds(sums, log_keeps, places)
        likelihood = torch.stack(list(logs.values())).logsumexp(0)
        right = sums.kept + self.noise.stays(log_keeps, sums.size, sums.classes) - likelihood
        self.corrupted, self.evidence = (x.numpy() for x in wrong_and_evidence(right.clamp(max=0)))
        self._keep({name: (log - likelihood).exp().numpy() for name, log in logs.items()}, out, into, places)

    def _kinds(self, sums: Sums, log_keeps: Tensor, places: Places) -> dict[str, Tensor]:
        """Log-likelihood (n,) of each kind of noise, and of its share of rows."""
        shares = {name: torch.tensor(share, dtype=torch.float64).log() for name, share in self.noise.shares.items()}
        logs = {name: SEVERAL[name](sums) + share for name, share in shares.items() if name != "resample"}
        logs["none"] = logs["none"] + log_keeps + places.total.log1p()
        if "resample" in shares:
            most = shares["resample"] - log_ways(sums.size, sums.classes)  # where the size is the only one there is
            others = torch.stack(list(logs.values())).logsumexp(0)
            logs["resample"] = most + self._log_size(sums.size, (most - others).exp() > NOTHING)
        return logs

    def _log_size(self, size: Tensor, asked: Tensor) -> Tensor:
        """Log-probability (n,) of the sizes of the rows that are asked for; of others nothing."""
        rows, sizes = asked.nonzero().squeeze(1).numpy(), size.long().numpy()
        self._part = np.full(len(size), -1)
        self._part[rows] = np.arange(len(rows))
        self._sizes = [np.zeros((len(rows), int(sizes[rows].max(initial=0)) + 1)) for _ in range(2)]
        size_parts(self._odds, rows, sizes, *self._sizes)
        found = torch.full_like(size, -torch.inf)
        own = np.maximum(self._sizes[1][np.arange(len(rows)), sizes[rows]], np.finfo(np.float64).tiny)
        found[rows] = torch.from_numpy(np.log(own))
        return found

    def _keep(self, shares: dict[str, np.ndarray], out: np.ndarray, into: np.ndarray, places: Places) -> None:
        """What the probabilities of a row's labels are made of."""
        nothing = np.zeros(len(out))
        swapped, omitted, added, resampled = (
            shares.get(name, nothing) for name in ("swap-one", "omit-one", "add-one", "resample")
        )
        some = [log > LEAST for log in (into, out)]  # else it was kept from being the logarithm of nothing
        more, lost = np.exp(-into) * some[0] * (swapped + omitted), np.exp(-out) * some[1] * (swapped + added)
        if "resample" not in shares:
            self._part, self._sizes = np.full(len(out), -1), [np.zeros((0, 1))] * 2
        self._parts = more, lost, resampled, self._part, *self._sizes
        change = (places.ratio / (1 + places.total[places.row])).numpy() * shares["none"][places.row.numpy()]
        row = places.row.numpy()
        self._confused = (row, places.truth.numpy(), change), (row, places.label.numpy(), -change)

    # --- classes that are taken for one another -----------------------------------------------------------------------

    def _log_keeps(self, row: np.ndarray) -> Tensor:
        """Log-probability (n,) that no label is of a class that was taken for another."""
        found, confusion = torch.zeros(len(self._y), dtype=torch.float64), self.noise.confusion
        if confusion is None:
            return found
        of_class = torch.zeros(len(self._shown), dtype=torch.float64)
        of_class[self._class] = confusion.log_kept
        return found.index_add(0, torch.from_numpy(row), of_class[self._column])

    def _places(self) -> Places:
        """Where labels may stand for others."""
        confusion, total = self.noise.confusion, torch.zeros(len(self._y), dtype=torch.float64)
        if confusion is None:
            nowhere = torch.zeros(0, dtype=torch.long)
            return Places(nowhere, nowhere, nowhere, total[:0], total)
        truth, label = (self._class[each.numpy()] for each in (confusion.truth, confusion.label))
        places = (self._y[:, label] & ~self._y[:, truth]).nonzero()
        row, number = map(torch.from_numpy, places)
        truths, labels = (torch.from_numpy(each[places[1]]) for each in (truth, label))
        odds = torch.from_numpy(self._odds)
        ratio = confusion.ratios(number, odds[row, truths].log() - odds[row, labels].log())
        return Places(row, truths, labels, ratio, total.index_add(0, row, ratio))
