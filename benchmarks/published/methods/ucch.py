"""The published code of UCCH, run on the CPU from a checkout that the user names; none of it is part of this project.

The checkout (GitHub: penghu-cs/UCCH) supplies the networks, the memory bank with its contrastive loss, and the ranking
loss; the training loop below follows its `train`. The networks' widths are arguments of the published classes.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.published.code import PublishedCode, import_from, stand_in
from benchmarks.published.told import AN_EPOCH, NOT_BELOW, SAME_STEPS, sections
from crossbit.data.types import PairedData
from crossbit.methods import Task, View

STUBS = ("torchvision", "torchvision.transforms", "torchvision.datasets", "torchvision.models", "pandas", "imp")


class Adapter(PublishedCode):
    """The published networks, memory bank, losses, optimiser and epoch, with the defaults of its command line."""

    variants: ClassVar = {
        "official": {"form": "official"},
        "paper": {"form": "paper"},
        "paper, L_c only": {"beta": 1.0},
        "paper, L_r only": {"beta": 0.0},
        "paper, max-margin only": {"beta": 0.0, "ranking": "max-margin"},
        "paper, real-valued keys": {"keys": "real"},
    }
    defaults: ClassVar = {"scale": True, "variants": ["published", "official", "paper"]}
    timed: ClassVar = {"float32": {"form": "official"}, "float32, paper": {"form": "paper"}}
    timed_epoch = 1  # after the warm-up: keys come from the bank
    batch = 256

    def __init__(self, data: PairedData, view: View, task: Task, args: argparse.Namespace) -> None:
        import_from(args.published)
        list(stand_in(*STUBS))
        make = {"image": import_module("nets.ImageNet").ImageNet, "text": import_module("nets.TextNet").TextNet}
        depths = {"image": 3, "text": 2}
        self.networks = {
            m: make[m](task.dims[m], task.bits, hiden_layer=depths[m], mid_num1=args.width, mid_num2=args.width)
            for m in view.features
        }
        self.parameters = [p for network in self.networks.values() for p in network.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=1e-4, weight_decay=1e-6)
        self.ranking = import_module("src.utils").ContrastiveLoss(0.2, shift=1.0)
        self.bank = on_cpu(import_module("NCE.NCEAverage").NCEAverage, task.bits, len(view), 4096, 0.9, 0.4)
        self.contrast = import_module("NCE.NCECriterion").NCESoftmaxLoss()
        columns = torch.arange(len(view)), view.features["image"], view.features["text"]
        dataset = torch.utils.data.TensorDataset(*columns)
        self.loader = torch.utils.data.DataLoader(dataset, batch_size=self.batch, shuffle=True, drop_last=True)
        self.bits, self.view = task.bits, view

    def train_on(self, index: Tensor, image: Tensor, text: Tensor, epoch: int, keys: Tensor | None = None) -> Tensor:
        """One training step on a batch; `keys` (m, K + 1) in place of rows of the bank drawn by the published code."""
        u, v = self.networks["image"](image), self.networks["text"](text)
        logits = self.bank(u, v, index, idx=keys, epoch=epoch - 1)
        loss = (self.contrast(logits[0]) + self.contrast(logits[1])) * 0.9 + self.ranking(u, v) * (1.0 - 0.9)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        return loss  # type: ignore[no-any-return]

    def epoch(self, number: int) -> None:
        for index, image, text in self.loader:
            self.train_on(index, image, text, number)

    def both(self, method: Any, view: View, rows: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Five steps of the warm-up, then five with keys from the bank: the same ones for both."""
        warming = number < 5
        draw = torch.Generator().manual_seed(number)
        keys = torch.randint(len(view), (len(rows), method.settings.negatives + 1), generator=draw)
        keys[:, 0] = rows
        ours = method.step(view, rows, None if warming else keys[:, 1:])[0]
        image, text = view.features["image"][rows], view.features["text"][rows]
        return ours, self.train_on(rows, image, text, 0 if warming else 1, keys)

    def pairs(self, method: Any) -> list[tuple[Tensor, Tensor]]:
        method.remember(self.view)
        return [*super().pairs(method), (method.buffers["memory"], self.bank.memory)]

    def to(self, dtype: torch.dtype) -> None:
        super().to(dtype)
        self.bank.to(dtype)
        self.bank.params[1] = 0.9 * math.sqrt(self.bits)  # float32 has rounded it
        self.bank.params[4] = 0.4

    @classmethod
    def batches(cls, view: View) -> Iterable[Tensor]:
        return (rows for rows in view.batches(cls.batch, number=1) if len(rows) == cls.batch)


def on_cpu(make: Any, *arguments: Any) -> Any:
    """Call `make` with `.cuda()` answered by the object itself."""
    originals = {kind: kind.cuda for kind in (torch.Tensor, torch.nn.Module)}
    for kind in originals:
        kind.cuda = lambda self: self  # type: ignore[method-assign,assignment]
    try:
        return make(*arguments)
    finally:
        for kind, original in originals.items():
            kind.cuda = original  # type: ignore[method-assign,assignment]


SECTIONS = sections(
    "ucch",
    speed=AN_EPOCH,
    steps=f"{SAME_STEPS} The drawn negatives are shared, too.",
    accuracy="64 bits, 20 epochs, the whole database, no labels; Wikipedia is standardised by the training rows. "
    f"{NOT_BELOW}",
)
