"""The published code of NRCH, run on the CPU from a checkout that the user names; none of it is part of this project.

The checkout (GitHub: LonganWANG-cs/NRCH) supplies the networks, the loss and the per-sample losses with their mixture;
the training loop below follows its `train`. What it asks of CUDA is answered by the CPU, and its imports of HDF5 and
torchvision by empty modules.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.published.code import PublishedCode, import_from, stand_in
from benchmarks.published.told import NOT_BELOW, SAME_STEPS, sections
from crossbit.data.types import PairedData
from crossbit.methods import Method, Task, View

STUBS = ("torchvision", "torchvision.transforms", "torchvision.datasets", "torchvision.models", "cv2", "h5py", "tqdm")
# a threshold this small trusts everything, and the pass over all samples is made as after the warm-up
SEPARATED = {"form": "official", "warmup": 0, "threshold": 1e-300, "schedule": "step"}


def load(checkout: Path, bits: int) -> dict[str, Any]:
    """The names that the published main script defines, without running its main part."""
    import_from(checkout)
    *_, tqdm = stand_in(*STUBS)
    tqdm.tqdm = getattr(tqdm, "tqdm", None)  # type: ignore[attr-defined]
    sys.argv = ["NRCH.py", "--hash_dim", str(bits)]
    names: dict[str, Any] = {"__name__": "published"}
    exec((checkout / "NRCH.py").read_text().split("if __name__")[0], names)
    torch.cuda.FloatTensor = torch.FloatTensor  # type: ignore[misc,attr-defined]
    return names


class Adapter(PublishedCode):
    """The published networks, loss, optimisers and epoch."""

    defaults: ClassVar = {"variants": ["published", "official", "paper", "paper, warm-up 5"]}
    noise = "swap-one:0.5"
    variants: ClassVar = {
        "official": {"form": "official"},
        "paper": {"form": "paper"},
        "official, warm-up 5": {"form": "official", "warmup": 5},
        "paper, warm-up 5": {"form": "paper", "warmup": 5},
    }
    timed: ClassVar = {"float32": SEPARATED, "float32, warm-up epoch": {"form": "official"}}
    passes = 1  # of the separator

    def __init__(self, data: PairedData, view: View, task: Task, args: argparse.Namespace) -> None:
        names, widths = load(args.published, task.bits), {"mid_num1": args.width, "mid_num2": args.width}
        image, text = view.features["image"], view.features["text"]
        self.net = names["ImgModule"](y_dim=image.shape[1], bit=task.bits, hiden_layer=3, **widths)
        self.txt = names["TxtModule"](y_dim=text.shape[1], bit=task.bits, hiden_layer=2, **widths)
        self.networks = {"image": self.net, "text": self.txt}
        self.W = torch.nn.Parameter(torch.nn.init.orthogonal_(torch.empty(task.classes, task.bits)))
        self.net.register_parameter("W", self.W)
        self.first = torch.optim.RMSprop(self.net.parameters(), lr=1e-5, weight_decay=1e-5)
        self.second = torch.optim.RMSprop(self.txt.parameters(), lr=1e-5, weight_decay=1e-5)
        self.loss = names["Robust_Loss"](None, task.bits)
        self.get_loss = names["get_loss"]
        self.config = {"lambda": 0.6, "threshold_rate": 0.3, "dataset": "x", "bit_len": task.bits, "noise_rate": 0.0}
        observed = view.observed("image").long()  # it prints the share of true labels among the trusted: not used
        columns = [image, text, observed, observed, torch.arange(len(image))]
        self.loader = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(*columns), batch_size=self.batch, shuffle=True
        )

    def step(self, view: View, rows: Tensor) -> Tensor:
        return self.train_on(view.features["image"][rows], view.features["text"][rows], view.observed("image")[rows])

    def train_on(self, image: Tensor, text: Tensor, label: Tensor) -> Tensor:
        """One training step on a batch."""
        self.first.zero_grad()
        self.second.zero_grad()
        u, v = self.net(image), self.txt(text)
        loss = self.loss(u, v, label.float(), self.config)
        target = (label - 0.5) * 2
        errors = (target - u.detach() @ self.W.tanh().t()) ** 2
        errors = errors + (target - v.detach() @ self.W.tanh().t()) ** 2
        loss = loss + errors.mean()
        loss.backward()
        self.first.step()
        self.second.step()
        return loss

    def epoch(self, number: int) -> None:
        """Per-sample losses and mixture, then one pass over the trusted samples."""
        _, trusted, _ = on_cpu(self.get_loss, self.net, self.txt, self.config, self.loader, 0.3, number, self.W)
        total = 0
        for image, text, _, label, rows in self.loader:
            keep = trusted[rows] == 1
            if keep.sum() > 0:
                total += self.train_on(image[keep], text[keep], label[keep])

    def pairs(self, method: Method) -> list[tuple[Tensor, Tensor]]:
        both = ((method.networks["image"].layers, self.net.fc), (method.networks["text"].layers, self.txt.fc))
        weights = [p for a, b in both for p in zip(a.parameters(), b.parameters(), strict=True)]  # type: ignore[union-attr,operator]
        return [*weights, (method.class_codes, self.W)]  # type: ignore[attr-defined]

    @classmethod
    def check_epoch(cls, figures: dict[str, Any]) -> None:
        if not figures["trusted"].all():
            raise RuntimeError("an epoch to be timed must trust every sample")


def on_cpu(function: Any, *arguments: Any) -> Any:
    """Call `function` with `tensor.to('cuda')` answered by the tensor itself, in a scratch folder."""
    original, here = torch.Tensor.to, Path.cwd()
    torch.Tensor.to = lambda self, *a, **k: self if a and a[0] == "cuda" else original(self, *a, **k)  # type: ignore[method-assign,assignment]
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        try:
            return function(*arguments)
        finally:
            os.chdir(here)
            torch.Tensor.to = original  # type: ignore[method-assign]


SECTIONS = sections(
    "nrch",
    speed="Width 8192, 64 bits, 5,000 pairs of glyphs, every sample trusted; the separator's pass over all samples "
    "made (*float32*), or not needed as the threshold is 0 (*warm-up epoch*). *products*: the matrix products alone.",
    steps=f"{SAME_STEPS} In float64 the two agree to rounding, so what is left in float32 is rounding, too: RMSprop "
    "divides a gradient by its own size, and where that size is near the rounding of a sum, a single weight may "
    "differ by a whole step.",
    accuracy="Glyphs, 50 % swap-one, 64 bits, width 8192, 20 epochs, the last one; for each seed the same vectors, "
    f"split and observed labels; 2,000 queries, mAP@all(ties=expected, empty=skip). {NOT_BELOW}",
)
