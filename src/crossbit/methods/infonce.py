"""InfoNCE: a dual encoder, the contrastive loss that everyone knows, and the sign. A baseline.

It is what is left of UCCH and NRCH without their ideas: the encoders, optimiser and rows of UCCH, no memory bank, no
ranking loss, no labels. Each pair of a batch is a class of its own (van den Oord et al. 2018, Eq. 4; in both
directions, as CLIP).

Shapes: m pairs in a batch; u, v (m, bits) the unit rows of image and text encoder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.methods.base import Method, Task, View
from crossbit.methods.settings import Count, PictureSettings, Rate, Weight
from crossbit.networks import clip_in_step, dual_encoders

UCCH = {"epochs": 20, "width": 8192, "image_layers": 3, "lr": 1e-4}  # what UCCH's paper and code train with


@dataclass(frozen=True)
class InfonceSettings(PictureSettings):
    """InfoNCE's settings: UCCH's, where it has them."""

    epochs: Annotated[Count, "passes over the whole database"] = 6
    batch: Annotated[Count, "pairs in a step (as UCCH); every other pair of the batch is a negative"] = 256
    width: Annotated[Count, "width of the hidden layers"] = 512
    image_layers: Annotated[Count, "linear layers of the first modality's encoder (as UCCH)"] = 2
    text_layers: Annotated[Count, "linear layers of the second modality's encoder (as UCCH)"] = 2
    lr: Annotated[Rate, "learning rate of Adam"] = 1e-3
    weight_decay: Annotated[Weight, "L2 weight decay (as UCCH)"] = 1e-6
    clip: Annotated[Weight, "largest norm of all gradients together (as UCCH); 0: none"] = 1.0
    temperature: Annotated[Rate, "of the softmax over the batch (where CLIP begins)"] = 0.07


def info_nce_loss(u: Tensor, v: Tensor, *, temperature: float = 0.07) -> Tensor:
    """Cross-entropy of finding the own partner in the batch, mean over the pairs and both directions; a scalar.

    >>> eye = torch.eye(2)
    >>> info_nce_loss(eye, eye, temperature=1.0).item()  # log(1 + e^-1)
    0.31326...
    """
    similarities = u @ v.t() / temperature
    own = torch.arange(len(u), device=u.device)
    return (F.cross_entropy(similarities, own) + F.cross_entropy(similarities.t(), own)) / 2


class Infonce(Method):
    """Two encoders and one loss."""

    name = "infonce"
    title = "A dual encoder trained with InfoNCE (van den Oord et al. 2018), then the sign: a baseline"
    Settings = InfonceSettings
    presets = {"paper": UCCH}  # noqa: RUF012
    rows = "retrieval"
    sees_labels = False

    @classmethod
    def build_encoders(cls, settings: InfonceSettings, task: Task) -> Mapping[str, nn.Module]:
        return dual_encoders(settings, task.dims, task.bits)

    def frozen_epochs(self) -> float:
        return math.inf

    def build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        options = {"lr": self.settings.lr, "weight_decay": self.settings.weight_decay}
        return {"adam": torch.optim.Adam(self.networks.parameters(), fused=True, **options)}

    def step(self, view: View, rows: Tensor) -> Tensor:
        """One training step on these rows; returns the loss, detached."""
        with view.autocast():
            u, v = (view.through(self.networks[m], features[rows]) for m, features in view.features.items())
        loss = info_nce_loss(u, v, temperature=self.settings.temperature)
        optimizer = self.optimizers["adam"]
        optimizer.zero_grad()
        view.backward(loss)
        if self.settings.clip > 0:
            clip_in_step(optimizer, self.settings.clip)
        optimizer.step()
        return loss.detach()

    def train_epoch(self, view: View) -> dict[str, Any]:
        losses = [self.step(view, rows) for rows in view.batches(self.settings.batch)]
        return {"loss": float(torch.stack(losses).mean()), "steps": len(losses)}
