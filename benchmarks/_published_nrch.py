"""The published code of NRCH, run on the CPU from a checkout that the user names; none of it is part of this project.

The checkout (GitHub: LonganWANG-cs/NRCH) supplies the networks, the loss and the per-sample losses with their mixture;
the training loop below follows its `train`. What it asks of CUDA is answered by the CPU, and its imports of HDF5 and
torchvision by empty modules.
"""

from __future__ import annotations

import os
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

STUBS = (
    "torchvision",
    "torchvision.transforms",
    "torchvision.datasets",
    "torchvision.models",
    "cv2",
    "h5py",
    "tqdm",
)


def load(checkout: Path, bits: int) -> dict[str, Any]:
    """The names that the published main script defines, without running its main part."""
    for name in STUBS:
        sys.modules.setdefault(name, types.ModuleType(name))
    vision = sys.modules["torchvision"]
    vision.transforms, vision.models = sys.modules["torchvision.transforms"], sys.modules["torchvision.models"]  # type: ignore[attr-defined]
    vision.datasets = sys.modules["torchvision.datasets"]  # type: ignore[attr-defined]
    sys.modules["tqdm"].tqdm = getattr(sys.modules["tqdm"], "tqdm", None)  # type: ignore[attr-defined]
    sys.path.insert(0, str(checkout))
    sys.argv = ["NRCH.py", "--hash_dim", str(bits)]
    names: dict[str, Any] = {"__name__": "published"}
    exec((checkout / "NRCH.py").read_text().split("if __name__")[0], names)
    torch.cuda.FloatTensor = torch.FloatTensor  # type: ignore[misc,attr-defined]
    return names


class Published:
    """The published networks, loss, optimisers and epoch.

    Args:
        checkout: folder with the published files.
        image, text: float32 features of the training rows.
        label, observed: 0/1 labels of the training rows, true and noisy.
        bits: code length.
        width: of the hidden layers; 8192 is what the published code has.
        warmup: epochs that trust everything; 19 is what the published code does.
    """

    def __init__(
        self,
        checkout: Path,
        image: np.ndarray,
        text: np.ndarray,
        label: np.ndarray,
        observed: np.ndarray,
        bits: int,
        width: int = 8192,
        warmup: int = 19,
    ) -> None:
        names, widths = load(checkout, bits), {"mid_num1": width, "mid_num2": width}
        self.net = names["ImgModule"](y_dim=image.shape[1], bit=bits, hiden_layer=3, **widths)
        self.txt = names["TxtModule"](y_dim=text.shape[1], bit=bits, hiden_layer=2, **widths)
        self.W = torch.nn.Parameter(torch.nn.init.orthogonal_(torch.empty(label.shape[1], bits)))
        self.net.register_parameter("W", self.W)
        self.first = torch.optim.RMSprop(self.net.parameters(), lr=1e-5, weight_decay=1e-5)
        self.second = torch.optim.RMSprop(self.txt.parameters(), lr=1e-5, weight_decay=1e-5)
        self.loss = names["Robust_Loss"](None, bits)
        self.get_loss = names["get_loss"]
        self.config = {"lambda": 0.6, "threshold_rate": 0.3, "dataset": "x", "bit_len": bits, "noise_rate": 0.0}
        columns = [torch.from_numpy(image), torch.from_numpy(text), torch.from_numpy(label.astype(np.int64))]
        columns += [torch.from_numpy(observed.astype(np.int64)), torch.arange(len(image))]
        self.loader = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(*columns), batch_size=128, shuffle=True
        )
        self.shift = 19 - warmup  # the published code compares epoch + 1 with 20
        self.precision = float("nan")

    def step(self, image: torch.Tensor, text: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
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
        _, trusted, self.precision = on_cpu(
            self.get_loss, self.net, self.txt, self.config, self.loader, 0.3, number + self.shift, self.W
        )
        total = 0
        for image, text, _, label, rows in self.loader:
            keep = trusted[rows] == 1
            if keep.sum() > 0:
                total += self.step(image[keep], text[keep], label[keep])

    @torch.no_grad()
    def embed(self, image: np.ndarray, text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outputs of both networks, float32 (n, bits)."""
        return tuple(  # type: ignore[return-value]
            np.concatenate([net(torch.from_numpy(x[i : i + 2048])).numpy() for i in range(0, len(x), 2048)])
            for net, x in ((self.net, image), (self.txt, text))
        )


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
