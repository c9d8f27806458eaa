"""The published code of MRL, run on the CPU from a checkout that the user names; none of it is part of this project.

The checkout (GitHub: penghu-cs/MRL) supplies the networks, the robust clustering loss and the contrastive loss, which
stands inside the main script's `main` and is cut out of it; the training loop below follows its `train`.
"""

from __future__ import annotations

import argparse
import math
import sys
import textwrap
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from _published import Published, import_from
from torch import Tensor

from crossbit.data.types import PairedData
from crossbit.methods import Method, Task, View

TAU = 1.0


def contrastive_loss(checkout: Path, views: int) -> Callable[..., Tensor]:
    """The published contrastive loss for this number of views."""
    source = (checkout / "main_noisy.py").read_text()
    start, end = source.index("    def cross_modal_contrastive_ctriterion"), source.index("    def train(epoch)")
    names: dict[str, Any] = {"torch": torch, "n_view": views}
    exec(textwrap.dedent(source[start:end]), names)
    return names["cross_modal_contrastive_ctriterion"]  # type: ignore[no-any-return]


def resize(network: Any, width: int) -> None:
    """Other hidden layers than the published 4096, made as the published ones are."""
    if width != network.fc1.out_features:
        network.fc1 = torch.nn.Linear(network.fc1.in_features, width)
        network.fc2 = torch.nn.Linear(width, width)
        network.fc3 = torch.nn.Linear(width, network.fc3.out_features)


class Adapter(Published):
    """The published networks, losses, optimiser and epoch."""

    defaults: ClassVar = {"width": 4096, "bits": 512, "epochs": 30, "scale": True}
    noise = "flip:0.6:each"
    variants: ClassVar = {
        "official": {"form": "official"},
        "paper": {"form": "paper"},
        "cross entropy": {"form": "official", "loss": "cross-entropy"},
        "cross entropy alone": {"form": "official", "loss": "cross-entropy", "beta": 1.0},
        "robust clustering alone": {"form": "official", "beta": 1.0},
        "multimodal contrast alone": {"form": "official", "beta": 0.0},
    }
    batch = 100
    rate = 1e-4
    beta = 0.7  # of the published command, and our default
    fused = False  # the fused Adam is the same rule with fewer passes over memory; the published code has the other one

    def __init__(self, data: PairedData, view: View, task: Task, args: argparse.Namespace) -> None:
        import_from(args.published)
        sys.argv = ["main_noisy.py"]
        image, text = (import_module(f"nets.{name}") for name in ("ImageNet", "TextNet"))
        kinds = {m: text.TextNet if m == "text" else image.ImageNet for m in view.features}
        self.networks = {m: kinds[m](input_dim=task.dims[m], output_dim=task.bits) for m in kinds}
        for network in self.networks.values():
            resize(network, args.width)
        whole = torch.nn.init.orthogonal_(torch.empty(task.bits, task.bits))
        self.C = whole[:, : task.classes].clone().requires_grad_()
        parameters = [self.C, *(p for network in self.networks.values() for p in network.parameters())]
        self.optimizer = torch.optim.Adam(parameters, lr=self.rate, betas=(0.5, 0.999), fused=self.fused or None)
        self.epochs = args.epochs
        self.clustering = import_module("src.utils").MeanClusteringError(task.classes, tau=TAU)
        self.contrast = contrastive_loss(args.published, len(kinds))
        columns = [view.features[m] for m in kinds] + [view.observed(m).argmax(1) for m in kinds]
        dataset = torch.utils.data.TensorDataset(*columns)
        self.loader = torch.utils.data.DataLoader(dataset, batch_size=self.batch, shuffle=True)

    def step(self, view: View, rows: Tensor) -> Tensor:
        features = [x[rows] for x in view.features.values()]
        return self.train_on(features, [view.observed(m)[rows].argmax(1) for m in view.features])

    def train_on(self, features: list[Tensor], targets: list[Tensor]) -> Tensor:
        """One training step on a batch."""
        self.C.data = (self.C / self.C.norm(dim=0, keepdim=True)).detach()
        self.optimizer.zero_grad()
        outputs = [network(x) for network, x in zip(self.networks.values(), features, strict=True)]
        losses = [self.clustering(z.mm(self.C), target) for z, target in zip(outputs, targets, strict=True)]
        loss = self.beta * sum(losses) + (1.0 - self.beta) * self.contrast(outputs, tau=TAU)
        loss.backward()
        self.optimizer.step()
        return loss

    def epoch(self, number: int) -> None:
        total = 0.0
        for batch in self.loader:
            views = len(self.networks)
            total += self.train_on(batch[:views], batch[views:]).item()
        for group in self.optimizer.param_groups:  # its cosine scheduler is told the epoch that has just ended
            group["lr"] = self.rate * (1 + math.cos(math.pi * number / self.epochs)) / 2

    def pairs(self, method: Method) -> list[tuple[Tensor, Tensor]]:
        return [*super().pairs(method), (method.centres, self.C)]  # type: ignore[list-item]

    def to(self, dtype: torch.dtype) -> None:
        super().to(dtype)
        self.clustering.to(dtype)
        self.C.data = self.C.data.to(dtype)
