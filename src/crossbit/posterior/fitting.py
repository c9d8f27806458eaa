"""Calibration of the predictions and shares of the kinds of noise, fitted together by maximum likelihood.

Shapes: n rows, c classes; f (n, c) predictions, y (n, c) observed labels 0/1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from crossbit.posterior.kinds import SEVERAL, SINGLE, Likelihood, Observed, Rows, Sums, log_size, log_ways
from crossbit.posterior.noise import SURE, TINY, NoiseModel, mixed
from crossbit.posterior.sums import ClassSums

FITTED = 2500  # rows that calibration and shares are fitted to, at most: they are few numbers
ITERATIONS = 40  # of L-BFGS
FIRST = 12  # of them from each start; the better one is continued
STARTS = (5.0, -3.0), (10.0, 1.5)  # slope where nothing is wrong, and log-odds of each kind: little noise, and much
LEAST_KEPT = 0.05  # of the signal, whatever the noise
FEW = 2.0  # rows that were seen before any was, spread over the kinds: keeps shares off 0
ROUNDS = 2  # of fits before the last, after each of which the sizes of resampled sets are told anew
WORTH = 0.01  # log-likelihood a row by which several kinds must fit better than one, over BIC's penalty for them
TIED = 1e-2  # penalty on the classes' offsets
STEEP = 10.0, 3.0  # slope that is expected where nothing is wrong, and penalty on its logarithm's distance: where rows
# are all alike, noise and doubt about the truth cannot be told apart by likelihood, and this takes it for noise


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

    @classmethod
    def of(cls, f: Tensor, y: Tensor, single: bool) -> Given:
        """Rows of predictions f and labels y."""
        frequency, mean = y.mean(0).clamp(1e-4, 1 - 1e-4), f.mean(0)
        scale = (frequency * (1 - frequency)).rsqrt()
        centre = frequency.log() if single else frequency.logit()
        return cls(f - mean, mean, y, single, centre, scale / scale.min(), shrinkage(f, y))

    def parts(self, slope: Tensor, at: Tensor) -> Rows:
        """What the kinds of noise ask of logits at + slope f."""
        if self.single:
            return Observed((at + slope * self.apart).clamp(-SURE, SURE), self.y)
        kept, out, into = ClassSums.apply(slope, at, self.apart, self.y > 0, SURE)
        return Sums(kept, out, into, self.y.sum(1), self.y.shape[1])


def fit_noise(
    predicted: Tensor, y: Tensor, *, single: bool, seed: int = 0, kinds: list[str] | None = None
) -> NoiseModel:
    """Calibration and shares of noise with the largest likelihood of the observed labels.

    Args:
        predicted: (n, c) predictions of each row's labels that did not see them.
        y: (n, c) observed labels.
        single: whether every row has one label.
        seed: of the rows it is fitted to, where there are many.
        kinds: of noise that may be found; all of them if None.
    """
    known = SINGLE if single else SEVERAL
    chosen = {name: known[name] for name in (kinds or known)}
    rows = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))[:FITTED].to(y.device)
    f, y = predicted[rows], y[rows].to(predicted)
    given = Given.of(f, y, single)
    if "resample" not in chosen:
        return _fewest(given, chosen)
    # Independent labels vary more in number than real ones do; where most rows are resampled, calibration would bend
    # until the numbers fit. So what the size of a resampled set says is held still while z is fitted.
    ways, size = log_ways(y), y.sum(1).long()
    of_size = frequent = (torch.bincount(size).to(f) / len(y)).log()[size]
    model = None
    for _ in range(ROUNDS):
        model = _best(given, {**chosen, "resample": _still(of_size - ways)}, model)[1]
        of_size = torch.logaddexp(frequent, log_size(model.logits(f), size)) - math.log(2)
    return _fewest(given, {**chosen, "resample": _still(of_size - ways)}, model)


def _still(known: Tensor) -> Likelihood:
    """A likelihood (n,) that does not depend on z."""
    return lambda rows: known


def _fewest(given: Given, kinds: dict[str, Likelihood], near: NoiseModel | None = None) -> NoiseModel:
    """The best model; or of one kind of noise, where that is hardly less likely.

    One kind is a case of all of them, so it cannot be much likelier: where it is, the search among all of them ended
    too early, as it does with hundreds of classes. Then, and where the most frequent kind will not do, each is tried.
    """
    loss, model = _best(given, kinds, near)
    names = sorted((name for name in kinds if name != "none"), key=model.shares.__getitem__, reverse=True)
    if len(names) == 1:
        return model
    worth = WORTH + (len(names) - 1) * math.log(len(given.y)) / (2 * len(given.y))
    simpler, other = _alone(given, kinds, names[0])
    if abs(simpler - loss) >= worth:
        tried = [(simpler, other), *(_alone(given, kinds, name) for name in names[1:])]
        simpler, other = min(tried, key=lambda one: one[0])
    return other if simpler - loss < worth else model


def _alone(given: Given, kinds: dict[str, Likelihood], name: str) -> tuple[float, NoiseModel]:
    """The loss and the model of one kind of noise."""
    return _best(given, {"none": kinds["none"], name: kinds[name]})


def _best(given: Given, kinds: dict[str, Likelihood], near: NoiseModel | None = None) -> tuple[float, NoiseModel]:
    """The smaller loss, and its model: from a model that is near, or from two starts, of which the better is continued.

    Args:
        given: the rows.
        kinds: of noise.
        near: the model of the same kinds that a search may begin with.
    """
    if near is not None:
        found = _Search.near(given, kinds, near)
    else:
        both = [_Search(given, kinds, *start).run(FIRST) for start in STARTS]
        found = min(both, key=lambda one: one.loss)
    found.run(ITERATIONS)
    return found.loss, found.model()


class _Search:
    """L-BFGS over slope, offsets and shares."""

    def __init__(self, given: Given, kinds: dict[str, Likelihood], steep: float, log_odds: float | Tensor) -> None:
        self.given, self.kinds, self.loss = given, kinds, math.inf
        self.keeps = kept_signal(list(kinds), given.y)
        self.steepness = given.apart.new_tensor(steep).log().requires_grad_()
        self.offset = torch.zeros_like(given.centre).requires_grad_()  # over its scale
        self.odds = torch.zeros(len(kinds) - 1).to(given.apart).add(log_odds).requires_grad_()
        parameters = [self.steepness, self.offset, self.odds]
        self.optimizer = torch.optim.LBFGS(parameters, line_search_fn="strong_wolfe")

    @classmethod
    def near(cls, given: Given, kinds: dict[str, Likelihood], model: NoiseModel) -> _Search:
        """Begins with a model."""
        shares = given.apart.new_tensor([model.shares[kind] for kind in kinds]).clamp(min=TINY)
        keeps = max(LEAST_KEPT, float(shares @ kept_signal(list(kinds), given.y)))
        found = cls(given, kinds, model.slope * keeps / given.shrunk, (shares[1:] / shares[0]).log())
        offset = model.offset + model.slope * given.mean - given.centre
        with torch.no_grad():
            found.offset.copy_(offset / given.scale)
        return found

    @property
    def log_shares(self) -> Tensor:
        return F.pad(self.odds, (1, 0)).log_softmax(0)

    @property
    def slope(self) -> Tensor:
        return self.given.shrunk * self.steepness.exp() / (self.log_shares.exp() @ self.keeps).clamp(min=LEAST_KEPT)

    def run(self, iterations: int) -> _Search:
        """Go on for so many iterations, at most."""
        self.optimizer.param_groups[0]["max_iter"] = iterations
        with torch.enable_grad():
            self.optimizer.step(self._closure)
        self.loss = self._value().item()
        return self

    def _closure(self) -> Tensor:
        self.optimizer.zero_grad()
        loss = self._value()
        loss.backward()
        return loss

    def _value(self) -> Tensor:
        given, log_shares, offset = self.given, self.log_shares, self.offset * self.given.scale
        penalty = TIED * offset.square().sum() - FEW * log_shares.mean()
        penalty = penalty + STEEP[1] * (self.steepness - math.log(STEEP[0])).square()
        rows = given.parts(self.slope, given.centre + offset)
        return (penalty - mixed(rows, self.kinds, log_shares).sum()) / len(given.y)

    def model(self) -> NoiseModel:
        """As it is now."""
        given, slope = self.given, self.slope.item()
        offset = (given.centre + self.offset * given.scale).detach() - slope * given.mean
        return NoiseModel(
            given.single, slope, offset, dict(zip(self.kinds, self.log_shares.exp().tolist(), strict=True))
        )


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
