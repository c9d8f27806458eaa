"""Search for the noise model under which observed labels are likeliest: L-BFGS over a few numbers.

Shapes: n rows, c classes, e confusions; f (n, c) predictions, y (n, c) observed labels 0/1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from crossbit.posterior.confusion import Confusion
from crossbit.posterior.kinds import Likelihood, Observed, Rows, Sums
from crossbit.posterior.noise import SURE, TINY, NoiseModel, mixed
from crossbit.posterior.sums import ClassSums

LEAST_KEPT = 0.05  # of the signal, whatever the noise
FEW = 2.0  # rows that were seen before any was, spread over the kinds: keeps shares off 0
TIED = 1e-2  # penalty on the classes' offsets
STEEP = 10.0, 3.0  # slope that is expected where nothing is wrong, and penalty on its logarithm's distance: where rows
# are all alike, noise and doubt about the truth cannot be told apart by likelihood, and this takes it for noise
CLEAR = 20.0  # the slope that is expected where classes may be confused
OWN = 0.3  # rows of each class that were seen with their own label before any was


@dataclass
class Given:
    """Rows that a model is fitted to, and what does not change in a fit.

    Attributes:
        apart: f (n, c) less its mean.
        mean: of f (c,).
        y: (n, c).
        single: every row has one label.
        centre: logits (c,) of the classes' frequencies, where the offsets begin.
        scale: (c,) of the offsets: a rare class has few rows to tell its own by, and takes longer steps.
        shrunk: how many times larger differences of the labels are than those of the predictions.
    """

    apart: Tensor
    mean: Tensor
    y: Tensor
    single: bool
    centre: Tensor
    scale: Tensor
    shrunk: float

    @cached_property
    def own(self) -> tuple[Tensor, Tensor]:
        """Row and class of each label."""
        row, column = self.y.nonzero(as_tuple=True)
        return row, column

    @cached_property
    def size(self) -> Tensor:
        """Labels of each row, (n,)."""
        return self.y.sum(1)

    @classmethod
    def of(cls, f: Tensor, y: Tensor, single: bool) -> Given:
        """Rows of predictions f and labels y."""
        frequency, mean = y.mean(0).clamp(1e-4, 1 - 1e-4), f.mean(0)
        scale = (frequency * (1 - frequency)).rsqrt()
        centre = frequency.log() if single else frequency.logit()
        return cls(f - mean, mean, y, single, centre, scale / scale.min(), shrinkage(f, y))

    def some(self, rows: int) -> Given:
        """The first rows alone; they are in no order."""
        return replace(self, apart=self.apart[:rows], y=self.y[:rows])

    def parts(self, slope: Tensor, at: Tensor) -> Rows:
        """What the kinds of noise ask of logits at + slope f."""
        if self.single:
            return Observed((at + slope * self.apart).clamp(-SURE, SURE), self.y)
        kept, out, into = ClassSums.apply(slope, at, self.apart, *self.own, SURE)
        return Sums(kept, out, into, self.size, self.y.shape[1])


class Search:
    """Slope, offsets and shares of these kinds of noise."""

    expected = STEEP[0]

    def __init__(self, given: Given, kinds: dict[str, Likelihood], steep: float, log_odds: float | Tensor) -> None:
        self.given, self.kinds, self.loss = given, kinds, math.inf
        self.steepness = given.apart.new_tensor(steep).log().requires_grad_()
        self.offset = torch.zeros_like(given.centre).requires_grad_()  # over its scale
        self.odds = torch.zeros(len(kinds) - 1).to(given.apart).add(log_odds).requires_grad_()

    @property
    def parameters(self) -> list[Tensor]:
        return [self.steepness, self.offset, self.odds]

    @property
    def keeps(self) -> Tensor:
        """How much of a label's signal each kind of noise leaves, (kinds,)."""
        return kept_signal(list(self.kinds), self.given.y)

    @classmethod
    def near(cls, given: Given, kinds: dict[str, Likelihood], model: NoiseModel) -> Search:
        """Begins with a model."""
        shares = given.apart.new_tensor([model.shares[kind] for kind in kinds]).clamp(min=TINY)
        keeps = max(LEAST_KEPT, float(shares @ kept_signal(list(kinds), given.y)))
        found = cls(given, kinds, model.slope * keeps / given.shrunk, (shares[1:] / shares[0]).log())
        offset = model.offset + model.slope * given.mean - given.centre
        with torch.no_grad():
            found.offset.copy_(offset / given.scale)
        return found

    def on(self, given: Given) -> Search:
        """The same place, on other rows."""
        found = Search(given, self.kinds, math.exp(self.steepness.item()), self.odds.detach())
        with torch.no_grad():
            found.offset.copy_(self.offset)
        return found

    @property
    def log_shares(self) -> Tensor:
        return F.pad(self.odds, (1, 0)).log_softmax(0)

    @property
    def slope(self) -> Tensor:
        return self.given.shrunk * self.steepness.exp() / (self.log_shares.exp() @ self.keeps).clamp(min=LEAST_KEPT)

    def run(self, iterations: int) -> Self:
        """Go on for so many iterations, at most."""
        optimizer = torch.optim.LBFGS(self.parameters, max_iter=iterations, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = self.value()
            loss.backward()
            return loss

        with torch.enable_grad():
            optimizer.step(closure)
        self.loss = self.value().item()
        return self

    def value(self) -> Tensor:
        """Penalised loss, mean over the rows."""
        given, log_shares, offset = self.given, self.log_shares, self.offset * self.given.scale
        penalty = TIED * offset.square().sum() - FEW * log_shares.mean()
        penalty = penalty + STEEP[1] * (self.steepness - math.log(self.expected)).square()
        slope, at = self.slope, given.centre + offset
        likelihood = mixed(given.parts(slope, at), self.likelihoods(slope, at), log_shares)
        return (penalty - likelihood.sum()) / len(given.y)

    def likelihoods(self, slope: Tensor, at: Tensor) -> dict[str, Likelihood]:
        """Of the kinds of noise, for logits at + slope f."""
        return self.kinds

    def model(self) -> NoiseModel:
        """As it is now."""
        given, slope = self.given, self.slope.item()
        offset = (given.centre + self.offset * given.scale).detach() - slope * given.mean
        return NoiseModel(
            given.single, slope, offset, dict(zip(self.kinds, self.log_shares.exp().tolist(), strict=True))
        )


class ConfusedSearch(Search):
    """The same, and the rates of confusions of classes."""

    expected = CLEAR

    def __init__(self, given: Given, near: Search, truth: Tensor, label: Tensor, logits: Tensor) -> None:
        """Begins where `near` is, but with the slope that is expected.

        Args:
            given: the rows.
            near: a search among the same kinds of noise.
            truth, label: (e,) class numbers.
            logits: (e,) log-odds of the rates.
        """
        super().__init__(given, near.kinds, self.expected, near.odds.detach())
        with torch.no_grad():
            self.offset.copy_(near.offset)
        self.truth, self.label, self.logits = truth, label, logits.detach().clone().requires_grad_()
        self.places = self.confusion.places(given.y)

    @property
    def confusion(self) -> Confusion:
        return Confusion.of_logits(self.truth, self.label, self.logits, self.given.y.shape[1])

    @property
    def parameters(self) -> list[Tensor]:
        return [*super().parameters, self.logits]

    @property
    def keeps(self) -> Tensor:
        size, c = self.given.size.mean(), self.given.y.shape[1]
        taken = (1 - self.confusion.log_kept.exp()).mean() * (1 + size / (c - size).clamp(min=1))
        kept = super().keeps
        return torch.cat([(kept[:1] - taken), kept[1:]])

    def likelihoods(self, slope: Tensor, at: Tensor) -> dict[str, Likelihood]:
        given, confusion, (row, number) = self.given, self.confusion, self.places

        def logits(classes: Tensor) -> Tensor:
            column = classes[number]
            return (at[column] + slope * given.apart[row, column]).clamp(-SURE, SURE)

        gaps = logits(self.truth) - logits(self.label)
        changes = confusion.changes(confusion.log_keeps(given.y), row, number, gaps)
        return {**self.kinds, "none": lambda rows: self.kinds["none"](rows) + changes}

    def value(self) -> Tensor:
        return super().value() - OWN * self.confusion.log_kept.sum() / len(self.given.y)

    def model(self) -> NoiseModel:
        found = self.confusion
        rates = Confusion(found.truth, found.label, found.log_rate.detach(), found.classes)
        return replace(super().model(), confusion=rates)


def shrinkage(f: Tensor, y: Tensor) -> float:
    """How many times larger differences of the labels are than those of their predictions, by least squares.

    >>> y = torch.eye(2)
    >>> shrinkage(y / 4, y)
    4.0
    """
    f, y = f - f.mean(0), y - y.mean(0)
    return float(((f * y).sum() / f.square().sum().clamp(min=1e-12)).clamp(0.2, 100))


def kept_signal(kinds: list[str], y: Tensor) -> Tensor:
    """How much of a label's signal each kind of noise leaves: P(y~ = 1 | y = 1) - P(y~ = 1 | y = 0). (kinds,)

    A regression on labels of which a share r was damaged predicts differences that are smaller by that much, on
    average; so its slope is expected to be larger.

    >>> kept_signal(["none", "flip", "resample"], torch.eye(4))
    tensor([ 1.0000, -0.3333,  0.0000])
    """
    size, c = float(y.sum(1).mean()), y.shape[1]
    lost, gained = 1 / max(size, 1.0), 1 / max(c - size, 1.0)
    left = {"none": 1.0, "resample": 0.0, "omit-one": 1 - lost, "add-one": 1 - gained}
    return y.new_tensor([left.get(kind, 1 - lost - gained) for kind in kinds])
