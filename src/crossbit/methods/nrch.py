"""NRCH: Robust Contrastive Cross-modal Hashing with Noisy Labels (L. Wang et al., ACM Multimedia 2024).

Robust contrastive hashing (RCH) takes only the homologous image-text pair as positive and uses the noisy labels only
to take same-class pairs out of the negatives. The dynamic noise separator (DNS) fits a two-component Gaussian mixture
to per-sample losses before every epoch and trains on the samples that it trusts. Where paper and published code
disagree, `form` says which is meant; docs/nrch.md lists the differences.

Shapes: n pairs in a batch, c classes; u, v (n, bits) the unit rows of the image and the text encoder.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from crossbit.methods.base import Method, Task, View
from crossbit.methods.settings import Count, Natural, PictureSettings, Rate, Share, Weight
from crossbit.networks import dual_encoders, rmsprop

# What the published code trains with.
PAPER = {"epochs": 100, "width": 8192, "image_layers": 3, "lr": 1e-5, "warmup": 19}


@dataclass(frozen=True)
class NrchSettings(PictureSettings):
    """NRCH's settings. The paper's text gives few numbers; those marked "code" are the published code's."""

    form: Annotated[
        Literal["paper", "official"],
        '"paper": both directions of RCH, threshold ramp; "official": what the published code computes',
    ] = "paper"
    epochs: Annotated[Count, "passes over the training rows (code: 100)"] = 32
    batch: Annotated[Count, "pairs in a step, of which only the trusted are used (code)"] = 128
    width: Annotated[Count, "width of the hidden layers (code: 8192)"] = 512
    image_layers: Annotated[Count, "linear layers of the first modality's encoder (code: 3)"] = 2
    text_layers: Annotated[Count, "linear layers of the second modality's encoder (code)"] = 2
    lr: Annotated[Rate, "learning rate of RMSprop (code: 1e-5)"] = 5e-4
    weight_decay: Annotated[Weight, "L2 weight decay (code)"] = 1e-5
    margin: Annotated[Weight, "m, Eqs. 2-3"] = 0.2
    shift: Annotated[Weight, "xi, Eq. 3: taken off negatives outside the margin"] = 1.0
    temperature: Annotated[Rate, "tau of the log-sum-exp bound, Eqs. 4-8"] = 1.0
    balance: Annotated[Share, "lambda, Eq. 9: contrastive part against quantisation"] = 0.6
    warmup: Annotated[Natural, "first epochs that trust every sample (code: 19)"] = 8
    threshold: Annotated[Share, "end value of the posterior from which a sample is trusted; 0: no separator"] = 0.3
    schedule: Annotated[
        Literal["auto", "ramp", "step"],
        'after the warm-up: "ramp" (paper), "step" to the end value (code), "auto": as `form`',
    ] = "auto"
    ramp: Annotated[Count, "epochs from 0 to the end value, counted from the first epoch"] = 100
    contrast: Annotated[
        Literal["rch", "triplet"], 'the contrastive part; "triplet": the hinge of Eq. 2 that RCH is made from'
    ] = "rch"
    label_mask: Annotated[bool, "pairs that share a label are no negatives (T); false: every other pair is one"] = True


# --- robust contrastive hashing ---------------------------------------------------------------------------------------


def robust_contrastive_loss(
    u: Tensor,
    v: Tensor,
    labels: Tensor,
    *,
    margin: float = 0.2,
    shift: float = 1.0,
    temperature: float = 1.0,
    balance: float = 0.6,
    form: str = "paper",
) -> Tensor:
    """RCH loss, Eq. 9: `balance` * (contrastive terms of both directions) + (1 - `balance`) * quantisation.

    Args:
        u, v: (n, bits) unit rows; tanh is applied once more, as in the published code.
        labels: (n, c) noisy labels, 0/1. Pairs that share one are no negatives: they add the constant 1 to the sum of
            exponentials.
        margin, shift, temperature: m, xi, tau of Eqs. 2-8.
        form: "paper" runs the second direction over the columns; "official" repeats the first, as published.

    Returns:
        A scalar, the mean over the batch.

    >>> eye = torch.eye(2)
    >>> robust_contrastive_loss(eye, eye, eye, balance=1.0).item()  # 2 (.2 + log(1 + e^(-1 - tanh(1)^2)))
    0.774568...
    """
    u, v = u.tanh(), v.tanh()
    similarity = u @ v.t()  # M (n, n)
    own = similarity.diagonal()  # M_ii (n,)
    shared = (labels @ labels.t() > 0).fill_diagonal_(False)  # T (n, n)
    first = _log_sum_exp(similarity, own, shared, margin, shift, temperature)
    second = first if form == "official" else _log_sum_exp(similarity.t(), own, shared, margin, shift, temperature)
    contrast = first + second - 2 * own + 2 * margin
    return (balance * contrast + (1 - balance) * _quantisation(u, v)).mean()


def _quantisation(u: Tensor, v: Tensor) -> Tensor:
    """Eq. 10 for each pair: how far the entries' sizes are from 1/sqrt(bits). (n,)"""
    target = u.shape[1] ** -0.5
    return ((u.abs() - target) ** 2).mean(1) + ((v.abs() - target) ** 2).mean(1)


def _log_sum_exp(
    similarity: Tensor, own: Tensor, shared: Tensor, margin: float, shift: float, temperature: float
) -> Tensor:
    """tau log sum_j exp(E_ij (1 - T_ij) / tau) for each row i, Eqs. 3-8; masks carry no gradient. (n,)"""
    inside = similarity >= (own - margin).unsqueeze(1)
    shifted = torch.where(inside, similarity, similarity - shift)  # S, Eq. 3
    diagonal = torch.eye(len(own), dtype=torch.bool, device=own.device)
    exponents = torch.where(diagonal, own.clamp(min=0), shifted)  # E: the code clamps the pair's own term
    return temperature * torch.logsumexp(exponents.masked_fill(shared, 0.0) / temperature, dim=1)


def triplet_loss(u: Tensor, v: Tensor, labels: Tensor, *, margin: float = 0.2, balance: float = 0.6) -> Tensor:
    """Eq. 2 in place of RCH's bound, an ablation: the hinges of all negatives, in both directions.

    Args:
        u, v, labels, margin, balance: as for `robust_contrastive_loss`; pairs that share a label add nothing.

    Returns:
        A scalar, the mean over the batch of each pair's sum of hinges.

    >>> eye = torch.eye(2)
    >>> triplet_loss(eye, eye.flip(0), eye, balance=1.0).item()  # 2 (.2 + tanh(1)^2): one negative in each direction
    1.56005...
    """
    u, v = u.tanh(), v.tanh()
    similarity = u @ v.t()  # M (n, n)
    short = margin - similarity.diagonal().unsqueeze(1)
    hinges = (similarity + short).clamp(min=0) + (similarity.t() + short).clamp(min=0)
    negative = (labels @ labels.t() == 0).fill_diagonal_(False)
    return (balance * (hinges * negative).sum(1) + (1 - balance) * _quantisation(u, v)).mean()


# --- class codes and the dynamic noise separator ----------------------------------------------------------------------


def _squared_errors(u: Tensor, v: Tensor, labels: Tensor, class_codes: Tensor) -> Tensor:
    """(yhat_jk - <u_j, tanh W_k>)^2 + (yhat_jk - <v_j, tanh W_k>)^2 with yhat = 2 y - 1. (n, c)"""
    codes, target = class_codes.tanh().t(), 2 * labels - 1
    return (target - u @ codes) ** 2 + (target - v @ codes) ** 2


def class_code_loss(u: Tensor, v: Tensor, labels: Tensor, class_codes: Tensor) -> Tensor:
    """Loss of the class codes alone (u and v get no gradient); a scalar, mean over samples and classes.

    Args:
        u, v: (n, bits) unit rows.
        labels: (n, c) noisy labels, 0/1.
        class_codes: W (c, bits), before their tanh.

    >>> w = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> round(class_code_loss(torch.eye(2), torch.eye(2), torch.eye(2), w).item(), 4)
    1.0568
    """
    return _squared_errors(u.detach(), v.detach(), labels, class_codes).mean()


@torch.no_grad()
def sample_losses(u: Tensor, v: Tensor, labels: Tensor, class_codes: Tensor) -> Tensor:
    """Eq. 11: each sample's worst squared error over its positive noisy labels; 0 where it has none. (n,), no gradient.

    >>> w = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> sample_losses(torch.eye(2), torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]]), w)
    tensor([0.1137, 2.0000])
    """
    return (_squared_errors(u, v, labels, class_codes) * labels).amax(1)


def clean_posterior(losses: np.ndarray, seed: int) -> tuple[np.ndarray, dict[str, Any] | None]:
    """Posterior of each sample to be clean: the component with the smaller mean of a two-component Gaussian mixture.

    Args:
        losses: (n,) per-sample losses; they are scaled to [0, 1] first. At most 10 steps, tolerance .5, as published.
        seed: of the mixture's k-means start.

    Returns:
        Posteriors (n,) in [0, 1], and the mixture as {"means", "variances", "weights", "low", "high"}: the clean
        component first; `low` and `high` are the losses that were scaled to 0 and 1. Losses that do not differ cannot
        be separated: posteriors 1, mixture None.

    >>> losses = np.array([0.1] * 50 + [0.8] * 50) + np.linspace(0, 0.05, 100)
    >>> posterior, mixture = clean_posterior(losses, seed=0)
    >>> bool((posterior[:50] > 0.99).all() and (posterior[50:] < 0.01).all())
    True
    """
    from sklearn.exceptions import ConvergenceWarning  # here: loading a model needs none of it
    from sklearn.mixture import GaussianMixture

    low, high = float(losses.min()), float(losses.max())
    if not high - low > 1e-6 * max(1.0, abs(high)):
        return np.ones(len(losses)), None
    scaled = ((losses - low + 1e-8) / (high - low + 1e-8)).reshape(-1, 1).astype(np.float64)
    mixture = GaussianMixture(n_components=2, max_iter=10, tol=0.5, reg_covar=5e-4, random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        posterior = mixture.fit(scaled).predict_proba(scaled)
    order = mixture.means_[:, 0].argsort()
    fitted = {
        "means": mixture.means_[order, 0],
        "variances": mixture.covariances_[order, 0, 0],
        "weights": mixture.weights_[order],
    }
    return posterior[:, order[0]], {key: value.tolist() for key, value in fitted.items()} | {"low": low, "high": high}


def threshold_at(epoch: int, settings: NrchSettings) -> float:
    """The posterior from which a sample is trusted in `epoch` (from 0).

    0 in the warm-up, then the ramp (paper) or the step (code).

    >>> threshold_at(0, NrchSettings()), threshold_at(99, NrchSettings())
    (0.0, 0.3)
    """
    if epoch < settings.warmup:
        return 0.0
    step = settings.schedule == "step" or (settings.schedule == "auto" and settings.form == "official")
    rise = 1.0 if step else min(1.0, epoch / max(1, settings.ramp - 1))
    return settings.threshold * rise


# --- the method -------------------------------------------------------------------------------------------------------


class Nrch(Method):
    """Two encoders, class codes beside them; before each epoch the separator chooses the samples."""

    name = "nrch"
    title = "Robust Contrastive Cross-modal Hashing with Noisy Labels (ACM MM 2024)"
    Settings = NrchSettings
    # Narrow layers take larger steps; a short warm-up lets the separator act in most of the epochs. Chosen on rows cut
    # out of the training rows, by their observed labels.
    presets = {"paper": PAPER}  # noqa: RUF012
    ablations = {  # noqa: RUF012
        "no noise separator": {"threshold": 0.0},
        "static threshold": {"schedule": "step"},
        "no label mask": {"label_mask": False},
        "no quantisation term": {"balance": 1.0},
        "triplet instead of RCH": {"contrast": "triplet"},
    }

    def __init__(self, settings: NrchSettings, task: Task) -> None:
        super().__init__(settings, task)
        self.first, self.second = task.dims
        codes = nn.init.orthogonal_(torch.empty(task.classes, task.bits))  # columns orthonormal where c > bits
        self.class_codes = nn.Parameter(codes)
        self.networks["class_codes"] = nn.ParameterList([self.class_codes])

    @classmethod
    def build_encoders(cls, settings: NrchSettings, task: Task) -> Mapping[str, nn.Module]:
        return dual_encoders(settings, task.dims, task.bits)

    def frozen_epochs(self) -> float:
        return math.inf  # the published code trains on features of networks that it never touches

    def build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        options = {"lr": self.settings.lr, "weight_decay": self.settings.weight_decay}
        first = [*self.networks[self.first].parameters(), self.class_codes]
        return {
            "first": rmsprop(first, **options),
            "second": rmsprop(self.networks[self.second].parameters(), **options),
        }

    def forward(self, view: View, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """u, v (n, bits) and the observed labels (n, c) of these rows."""
        with view.autocast():
            u = view.through(self.networks[self.first], view.features[self.first][rows])
            v = view.through(self.networks[self.second], view.features[self.second][rows])
        return u, v, view.observed()[rows]

    @torch.no_grad()
    def separate(self, view: View) -> tuple[Tensor, dict[str, Any]]:
        """The trusted rows of this epoch, bool (n,), and figures. Threshold 0 trusts everything at no cost."""
        threshold = threshold_at(view.epoch, self.settings)
        if threshold <= 0:
            return torch.ones(len(view), dtype=torch.bool, device=view.device), {"threshold": 0.0}
        batches = [
            sample_losses(*self.forward(view, rows), self.class_codes) for rows in view.batches(1024, shuffle=False)
        ]
        losses = torch.cat(batches).cpu().numpy()
        labelled = view.observed().any(1).cpu().numpy()  # the others have loss 0, which says nothing of the labelled
        posterior, mixture = np.ones(len(losses)), None
        if labelled.any():
            posterior[labelled], mixture = view.agree(lambda: clean_posterior(losses[labelled], view.random_seed()))
        trusted = torch.from_numpy(posterior >= threshold).to(view.device)
        return trusted, {"threshold": threshold, "sample_loss": losses, "posterior": posterior, "mixture": mixture}

    def contrast(self, u: Tensor, v: Tensor, labels: Tensor) -> Tensor:
        """Eq. 9, or what an ablation puts in its place."""
        s = self.settings
        labels = labels if s.label_mask else torch.zeros_like(labels)
        options: dict[str, Any] = {"margin": s.margin, "balance": s.balance}
        if s.contrast == "triplet":
            return triplet_loss(u, v, labels, **options)
        options |= {"shift": s.shift, "temperature": s.temperature, "form": s.form}
        return robust_contrastive_loss(u, v, labels, **options)

    def step(self, view: View, rows: Tensor) -> Tensor:
        """One training step on these rows; returns the loss, detached."""
        u, v, labels = self.forward(view, rows)
        loss = self.contrast(u, v, labels) + class_code_loss(u, v, labels, self.class_codes)
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
        view.backward(loss)
        for optimizer in self.optimizers.values():
            optimizer.step()
        return loss.detach()

    def train_epoch(self, view: View) -> dict[str, Any]:
        trusted, figures = self.separate(view)
        losses = []
        for batch in view.batches(self.settings.batch, number=1):
            rows = batch[trusted[batch]]
            if len(rows):  # a batch without a trusted sample is skipped
                losses.append(self.step(view, rows))
        loss = float(torch.stack(losses).mean()) if losses else None
        return {"loss": loss, "steps": len(losses), "trusted": trusted.cpu().numpy(), **figures}
