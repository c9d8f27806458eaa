"""Kinds of noise: the likelihood of observed labels, each in closed form.

Shapes: n rows, c classes; z (n, c) logits of the calibrated prediction, y (n, c) observed labels 0/1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from crossbit.posterior.sizes import log_size

NEVER = -1e30  # log of nothing, with finite gradients


class Observed:
    """Logits z and observed labels y of rows, and the parts (n,) that the likelihoods of several kinds share.

    Each part goes over all classes, and is computed once.
    """

    def __init__(self, z: Tensor, y: Tensor) -> None:
        self.z, self.y, self.classes = z, y, y.shape[1]

    @cached_property
    def size(self) -> Tensor:
        """|y| (n,): how many labels a row has."""
        return self.y.sum(1)

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
    def own(self) -> Tensor:
        """z of the one label of each row."""
        return (self.z * self.y).sum(1)

    @cached_property
    def others(self) -> Tensor:
        """log sum exp of z over all classes but the row's own."""
        return torch.where(self.y == 0, self.z, NEVER).logsumexp(1)


@dataclass
class Sums:
    """The parts (n,) alone, where they are known: enough for each kind but `resample`."""

    kept: Tensor
    out: Tensor
    into: Tensor
    size: Tensor
    classes: int


Rows = Any  # `Observed`, or `Sums`: the names of their parts are the same
Likelihood = Callable[[Rows], Tensor]  # -> log-likelihood (n,)


# --- kinds of noise, several labels a row -----------------------------------------------------------------------------


def _as_they_are(rows: Rows) -> Tensor:
    """Nothing was changed."""
    return rows.kept


def swap_one(rows: Rows) -> Tensor:
    """One label was taken for another: the truth is y without j and with k, for some j in y and k not in y.

    P(y - j + k) = P(y) exp(z_k - z_j), and each such swap has probability 1 / (|y| (c - |y|)).
    """
    ways = (rows.size * (rows.classes - rows.size)).clamp(min=1).log()
    return rows.kept + rows.out + rows.into - ways


def omit_one(rows: Rows) -> Tensor:
    """One label is missing: the truth is y with k, and had |y| + 1 labels to lose."""
    return rows.kept + rows.into - rows.size.add(1).log()


def add_one(rows: Rows) -> Tensor:
    """One label is too many: the truth is y without j, and had c - |y| + 1 labels to gain."""
    return rows.kept + rows.out - (rows.classes - rows.size).add(1).log()


def resample(rows: Rows) -> Tensor:
    """A random set of the true one's size, as likely as any other of that size: P(size) / (c choose size)."""
    return log_size(rows.z, rows.size.long()) - log_ways(rows.size, rows.classes)


def log_ways(size: Tensor, c: int) -> Tensor:
    """log (c choose size) (n,) of sizes (n,).

    >>> log_ways(torch.tensor([2.0]), 4).exp().round()
    tensor([6.])
    """
    return math.lgamma(c + 1) - torch.lgamma(size + 1) - torch.lgamma(c - size + 1)


def _log(x: Tensor) -> Tensor:
    """Logarithm of numbers that may be 0, with finite values and gradients in their own precision."""
    return x.clamp(min=torch.finfo(x.dtype).tiny).log()


# --- one label a row --------------------------------------------------------------------------------------------------


def _right_class(rows: Rows) -> Tensor:
    return rows.own - torch.logaddexp(rows.own, rows.others)


def flip(rows: Rows) -> Tensor:
    """Another class, any of them alike: (1 - P(y)) / (c - 1)."""
    return rows.others - torch.logaddexp(rows.own, rows.others) - math.log(max(1, rows.classes - 1))


SEVERAL: dict[str, Likelihood] = {
    "none": _as_they_are,
    "swap-one": swap_one,
    "resample": resample,
    "omit-one": omit_one,
    "add-one": add_one,
}
SINGLE: dict[str, Likelihood] = {"none": _right_class, "flip": flip}
