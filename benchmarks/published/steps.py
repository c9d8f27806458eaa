"""Are the weights of both the same after ten identical steps?"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import Tensor

from benchmarks.published.sides import ours, published
from crossbit.data.types import PairedData


def steps(data: PairedData, args: argparse.Namespace) -> dict[str, Any]:
    """Ten steps of both from identical weights on identical batches, in float32 and, to see past rounding, float64."""
    return {str(dtype).removeprefix("torch."): ten_steps(data, args, dtype) for dtype in (torch.float32, torch.float64)}


def ten_steps(data: PairedData, args: argparse.Namespace, dtype: torch.dtype) -> dict[str, float]:
    """How far apart the weights of the two are, and how far they moved."""
    method, view = ours(data, 0, args, args.adapter.official)
    theirs = published(data, 0, args)
    method.networks.to(dtype)
    method.buffers = {name: x.to(dtype) for name, x in method.buffers.items()}
    theirs.to(dtype)
    method.optimizers = method.build_optimizers()
    view.features = {m: x.to(dtype) for m, x in view.features.items()}
    view.labels = None if view.labels is None else {m: x.to(dtype) for m, x in view.labels.items()}
    with torch.no_grad():
        for mine, other in theirs.pairs(method):
            other.copy_(mine)
    before = [mine.detach().clone() for mine, _ in theirs.pairs(method)]
    generator = torch.Generator().manual_seed(0)
    losses = []
    for number in range(10):
        rows = torch.randperm(len(view), generator=generator)[: theirs.batch]
        mine, other = theirs.both(method, view, rows, number)
        losses.append(abs(mine.item() - other.item()))
    mine, other = (list(side) for side in zip(*theirs.pairs(method), strict=True))
    apart, moved = distance(mine, other), distance(mine, before)
    return {
        "largest_weight_difference": max((a - b).abs().max().item() for a, b in zip(mine, other, strict=True)),
        "difference_to_weights": apart / distance(mine, [torch.zeros(())] * len(mine)),
        "difference_to_movement": apart / moved,
        "largest_loss_difference": max(losses),
    }


def distance(one: list[Tensor], other: list[Tensor]) -> float:
    """Euclidean distance between two lists of weights, all as one vector."""
    return float(sum(((a.detach() - b.detach()) ** 2).sum().double() for a, b in zip(one, other, strict=True)) ** 0.5)
