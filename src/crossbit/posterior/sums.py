"""What the likelihoods of several labels a row add up over the classes, and its gradient, in closed form.

Automatic differentiation would keep a dozen arrays of all rows and classes; with a thousand classes nearly all the time
of a fit went there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BLOCK = 1 << 16  # numbers at a time: they stay in the processor's cache
FACTORS = 8  # odds that are multiplied before their logarithm is taken: e^(8 * 50) is no overflow


class ClassSums(torch.autograd.Function):
    """log P(y), and the logs of what a label less and a label more make of it, for logits z = at + slope f.

    Args of `apply`: slope (a number), at (c,), f (n, c), row and column (labels,) of each label in order of rows, and
    sure: logits are kept within it.

    Returns (n,) each: `kept`, `out` and `into` of `crossbit.posterior.kinds.Observed`.
    """

    @staticmethod
    def forward(
        ctx: Any, slope: Tensor, at: Tensor, f: Tensor, row: Tensor, column: Tensor, sure: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        kept, into = f.new_zeros(len(f)), f.new_zeros(len(f))
        odds, ctx.clamped = torch.empty_like(f), False  # 0 where y holds
        for rows in _blocks(f):
            z = torch.addcmul(at, f[rows], slope)
            ctx.clamped = ctx.clamped or max(-z.min().item(), z.max().item()) >= sure
            part = torch.exp(z.clamp_(-sure, sure), out=odds[rows])
            kept[rows] -= _log1p_sum(part)
            first, last = torch.searchsorted(row, row.new_tensor([rows.start, rows.stop])).tolist()
            part[row[first:last] - rows.start, column[first:last]] = 0
            into[rows] = part.sum(1)
        own = torch.addcmul(at[column], f[row, column], slope).clamp_(-sure, sure)
        kept.index_add_(0, row, own)
        out = f.new_zeros(len(f)).index_add_(0, row, (-own).exp())
        ctx.save_for_backward(slope, at, f, row, column, own, odds, out, into)
        ctx.sure = sure
        least = torch.finfo(f.dtype).tiny
        return kept, out.clamp(min=least).log(), into.clamp(min=least).log()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        slope, at, f, row, column, own, odds, out, into = ctx.saved_tensors
        least = torch.finfo(f.dtype).tiny
        kept, less = grads[0], torch.where(out > least, grads[1] / out.clamp(min=least), 0)
        more = torch.where(into > least, grads[2] / into.clamp(min=least), 0)
        of_slope, of_at = torch.zeros_like(slope), torch.zeros_like(at)
        for rows in _blocks(f):
            part = odds[rows]  # d kept = -odds / (1 + odds), d into = odds / sum of odds
            change = (more[rows].unsqueeze(1) - kept[rows].unsqueeze(1) / (1 + part)).mul_(part)
            if ctx.clamped:
                change *= torch.addcmul(at, f[rows], slope).abs() < ctx.sure
            of_at += change.sum(0)
            of_slope += torch.dot(change.flatten(), f[rows].flatten())
        change = (kept[row] * (-own).sigmoid() - less[row] * (-own).exp()) * (own.abs() < ctx.sure)
        of_at.index_add_(0, column, change)
        return of_slope + (change * f[row, column]).sum(), of_at, None, None, None, None


def _blocks(f: Tensor) -> list[slice]:
    size = max(1, BLOCK // max(1, f.shape[1]))
    return [slice(start, start + size) for start in range(0, len(f), size)]


def _log1p_sum(x: Tensor) -> Tensor:
    """sum_c log(1 + x_c) (n,) of x (n, c): few logarithms, of products.

    >>> _log1p_sum(torch.tensor([[1.0, 3.0, 0.0]])).exp().round()
    tensor([8.])
    """
    whole = x.shape[1] // FACTORS * FACTORS
    products = (1 + x[:, :whole]).unflatten(1, (FACTORS, -1)).prod(1) if whole else x[:, :0]
    return products.log().sum(1) + x[:, whole:].log1p().sum(1)
