"""The few blocks that methods share."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.networks.pictures import Dim, with_backbone


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
        modality: with_backbone(
            settings.pictures, dim, partial(Encoder, hidden=[settings.width] * (depth - 1), bits=bits)
        )
        for (modality, dim), depth in zip(dims.items(), depths, strict=True)
    }
