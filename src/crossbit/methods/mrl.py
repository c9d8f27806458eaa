"""MRL: Learning Cross-Modal Retrieval with Noisy Labels (P. Hu et al., CVPR 2021).

Multimodal robust learning. Robust clustering (RC) pushes a sample away from the classes that it is not labelled with,
which weights it by its confidence where cross entropy weights it by its error; multimodal contrast (MC) draws the views
of one instance together and needs no label. Any number of modalities, each with labels of its own; retrieval is by
cosine of real vectors, codes are their signs. Where paper and published code disagree, `form` says which is meant;
docs/mrl.md lists the differences.

Shapes: n instances in a batch, m modalities, c classes; z (n, bits) the unit rows of an encoder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.errors import UserError
from crossbit.methods.base import Method, Task, View
from crossbit.methods.settings import Count, PictureSettings, Rate, Share
from crossbit.networks import Encoder
from crossbit.networks.pictures import with_backbone

BETAS = 0.5, 0.999  # Adam's (code)


PAPER = {"epochs": 100, "batch": 100, "width": 4096, "lr": 1e-4}  # section 4.1, and the code's batch


@dataclass(frozen=True)
class MrlSettings(PictureSettings):
    """MRL's settings. What the paper does not say is the published code's, marked "code"."""

    form: Annotated[
        Literal["paper", "official"],
        '"paper": MC with the self term, sum over modalities; "official": what the code computes',
    ] = "paper"
    epochs: Annotated[Count, "passes over the training rows (section 4.1: 100)"] = 16
    batch: Annotated[
        Count, "instances in a step (code: 100; the paper's number depends on the data set: see the presets)"
    ] = 128
    width: Annotated[Count, "width of the two hidden layers (section 4.1: 4096)"] = 512
    lr: Annotated[
        Rate, "learning rate of Adam in the first two epochs (section 4.1: 1e-4), then a half cosine to 0 (code)"
    ] = 1e-3
    temperature: Annotated[Rate, "tau of RC and MC, Eqs. 2 and 6"] = 1.0
    beta: Annotated[
        Share, "L = beta L_r + (1 - beta) L_c, Eq. 8 (code's command; paper: .5 to .8 do well on Wikipedia)"
    ] = 0.7
    loss: Annotated[Literal["robust", "cross-entropy"], 'L_r; "cross-entropy": the baseline in its place'] = "robust"
    multi_label: Annotated[bool, "allow several classes a sample, by an extension that is not in the paper"] = False


# --- robust clustering ------------------------------------------------------------------------------------------------


def robust_clustering_loss(z: Tensor, target: Tensor, centres: Tensor, *, temperature: float = 1.0) -> Tensor:
    """L_r of one modality, Eqs. 2 and 5: the mean of log(1 - p(target)), at most 0 and minimised.

    Args:
        z: (n, bits) unit rows.
        target: (n,) classes from 0, -1 for a sample without a label; or (n, c) labels 0/1. With several classes p is
            their sum (not in the paper). Samples with no class, or with all of them, are left out of the mean.
        centres: C (bits, c), unit columns.
        temperature: tau_1.

    Returns:
        A scalar. It is finite at any temperature: the logarithm is taken of the odds, never of a rounded 1 - p.

    >>> z = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> robust_clustering_loss(z, torch.tensor([0, 2]), torch.eye(3)).item()
    -0.548240...
    """
    odds, counted = _log_odds(z, target, centres, temperature)
    return -_mean(F.softplus(odds), counted)  # log(1 - p) = -log(1 + p / (1 - p))


def cross_entropy_loss(z: Tensor, target: Tensor, centres: Tensor, *, temperature: float = 1.0) -> Tensor:
    """The baseline in place of L_r: the mean of -log p(target); arguments as for `robust_clustering_loss`.

    >>> z = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> cross_entropy_loss(z, torch.tensor([0, 2]), torch.eye(3)).item()
    1.051444...
    """
    odds, counted = _log_odds(z, target, centres, temperature)
    return _mean(F.softplus(-odds), counted)


def _log_odds(z: Tensor, target: Tensor, centres: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """log(p / (1 - p)) of each sample's labels, and whether they tell it from other samples. (n,), bool (n,)"""
    logits = z @ centres / temperature  # a (n, c)
    classes = torch.arange(logits.shape[1], device=logits.device)
    member = target > 0 if target.ndim == 2 else target.unsqueeze(1) == classes
    never = torch.finfo(logits.dtype).min  # not -inf: a row of nothing else must have finite gradients, too
    inside, outside = (logits.masked_fill(mask, never).logsumexp(1) for mask in (~member, member))
    return inside - outside, member.any(1) & ~member.all(1)


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """The mean of the counted ones; 0 if there are none."""
    return torch.where(counted, values, 0.0).sum() / counted.sum().clamp(min=1)


# --- multimodal contrast ----------------------------------------------------------------------------------------------


def multimodal_contrastive_loss(z: Sequence[Tensor], *, temperature: float = 1.0, form: str = "paper") -> Tensor:
    """L_c, Eqs. 6 and 7: how much of its similarity to a batch each view has to the views of its own instance.

    Args:
        z: unit rows (n, bits) of each of m >= 2 modalities; row j of all of them is instance j.
        temperature: tau_2.
        form: "paper": a view is among the views of its instance; the mean over the batch, summed over modalities.
            "official": it is not, in both sums; twice the mean over all views.

    Returns:
        A scalar, at least 0.

    Raises:
        UserError: fewer than two modalities.

    >>> image, text = torch.eye(2), torch.tensor([[0.6, 0.8], [0.0, 1.0]])
    >>> multimodal_contrastive_loss([image, text]).item()
    0.989933...
    >>> multimodal_contrastive_loss([image, text], form="official").item()
    1.770898...
    """
    m, n = len(z), len(z[0])
    if m < 2:
        raise UserError(f"multimodal contrast of {m} modality has nothing to compare; it needs at least two")
    views = torch.cat(list(z))
    exponents = views @ views.t() / temperature  # (m n, m n)
    if form == "official":
        exponents.fill_diagonal_(-math.inf)
    own = exponents.view(m, n, m, n).diagonal(dim1=1, dim2=3)  # (m, m, n): [i, l, j] is z^i_j with z^l_j
    share = own.logsumexp(1).flatten() - exponents.logsumexp(1)  # log P, (m n,)
    return -(2 if form == "official" else m) * share.mean()


def rate_at(epoch: int, settings: MrlSettings) -> float:
    """The learning rate of `epoch` (from 0): a half cosine that is one epoch late, as in the published code.

    >>> settings = MrlSettings(epochs=30, lr=1e-4)
    >>> [f"{rate_at(epoch, settings):.5e}" for epoch in (0, 1, 2, 24)]
    ['1.00000e-04', '1.00000e-04', '9.97261e-05', '1.28428e-05']
    """
    return settings.lr * (1 + math.cos(math.pi * max(epoch - 1, 0) / settings.epochs)) / 2


# --- the method -------------------------------------------------------------------------------------------------------


class UnitEncoder(Encoder):
    """Features (n, dim) -> unit rows (n, bits): linear layers with ReLU between, l2 normalisation and no tanh.

    The paper divides by the norm alone; here a row of zeros stays one, and has no gradient.

    >>> UnitEncoder(8, [16], 4)(torch.zeros(2, 8)).norm(dim=1).round(decimals=4)
    tensor([1., 1.], grad_fn=<RoundBackward1>)
    """

    def forward(self, features: Tensor) -> Tensor:
        outputs = self.layers(features)
        outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        norms = outputs.norm(dim=1, keepdim=True)
        return outputs / norms.masked_fill(norms == 0, math.inf)


def first_centres(bits: int, classes: int) -> Tensor:
    """Unit columns (bits, classes): mutually orthogonal, or of a random normal matrix where there are more than bits.

    >>> centres = first_centres(8, 3)
    >>> torch.allclose(centres.t() @ centres, torch.eye(3), atol=1e-6)
    True
    """
    centres = torch.empty(bits, classes)
    return nn.init.orthogonal_(centres) if classes <= bits else F.normalize(nn.init.normal_(centres), dim=0)


class Mrl(Method):
    """An encoder for each modality, and class centres that all of them share."""

    name = "mrl"
    title = "Learning Cross-Modal Retrieval with Noisy Labels (CVPR 2021)"
    Settings = MrlSettings
    metric = "cosine"
    presets = {  # noqa: RUF012
        "paper": PAPER,
        "wikipedia": {**PAPER, "batch": 50, "beta": 0.7},
        "wikipedia-code": {
            **PAPER,
            "batch": 100,
            "beta": 0.7,
            "epochs": 30,
            "form": "official",
        },  # the published command
        "inria-websearch": {**PAPER, "batch": 200, "beta": 0.9},  # the middle of .85 to .95, which do well at noise .6
        "nus-wide": {**PAPER, "batch": 500},  # the paper chooses beta on validation rows and does not give it
        "xmedianet": {**PAPER, "batch": 500},
    }
    ablations = {  # noqa: RUF012
        "cross entropy in place of robust clustering": {"loss": "cross-entropy"},
        "cross entropy alone": {"loss": "cross-entropy", "beta": 1.0},
        "robust clustering alone": {"beta": 1.0},
        "multimodal contrast alone": {"beta": 0.0},
    }

    def __init__(self, settings: MrlSettings, task: Task) -> None:
        super().__init__(settings, task)
        self.centres = nn.Parameter(first_centres(task.bits, task.classes))
        self.networks["class_centres"] = nn.ParameterList([self.centres])

    @classmethod
    def choose_modalities(cls, modalities: list[str]) -> list[str]:
        """All of them, image and text first."""
        first = super().choose_modalities(modalities)
        return [*first, *(m for m in modalities if m not in first)]

    @classmethod
    def check_labels(cls, settings: MrlSettings, labels: Mapping[str, np.ndarray]) -> None:
        for modality, observed in labels.items():
            several = np.flatnonzero(observed.sum(axis=1) > 1)
            if len(several) and not settings.multi_label:
                raise UserError(
                    f"mrl is for one class a sample, and {len(several)} of {len(observed)} training rows have more "
                    f"({modality}); --set multi_label=true asks for the extension to several"
                )

    @classmethod
    def build_encoders(cls, settings: MrlSettings, task: Task) -> Mapping[str, nn.Module]:
        hidden = [settings.width, settings.width]
        return {
            modality: with_backbone(settings.pictures, dim, lambda width: UnitEncoder(width, hidden, task.bits))
            for modality, dim in task.dims.items()
        }

    def frozen_epochs(self) -> float:
        return math.inf

    def build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"adam": torch.optim.Adam(self.networks.parameters(), lr=self.settings.lr, betas=BETAS, fused=True)}

    @torch.no_grad()
    def normalise_centres(self) -> None:
        """Make the columns unit again, outside the graph; Adam's moments stay."""
        self.centres.copy_(F.normalize(self.centres, dim=0))

    def cluster(self, z: Tensor, target: Tensor) -> Tensor:
        """L_r of one modality, or the baseline; the published baseline has no temperature."""
        s = self.settings
        if s.loss == "robust":
            return robust_clustering_loss(z, target, self.centres, temperature=s.temperature)
        temperature = 1.0 if s.form == "official" else s.temperature
        return cross_entropy_loss(z, target, self.centres, temperature=temperature)

    def step(self, view: View, rows: Tensor) -> Tensor:
        """One training step on these rows; returns the loss."""
        return self.step_terms(view, rows)[0]

    def step_terms(self, view: View, rows: Tensor) -> Tensor:
        """One training step on these rows; returns L, L_r and L_c, detached."""
        s = self.settings
        self.normalise_centres()
        with view.autocast():
            z = {m: view.through(self.networks[m], features[rows]) for m, features in view.features.items()}
        clustering = torch.stack([self.cluster(z[m], view.observed(m)[rows]) for m in z]).sum()
        contrast = multimodal_contrastive_loss(list(z.values()), temperature=s.temperature, form=s.form)
        loss = s.beta * clustering + (1 - s.beta) * contrast  # Eq. 8
        optimizer = self.optimizers["adam"]
        optimizer.zero_grad()
        view.backward(loss)
        optimizer.step()
        return torch.stack([loss, clustering, contrast]).detach()

    def train_epoch(self, view: View) -> dict[str, Any]:
        rate = rate_at(view.epoch, self.settings)
        for group in self.optimizers["adam"].param_groups:
            group["lr"] = rate
        steps = [self.step_terms(view, rows) for rows in view.batches(self.settings.batch, number=1)]
        loss, clustering, contrast = torch.stack(steps).mean(0).tolist()
        figures = {"loss": loss, "clustering": clustering, "contrast": contrast}
        return {**figures, "learning_rate": rate, "steps": len(steps)}
