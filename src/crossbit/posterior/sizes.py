"""How many of a row's classes are its labels: the Poisson-binomial distribution, compiled, with its gradient.

With a thousand classes, thousands of small steps of automatic differentiation would take most of a posterior's time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossbit.bits.compiled import JitKernel


def log_size(z: Tensor, size: Tensor) -> Tensor:
    """Log-probability (n,) that `size` (n,) of c independent events with logits z (n, c) happen (Poisson-binomial).

    >>> log_size(torch.zeros(1, 2), torch.tensor([1])).exp().item()
    0.5
    """
    return _LogSize.apply(z, size)


class _LogSize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, size: Tensor) -> Tensor:
        p, none = ((sign * z.detach().double()).sigmoid().cpu().numpy() for sign in (1, -1))
        slopes = np.empty_like(p if ctx.needs_input_grad[0] else p[:0])
        values = _log_size(p, none, size.cpu().numpy(), slopes)
        ctx.save_for_backward(torch.from_numpy(slopes).to(z))
        return torch.from_numpy(values).to(z)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (slopes,) = ctx.saved_tensors
        return grads[0].unsqueeze(1) * slopes, None


@JitKernel
def _log_size(p, none, size, slopes):  # type: ignore[no-untyped-def]
    """The values (n,); into slopes (n, c), unless it is empty, their derivatives in the logits of p; none is 1 - p.

    Row c of `table` has the probabilities of 0, 1, ... of the first c events. Backwards, `ahead` has those that the
    rest brings j to the row's size.
    """
    n, classes = p.shape
    most = 0
    for i in range(n):
        most = max(most, size[i])
    table, ahead = np.zeros((classes + 1, most + 1)), np.zeros(most + 2)
    values, least = np.empty(n), np.finfo(np.float64).tiny
    for i in range(n):
        k = size[i]
        table[0, : k + 1] = 0.0
        table[0, 0] = 1.0
        for c in range(classes):
            one, not_one = p[i, c], none[i, c]
            table[c + 1, 0] = table[c, 0] * not_one
            for j in range(1, k + 1):
                table[c + 1, j] = table[c, j] * not_one + table[c, j - 1] * one
        total = table[classes, k]
        values[i] = np.log(max(total, least))
        if len(slopes):
            ahead[: k + 2] = 0.0
            ahead[k] = 1.0
            for c in range(classes - 1, -1, -1):
                one, not_one, change = p[i, c], none[i, c], 0.0
                for j in range(k + 1):
                    change += table[c, j] * (ahead[j + 1] - ahead[j])
                    ahead[j] = ahead[j] * not_one + ahead[j + 1] * one
                slopes[i, c] = change * one * not_one / total if total > least else 0.0
    return values
