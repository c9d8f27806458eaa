"""The few blocks that methods share."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.backbones import Dim, with_backbone

# Adam's bias corrections 1 - beta^step are 1 to the last bit from here on, and float32 still counts single steps.
SETTLED = 1e7


def linear_layers(widths: Sequence[int], *, dropout: float | None = None) -> nn.Sequential:
    """Linear layers from each width to the next; ReLU between them and, where it is given, dropout.

    >>> linear_layers([8, 16, 4], dropout=0.2)
    Sequential(
      (0): Linear(in_features=8, out_features=16, bias=True)
      (1): ReLU()
      (2): Dropout(p=0.2, inplace=False)
      (3): Linear(in_features=16, out_features=4, bias=True)
    )
    """
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        if layers:
            layers += [nn.ReLU()] if dropout is None else [nn.ReLU(), nn.Dropout(dropout)]
        layers.append(nn.Linear(before, after))
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """Features (n, dim) -> unit rows (n, bits): linear layers with ReLU between, tanh, l2 normalisation.

    The feature networks of UCCH and NRCH. PyTorch's default initialisation; no dropout, no batch norm.

    Args:
        dim: width of the features.
        hidden: widths of the hidden layers; empty for a linear map.
        bits: width of the output.

    >>> Encoder(8, [16], 4)(torch.zeros(2, 8)).norm(dim=1).round(decimals=4)
    tensor([1., 1.], grad_fn=<RoundBackward1>)
    """

    def __init__(self, dim: int, hidden: Sequence[int], bits: int) -> None:
        super().__init__()
        self.layers = linear_layers([dim, *hidden, bits])

    def forward(self, features: Tensor) -> Tensor:
        outputs = self.layers(features).tanh()
        return F.normalize(outputs.to(torch.promote_types(outputs.dtype, torch.float32)), dim=1)


def dual_encoders(settings: Any, dims: Mapping[str, Dim], bits: int) -> dict[str, nn.Module]:
    """An `Encoder` for each of two modalities: `image_layers` and `text_layers` linear layers, `width` wide.

    Args:
        settings: have these three, and those of `PictureSettings`.
        dims: of the first and the second modality; pixels get the network that the settings name in front.
        bits: width of the output.
    """
    depths = settings.image_layers, settings.text_layers
    return {
        modality: with_backbone(settings, dim, partial(Encoder, hidden=[settings.width] * (depth - 1), bits=bits))
        for (modality, dim), depth in zip(dims.items(), depths, strict=True)
    }


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
