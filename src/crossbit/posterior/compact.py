"""The posterior of rows that share their labels, kept so that a changed label costs little.

`Posterior.relabel` judges all rows and classes again. Here a changed label moves the logits of its class alone. What
follows for a row are a few sums over its classes and the shares of the kinds of noise; the probabilities of its labels
are made of these when they are asked for. The numbers depend on the labels of now alone, not on the way to them.
`Compact` is for rows with several labels, `CompactSingle` for rows with one.

Shapes: n rows, c classes, s of them judged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
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


def compact(posterior: Posterior) -> Compact | CompactSingle | None:
    """A posterior in few numbers a row; None where it has not kept its basis, has several arrays of labels, or some of
    its classes are not judged though rows have one label."""
    basis = posterior.basis
    if basis is None or len(basis.witnesses) != 1 or not basis.labelled.all():
        return None
    noise = next(iter(posterior.noise.values()))
    if not noise.single:
        return Compact(posterior)
    return CompactSingle(posterior) if posterior.single and noise.shown is None else None


@dataclass
class Places:
    """Rows with a label (e,) that may stand for another, the truth; how much likelier that is than not, and the sum of
    that in each row, `total` (n,)."""

    row: Tensor
    truth: Tensor
    label: Tensor
    ratio: Tensor
    total: Tensor


class _Odds(ABC):
    """The odds of all labels, those of each class made anew when one of its labels changes.

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

    def _moved(self, label: int) -> np.ndarray:
        """The odds (n,) of a class."""
        change = torch.from_numpy(self._y[:, [label]].astype(np.float64) - self._first[:, [label]])
        left_out, _, _ = self.basis.smoother.moved(change)
        predicted = self.basis.predicted[:, label] + left_out[:, 0]
        noise: NoiseModel = self.noise
        one = NoiseModel(False, noise.slope, noise.offset[[label]], noise.shares)
        return np.exp(one.logits(predicted.unsqueeze(1))[:, 0].numpy())  # as at first, to the last digit

    @abstractmethod
    def _judge(self) -> None:
        """What the labels of now make of each row."""

    @abstractmethod
    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities (q, c) of the labels of rows (q,), which are all different."""


class Compact(_Odds):
    """Of rows with several labels; see `_Odds`."""

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


class CompactSingle(_Odds):
    """Of rows with one label; see `_Odds`.

    With odds e of a row, o those of its own label and t the sum of the others', the label is right with a probability
    in proportion to s kept o, stands for class k with s rate e_k where the two are confused, and for any class with
    f e / (c - 1); s and f are the shares of rows that nothing befell, and that were flipped.
    """

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities (q, c) of the labels of rows (q,), which are all different."""
        found = self._odds[rows] * self._part[rows, None]
        place = np.full(len(self._y), -1)
        place[rows] = np.arange(len(rows))
        row, truth, more = self._confused
        there = place[row] >= 0
        np.add.at(found, (place[row[there]], truth[there]), more[there])
        found[np.arange(len(rows)), self._own[rows]] = self._right[rows]
        np.clip(found, TINY, 1 - TINY, out=found)
        found /= found.sum(1, keepdims=True)
        return found

    def _judge(self) -> None:
        """What the labels of now make of each row."""
        row, self._own = np.arange(len(self._y)), self._y.argmax(1)
        own = self._odds[row, self._own]
        self._odds[row, self._own] = 0  # so that the sum of the others keeps its digits
        others = self._odds.sum(1)
        self._odds[row, self._own] = own
        kept, (where, truth, more) = self._confusions()
        flipped = self.noise.shares.get("flip", 0.0) / max(1, self._odds.shape[1] - 1)
        right, wrong = self.noise.shares["none"] * kept * own, flipped * others
        wrong += np.bincount(where, more, len(row))
        self.corrupted, self.evidence = (
            x.numpy() for x in wrong_and_evidence(torch.from_numpy(-np.log1p(wrong / right)))
        )
        self._right, self._part = right / (right + wrong), flipped / (right + wrong)
        self._confused = where, truth, more / (right + wrong)[where]

    def _confusions(self) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """How probable (n,) it is that a label is not taken for another; and rows with a label that may stand for
        another, the truth, and its part of the likelihood, (e,) each."""
        confusion, none = self.noise.confusion, np.zeros(0, np.int64)
        if confusion is None:
            return np.ones(len(self._y)), (none, none, np.zeros(0))
        truth, label = confusion.truth.numpy(), confusion.label.numpy()
        row, number = np.nonzero(self._own[:, None] == label)
        more = self.noise.shares["none"] * confusion.log_rate.exp().numpy()[number] * self._odds[row, truth[number]]
        return confusion.log_kept.exp().numpy()[self._own], (row, truth[number], more)
