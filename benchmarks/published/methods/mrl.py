"""The published code of MRL, run on the CPU from a checkout that the user names; none of it is part of this project.

The checkout (GitHub: penghu-cs/MRL) supplies the networks, the robust clustering loss and the contrastive loss, which
stands inside the main script's `main` and is cut out of it; the training loop below follows its `train`.

Accuracy is measured in MRL's own protocol: the first 231 rows of `query` choose the epoch (their labels are clean), the
other 462 are searched against themselves across modalities, ranked by cosine of the real vectors; `last` is the same at
the last epoch. Vectors are standardised by the training rows, noise is flip:0.6:each, 30 epochs, 512 wide in the
recorded runs. All variants of a seed see the same observed labels. The published code runs with the fused Adam then:
the same rule, in two thirds of the time.
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

import numpy as np
import torch
from torch import Tensor

from benchmarks.published.code import PublishedCode, import_from
from benchmarks.published.sides import ours, published, vectors
from benchmarks.published.tables import summary
from benchmarks.published.told import AN_EPOCH, NOT_BELOW, SAME_STEPS, accuracy_tables, sections
from crossbit.data.types import PairedData
from crossbit.evaluation.cosine import CosineRanking
from crossbit.evaluation.measures import MeanAveragePrecision
from crossbit.evaluation.scoring import score_rankings
from crossbit.methods import Method, Task, View

TAU = 1.0
RATE = 1e-4  # of the published code; narrow layers take larger ones
VALIDATION = 231  # queries that choose the epoch, of Wikipedia's 693


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


def score(data: PairedData, rows: np.ndarray, networks: Any) -> dict[str, float]:
    """mAP@all by cosine of these rows searched against themselves, every modality against every other."""
    with torch.no_grad():
        z = {m: networks[m](torch.from_numpy(vectors(data, m, rows))).numpy() for m in data.modalities}
    assert data.label is not None
    labels = data.label[rows]
    sides = z, z, labels, labels, MeanAveragePrecision()
    return score_rankings(CosineRanking.of, *sides, data=data.name, method="mrl").map


class Adapter(PublishedCode):
    """The published networks, losses, optimiser and epoch."""

    defaults: ClassVar = {"width": 4096, "bits": 512, "epochs": 30, "scale": True, "lr": RATE}
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
    beta = 0.7  # of the published command, and our default
    fused = False  # the fused Adam is the same rule with fewer passes over memory; the published code has the other one

    def __init__(self, data: PairedData, view: View, task: Task, args: argparse.Namespace) -> None:
        import_from(args.published)
        self.rate = args.lr
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

    @classmethod
    def run(cls, data: PairedData, seed: int, args: argparse.Namespace, variant: str) -> dict[str, Any]:
        """Train, looking at the validation rows after every epoch; test figures of the best epoch and of the last."""
        networks, epoch = cls.side(data, seed, args, variant)
        query = data.splits["query"]
        best, figures, chosen = -1.0, {}, 0
        for number in range(args.epochs):
            epoch(number)
            value = float(np.mean(list(score(data, query[:VALIDATION], networks).values())))
            if value > best:
                best, chosen, figures = value, number + 1, score(data, query[VALIDATION:], networks)
            print(variant, seed, number + 1, round(value, 4), file=sys.stderr)
        return {"map": figures, "last": score(data, query[VALIDATION:], networks), "chosen": chosen, "validation": best}

    @classmethod
    def side(
        cls, data: PairedData, seed: int, args: argparse.Namespace, variant: str
    ) -> tuple[Any, Callable[[int], object]]:
        """The networks of a variant, and what trains one epoch of them."""
        if variant == "published":
            cls.fused = True  # the same rule; a step of the published one takes half as long again
            theirs = published(data, seed, args)
            return theirs.networks, theirs.epoch
        method, view = ours(data, seed, args, {**cls.variants[variant], "lr": args.lr})

        def epoch(number: int) -> None:
            view.epoch = number
            method.train_epoch(view)

        return method.networks, epoch

    @classmethod
    def table(cls, runs: list[dict[str, Any]]) -> dict[str, Any]:
        """By modalities, width and rate, choice of the epoch, variant: mean, deviation, and less the published."""
        values: dict[tuple[str, str, str, str], list[float]] = {}
        for line in runs:
            views = f"{', '.join(line['modalities'])}, width {line['width']}, lr {line.get('lr', RATE):g}"
            for choice, key in (("best on validation", "map"), ("last epoch", "last")):
                for direction, value in line[key].items():
                    values.setdefault((views, choice, line["variant"], direction), []).append(value)
        result: dict[str, Any] = {}
        for (views, choice, variant, direction), of in values.items():
            base = [] if variant == "published" else values.get((views, choice, "published", direction), [])
            result.setdefault(views, {}).setdefault(choice, {}).setdefault(variant, {})[direction] = summary(of, base)
        return result


SECTIONS = sections(
    "mrl",
    speed=AN_EPOCH,
    steps=SAME_STEPS,
    accuracy="Wikipedia, standardised by the training rows; MRL's protocol: 231 query rows choose the epoch, the other "
    "462 are searched against themselves across modalities by cosine; flip:0.6:each, the same observed labels for "
    f"all, 30 epochs, beta .7. {NOT_BELOW}",
    accuracy_body=accuracy_tables,
)
