"""Optimisers that are faster than PyTorch's own for the same rule."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

# Adam's bias corrections 1 - beta^step are 1 to the last bit from here on, and float32 still counts single steps.
SETTLED = 1e7


def rmsprop(parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """RMSprop (decay .99) through the fused Adam kernel, which is several times faster on large layers.

    With a first-moment decay of 0 and settled bias corrections, Adam's rule is RMSprop's: v <- .99 v + .01 g^2,
    w <- w - lr g / (sqrt(v) + 1e-8), where g holds the weight decay. PyTorch has no fused RMSprop.
    """
    optimizer = torch.optim.Adam(parameters, lr=lr, betas=(0.0, 0.99), weight_decay=weight_decay, fused=True)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            zeros = torch.zeros_like(parameter), torch.zeros_like(parameter)
            step = torch.tensor(SETTLED, device=parameter.device)
            optimizer.state[parameter] = {"step": step, "exp_avg": zeros[0], "exp_avg_sq": zeros[1]}
    return optimizer


@torch.no_grad()
def clip_in_step(optimizer: torch.optim.Optimizer, largest: float) -> None:
    """Clip the norm of all gradients to `largest` when the fused optimiser reads them, without a pass of its own."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    scale = ((norm + 1e-6) / largest).clamp(min=1).float()  # what the kernel reads, whatever the weights are
    optimizer.grad_scale, optimizer.found_inf = scale, torch.zeros_like(scale)  # type: ignore[attr-defined]
