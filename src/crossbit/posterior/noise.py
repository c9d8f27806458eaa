"""How observed labels differ from the true ones: shares of the kinds of noise, and Bayes' rule.

A row's true labels are drawn from a calibrated prediction that has not seen the row's own labels, and then left alone
or damaged in one of several ways (`crossbit.posterior.kinds`). `crossbit.posterior.fitting` finds calibration and
shares.

Shapes: n rows, c classes; z (n, c) logits of the calibrated prediction, y (n, c) observed labels 0/1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crossbit.posterior.confusion import Confusion
from crossbit.posterior.kinds import SEVERAL, SINGLE, Likelihood, Observed, Rows, log_ways

TINY = 1e-9  # probabilities are kept this far from 0 and 1
SURE = 50.0  # logits are kept within: probabilities are 0 and 1 beyond, and their likelihoods lose digits


@dataclass
class NoiseModel:
    """Calibration z = slope f + offset of left-out predictions f, and the share of each kind of noise.

    Attributes:
        single: every row has one label of those that are judged: z goes through a softmax, else through a sigmoid.
        slope, offset: a number, and (c,).
        shares: of rows, by kind; "none" is among them.
        confusion: classes that are taken for one another in rows that nothing else befell; None: no such classes.
            They are numbered among those that are shown.
        shown: (c,) bool, classes of which the predictions say something; None: all of them. Labels of others are not
            judged: they stay as they are, and without any their frequencies are all that is known.
    """

    single: bool
    slope: float
    offset: Tensor
    shares: dict[str, float]
    confusion: Confusion | None = None
    shown: Tensor | None = None

    @property
    def kinds(self) -> dict[str, Likelihood]:
        known = SINGLE if self.single else SEVERAL
        kinds, confusion = {name: known[name] for name in self.shares}, self.confusion
        if confusion is not None:
            kinds["none"] = lambda rows: known["none"](rows) + confusion.between(rows.z, rows.y)
        return kinds

    def logits(self, predicted: Tensor) -> Tensor:
        """z (n, c) of predictions."""
        seen = predicted if self.shown is None else predicted * self.shown
        return (self.slope * seen + self.offset).clamp(-SURE, SURE)

    def prior(self, z: Tensor) -> Tensor:
        """P(label) (n, c) before the row's own labels are looked at."""
        if not self.single:
            return z.sigmoid()
        if self.shown is None or not self.shown.any():
            return z.softmax(1)
        return z.sigmoid().index_copy(1, self.shown.nonzero().squeeze(1), self._judged(z).softmax(1))

    def to_logits(self, labels: Tensor) -> Tensor:
        """z of probabilities (n, c), so that `prior` gives them again."""
        labels = labels.clamp(TINY, 1 - TINY)
        if not self.single:
            return labels.logit()
        if self.shown is None or not self.shown.any():
            return labels.log()
        return torch.where(self.shown, labels.log(), labels.logit())

    def log_likelihood(self, z: Tensor, y: Tensor) -> Tensor:
        """Of the observed labels that are judged, (n,)."""
        shares = torch.tensor(list(self.shares.values()), dtype=z.dtype, device=z.device)
        return mixed(Observed(self._judged(z), self._judged(y)), self.kinds, shares.log())

    def _judged(self, x: Tensor) -> Tensor:
        """The columns (n, shown) of classes whose labels are judged."""
        return x if self.shown is None else x[:, self.shown]

    def posterior(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """P(label) (n, c) after the row's own labels were looked at; P(they are not the true ones) (n,), and its
        log-odds, which tell rows apart whose probability is 1 in digits.

        The first is the prior plus the gradient of the log-likelihood in z: for each kind of noise the true labels
        have a density that is exponential in z, so the gradient is posterior mean minus prior mean.
        """
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            likelihood = self.log_likelihood(z, y)
            (gradient,) = torch.autograd.grad(likelihood.sum(), z)
        z, likelihood = z.detach(), likelihood.detach()
        labels = (self.prior(z) + gradient).clamp(0, 1)
        if self.shown is not None:
            labels = torch.where(self.shown, labels, y.to(labels))
        return labels, *wrong_and_evidence(self._kept(z, y, likelihood))

    def _kept(self, z: Tensor, y: Tensor, likelihood: Tensor) -> Tensor:
        """Log-probability (n,) that labels y are the true ones, of which this is the log-likelihood."""
        z, y, known = self._judged(z), self._judged(y), SINGLE if self.single else SEVERAL
        return (known["none"](Observed(z, y)) + self._stays(y) - likelihood).clamp(max=0)

    def _stays(self, y: Tensor) -> Tensor:
        """Log-probability (n,) that labels y stay as they are; a resampled set may be the same set."""
        keeps = y.new_zeros(len(y)) if self.confusion is None else self.confusion.log_keeps(y)
        return self.stays(keeps, y.sum(1), y.shape[1])

    def stays(self, log_keeps: Tensor, size: Tensor, classes: int) -> Tensor:
        """Log-probability (n,) that rows of so many labels (n,) stay as they are, from those of the confusions."""
        same = self.shares.get("resample", 0.0) * (-log_ways(size, classes)).exp()
        return (self.shares["none"] * log_keeps.exp() + same).log()


def wrong_and_evidence(kept: Tensor) -> tuple[Tensor, Tensor]:
    """Probability (n,) and log-odds (n,) that labels are wrong, from the log-probability that they are right."""
    least = kept.clamp(max=-TINY)
    return -torch.expm1(kept), torch.log(-torch.expm1(least)) - least


def mixed(rows: Rows, kinds: dict[str, Likelihood], log_shares: Tensor) -> Tensor:
    """Log-likelihood (n,) of rows damaged in several ways, in these shares."""
    parts = torch.stack([kind(rows) for kind in kinds.values()], dim=1)
    return (parts + log_shares).logsumexp(1)
