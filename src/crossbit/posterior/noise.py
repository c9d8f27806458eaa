"""How observed labels differ from the true ones: kinds of noise, their shares, and Bayes' rule.

A row's true labels are drawn from a calibrated prediction that has not seen the row's own labels, and then left alone
or damaged in one of several ways. The likelihood of what was observed has a closed form for each of them; calibration
and shares are fitted together by its maximum, from observed labels alone.

Shapes: n rows, c classes; z (n, c) logits of the calibrated prediction, y (n, c) observed labels 0/1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

TINY = 1e-9  # probabilities are kept this far from 0 and 1
NEVER = -1e30  # log of nothing, with finite gradients


class Observed:
    """Logits z and observed labels y of rows, and the parts (n,) that the likelihoods of several kinds share.

    Each part goes over all classes, and is computed once.
    """

    def __init__(self, z: Tensor, y: Tensor) -> None:
        self.z, self.y = z, y

    @cached_property
    def odds(self) -> Tensor:
        """P(label) / P(no label) (n, c): no number is too large, as logits are kept within `SURE`."""
        return self.z.exp()

    @cached_property
    def kept(self) -> Tensor:
        """log P(y), labels independent given the features: sum over classes of log P(y_c)."""
        return (self.z * self.y - self.odds.log1p()).sum(1)

    @cached_property
    def out(self) -> Tensor:
        """log of the sum over the labels j in y of P(y - j) / P(y)."""
        return _log(((self.y > 0) / self.odds).sum(1))

    @cached_property
    def into(self) -> Tensor:
        """log of the sum over the labels k not in y of P(y + k) / P(y)."""
        return _log(((self.y == 0) * self.odds).sum(1))

    @cached_property
    def log_class(self) -> Tensor:
        """log P(class) (n, c) of rows with one label."""
        return self.z.log_softmax(1)


Likelihood = Callable[[Observed], Tensor]  # -> log-likelihood (n,)


# --- kinds of noise, several labels a row -----------------------------------------------------------------------------


def _as_they_are(rows: Observed) -> Tensor:
    """Nothing was changed."""
    return rows.kept


def swap_one(rows: Observed) -> Tensor:
    """One label was taken for another: the truth is y without j and with k, for some j in y and k not in y.

    P(y - j + k) = P(y) exp(z_k - z_j), and each such swap has probability 1 / (|y| (c - |y|)).
    """
    size = rows.y.sum(1)
    ways = (size * (rows.y.shape[1] - size)).clamp(min=1).log()
    return rows.kept + rows.out + rows.into - ways


def omit_one(rows: Observed) -> Tensor:
    """One label is missing: the truth is y with k, and had |y| + 1 labels to lose."""
    return rows.kept + rows.into - rows.y.sum(1).add(1).log()


def add_one(rows: Observed) -> Tensor:
    """One label is too many: the truth is y without j, and had c - |y| + 1 labels to gain."""
    return rows.kept + rows.out - (rows.y.shape[1] - rows.y.sum(1)).add(1).log()


def resample(rows: Observed) -> Tensor:
    """A random set of the true one's size, as likely as any other of that size: P(size) / (c choose size)."""
    return log_size(rows.z, rows.y.sum(1).long()) - log_ways(rows.y)


def log_ways(y: Tensor) -> Tensor:
    """log (c choose size) (n,) of rows (n, c).

    >>> log_ways(torch.tensor([[1.0, 0.0, 0.0, 1.0]])).exp().round()
    tensor([6.])
    """
    size, c = y.sum(1), y.shape[1]
    return math.lgamma(c + 1) - torch.lgamma(size + 1) - torch.lgamma(c - size + 1)


def log_size(z: Tensor, size: Tensor) -> Tensor:
    """Log-probability (n,) that `size` (n,) of c independent events with logits z happen (Poisson-binomial).

    >>> log_size(torch.zeros(1, 2), torch.tensor([1])).exp().item()
    0.5
    """
    largest = int(size.max()) if len(size) else 0
    p = z.sigmoid()
    counts = [torch.ones_like(p[:, 0])] + [torch.zeros_like(p[:, 0])] * largest
    table = torch.stack(counts, dim=1)  # (n, largest + 1): probability of each count so far
    for column in p.split(1, dim=1):
        table = table * (1 - column) + F.pad(table, (1, 0))[:, :-1] * column
    return _log(table.gather(1, size.unsqueeze(1)).squeeze(1))


def _log(x: Tensor) -> Tensor:
    """Logarithm of numbers that may be 0, with finite values and gradients in their own precision."""
    return x.clamp(min=torch.finfo(x.dtype).tiny).log()


def _over(z: Tensor, where: Tensor) -> Tensor:
    """log sum exp over the places where `where` holds; (n,)"""
    return torch.where(where, z, NEVER).logsumexp(1)


# --- one label a row --------------------------------------------------------------------------------------------------


def _right_class(rows: Observed) -> Tensor:
    return (rows.log_class * rows.y).sum(1)


def flip(rows: Observed) -> Tensor:
    """Another class, any of them alike: (1 - P(y)) / (c - 1)."""
    others = _over(rows.log_class, rows.y == 0)
    return others - math.log(max(1, rows.y.shape[1] - 1))


SEVERAL: dict[str, Likelihood] = {
    "none": _as_they_are,
    "swap-one": swap_one,
    "resample": resample,
    "omit-one": omit_one,
    "add-one": add_one,
}
SINGLE: dict[str, Likelihood] = {"none": _right_class, "flip": flip}


# --- the model --------------------------------------------------------------------------------------------------------

FITTED = 2500  # rows that calibration and shares are fitted to, at most: they are few numbers
ITERATIONS = 40  # of L-BFGS
STARTS = (5.0, -3.0), (10.0, 1.5)  # slope where nothing is wrong, and log-odds of each kind: little noise, and much
LEAST_KEPT = 0.05  # of the signal, whatever the noise
FEW = 2.0  # rows that were seen before any was, spread over the kinds: keeps shares off 0
ROUNDS = 2  # of fits before the last, after each of which the sizes of resampled sets are told anew
WORTH = 0.01  # log-likelihood a row by which several kinds must fit better than one, over BIC's penalty for them
SURE = 50.0  # logits are kept within: probabilities are 0 and 1 beyond, and their likelihoods lose digits
TIED = 1e-2  # penalty on the classes' offsets
STEEP = (
    10.0,
    3.0,
)  # slope that is expected where nothing is wrong, and penalty on its logarithm's distance: where rows are
# all alike, noise and doubt about the truth cannot be told apart by likelihood, and this takes it for noise


@dataclass
class NoiseModel:
    """Calibration z = slope f + offset of left-out predictions f, and the share of each kind of noise.

    Attributes:
        single: every row has one label: z goes through a softmax, else through a sigmoid.
        slope, offset: a number, and (c,).
        shares: of rows, by kind; "none" is among them.
    """

    single: bool
    slope: float
    offset: Tensor
    shares: dict[str, float]

    @property
    def kinds(self) -> dict[str, Likelihood]:
        known = SINGLE if self.single else SEVERAL
        return {name: known[name] for name in self.shares}

    def logits(self, predicted: Tensor) -> Tensor:
        """z (n, c) of predictions."""
        return (self.slope * predicted + self.offset).clamp(-SURE, SURE)

    def prior(self, z: Tensor) -> Tensor:
        """P(label) (n, c) before the row's own labels are looked at."""
        return z.softmax(1) if self.single else z.sigmoid()

    def to_logits(self, labels: Tensor) -> Tensor:
        """z of probabilities (n, c), so that `prior` gives them again."""
        labels = labels.clamp(TINY, 1 - TINY)
        return labels.log() if self.single else labels.logit()

    def log_likelihood(self, z: Tensor, y: Tensor) -> Tensor:
        """Of the observed labels, (n,)."""
        shares = torch.tensor(list(self.shares.values()), dtype=z.dtype, device=z.device)
        return _mixed(z, y, self.kinds, shares.log())

    def posterior(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """P(label) (n, c) after the row's own labels were looked at, and P(they are not the true ones) (n,).

        The first is the prior plus the gradient of the log-likelihood in z: for each kind of noise the true labels
        have a density that is exponential in z, so the gradient is posterior mean minus prior mean.
        """
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            likelihood = self.log_likelihood(z, y)
            (gradient,) = torch.autograd.grad(likelihood.sum(), z)
        z, likelihood = z.detach(), likelihood.detach()
        labels = (self.prior(z) + gradient).clamp(0, 1)
        return labels, -torch.expm1(self._kept(z, y, likelihood))

    def evidence(self, z: Tensor, y: Tensor) -> Tensor:
        """Log-odds (n,) that labels y are not the true ones; they tell rows apart whose probability is 1 in digits."""
        kept = self._kept(z, y, self.log_likelihood(z, y)).clamp(max=-TINY)
        return torch.log(-torch.expm1(kept)) - kept

    def _kept(self, z: Tensor, y: Tensor, likelihood: Tensor) -> Tensor:
        """Log-probability (n,) that labels y are the true ones, of which this is the log-likelihood."""
        return (self.kinds["none"](Observed(z, y)) + self._stays(y) - likelihood).clamp(max=0)

    def _stays(self, y: Tensor) -> Tensor:
        """Log-probability (n,) that labels y stay as they are; a resampled set may be the same set."""
        return (self.shares["none"] + self.shares.get("resample", 0.0) * (-log_ways(y)).exp()).log()


def _mixed(z: Tensor, y: Tensor, kinds: dict[str, Likelihood], log_shares: Tensor) -> Tensor:
    rows = Observed(z, y)
    parts = torch.stack([kind(rows) for kind in kinds.values()], dim=1)
    return (parts + log_shares).logsumexp(1)


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
    if "resample" not in chosen:
        return _fewest(f, y, chosen, single)
    # Independent labels vary more in number than real ones do; where most rows are resampled, calibration would bend
    # until the numbers fit. So what the size of a resampled set says is held still while z is fitted.
    ways, size = log_ways(y), y.sum(1).long()
    of_size = frequent = (torch.bincount(size).to(f) / len(y)).log()[size]
    for _ in range(ROUNDS):
        model = _best(f, y, {**chosen, "resample": _still(of_size - ways)}, single)[1]
        of_size = torch.logaddexp(frequent, log_size(model.logits(f), size)) - math.log(2)
    return _fewest(f, y, {**chosen, "resample": _still(of_size - ways)}, single)


def _still(known: Tensor) -> Likelihood:
    """A likelihood (n,) that does not depend on z."""
    return lambda rows: known


def _fewest(f: Tensor, y: Tensor, kinds: dict[str, Likelihood], single: bool) -> NoiseModel:
    """The best model; or of one kind of noise, where that is hardly less likely.

    One kind is a case of all of them, so it cannot be much likelier: where it is, the search among all of them ended
    too early, as it does with hundreds of classes. Then, and where the most frequent kind will not do, each is tried.
    """
    loss, model = _best(f, y, kinds, single)
    names = sorted((name for name in kinds if name != "none"), key=model.shares.__getitem__, reverse=True)
    if len(names) == 1:
        return model
    worth = WORTH + (len(names) - 1) * math.log(len(y)) / (2 * len(y))
    simpler, other = _alone(f, y, kinds, single, names[0])
    if abs(simpler - loss) >= worth:
        tried = [(simpler, other), *(_alone(f, y, kinds, single, name) for name in names[1:])]
        simpler, other = min(tried, key=lambda one: one[0])
    return other if simpler - loss < worth else model


def _alone(f: Tensor, y: Tensor, kinds: dict[str, Likelihood], single: bool, name: str) -> tuple[float, NoiseModel]:
    """The loss and the model of one kind of noise."""
    return _best(f, y, {"none": kinds["none"], name: kinds[name]}, single)


def _best(f: Tensor, y: Tensor, kinds: dict[str, Likelihood], single: bool) -> tuple[float, NoiseModel]:
    """The smaller loss, and its model, of L-BFGS from two starts."""
    return min((_fitted(f, y, kinds, single, *start) for start in STARTS), key=lambda one: one[0])


def _fitted(
    f: Tensor, y: Tensor, kinds: dict[str, Likelihood], single: bool, steep: float, log_odds: float
) -> tuple[float, NoiseModel]:
    """The loss and the model that L-BFGS finds from one start."""
    keeps = kept_signal(list(kinds), y)
    steepness = f.new_tensor(steep).log().requires_grad_()
    frequency = y.mean(0).clamp(1e-4, 1 - 1e-4)
    centre, mean = frequency.log() if single else frequency.logit(), f.mean(0)
    apart, shrunk = f - mean, shrinkage(f, y)
    offset = torch.zeros_like(centre).requires_grad_()
    odds = torch.full((len(kinds) - 1,), log_odds).to(f).requires_grad_()
    optimizer = torch.optim.LBFGS([steepness, offset, odds], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def log_shares() -> Tensor:
        return F.pad(odds, (1, 0)).log_softmax(0)

    def slope() -> Tensor:
        return shrunk * steepness.exp() / (log_shares().exp() @ keeps).clamp(min=LEAST_KEPT)

    def closure() -> Tensor:
        optimizer.zero_grad()
        z = (slope() * apart + centre + offset).clamp(-SURE, SURE)
        penalty = TIED * offset.square().sum() - FEW * log_shares().mean()
        penalty = penalty + STEEP[1] * (steepness - math.log(STEEP[0])).square()
        loss = (penalty - _mixed(z, y, kinds, log_shares()).sum()) / len(y)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
        loss = closure().item()
    shares = dict(zip(kinds, log_shares().detach().exp().tolist(), strict=True))
    steep = slope().item()
    return loss, NoiseModel(single, steep, (centre + offset).detach() - steep * mean, shares)


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
