"""Linear baselines: random codes, the codes of a linear classifier, and what these share with the CCA baselines.

Baselines are what a method has to beat before its ideas count; docs/baselines.md says why each is there. These take no
gradient steps over batches: their weights are made in the first epoch from all rows at once, and stay as they are.

Shapes: n rows, c classes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.methods.base import Method, Task, View
from crossbit.methods.canonical import mean_of
from crossbit.methods.settings import Count, Settings, Weight


class ClosedForm(Method):
    """Weights made in the first epoch, from all rows at once."""

    rows = "retrieval"
    sees_labels = False

    def __init__(self, settings: Any, task: Task) -> None:
        super().__init__(settings, task)
        self.buffers["loss"] = torch.full((), torch.nan, dtype=torch.float64)

    def build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {}

    @abstractmethod
    def fit(self, view: View) -> float | None:
        """Set the encoders' weights; returns what the fit left over, smaller is better, None where it has none."""

    @torch.no_grad()
    def train_epoch(self, view: View) -> dict[str, Any]:
        if view.epoch == 0:
            loss, *state = view.agree(lambda: (self.fit(view), *self.state()))
            self.load_state(*state)
            self.buffers["loss"] = torch.tensor(torch.nan if loss is None else loss, dtype=torch.float64)
        value = self.buffers["loss"].item()
        return {"loss": None if np.isnan(value) else value}


def random_rotation(rows: int, columns: int, seed: int) -> Tensor:
    """A random matrix (rows, columns) with orthonormal columns, or orthonormal rows where there are fewer rows. float64

    With orthonormal rows z @ R has the lengths and angles of z, in more dimensions than z has: this is how codes get
    more bits than there are directions or classes.

    >>> R = random_rotation(2, 5, seed=0)
    >>> torch.allclose(R @ R.t(), torch.eye(2).double())
    True
    """
    shape = max(rows, columns), min(rows, columns)
    normal = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    basis, triangle = torch.linalg.qr(normal)
    basis = basis * torch.where(triangle.diagonal() < 0, -1.0, 1.0)  # makes it uniform, whatever signs the QR takes
    return basis if rows >= columns else basis.t().contiguous()


def fixed_weights(*shape: int, dtype: torch.dtype = torch.float32) -> nn.Parameter:
    """Zeros to be filled in; no gradient ever."""
    return nn.Parameter(torch.zeros(shape, dtype=dtype), requires_grad=False)


class LinearEncoder(nn.Module):
    """(features - mean) @ weight: (n, dim) -> (n, bits)."""

    def __init__(self, dim: int, bits: int) -> None:
        super().__init__()
        self.mean, self.weight = fixed_weights(dim), fixed_weights(dim, bits)

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) @ self.weight


# --- random codes -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RandomSettings(Settings):
    """There is nothing to set."""


class RowHash(nn.Module):
    """Random codes: +1 or -1 (n, bits), the same for the same row, independent of those of every other row.

    Hashing modulo 2^64: the row's 32-bit words go into one of 32 bits by a random linear form, its square into each bit
    by another one; the square, so that rows that differ alike do not get codes that differ alike. Over the draw of the
    multipliers the bits of two different rows are independent coins (but for one pair in 2^32, which meets in the first
    step).
    """

    def __init__(self, dim: int, bits: int) -> None:
        super().__init__()
        self.words = fixed_weights(dim, dtype=torch.int64)
        self.factors, self.offsets = fixed_weights(bits, dtype=torch.int64), fixed_weights(bits, dtype=torch.int64)

    def forward(self, features: Tensor) -> Tensor:
        words = (features.float() + 0.0).contiguous().view(torch.int32).long()  # + 0: -0 and 0 are the same number
        row = ((words * self.words).sum(1, keepdim=True) >> 32) & 0xFFFFFFFF  # (n, 1)
        return torch.where(row * row * self.factors + self.offsets < 0, -1.0, 1.0)


class RandomCodes(ClosedForm):
    """A floor: every different row has a random code of its own, so a ranking by them is a random one."""

    name = "random"
    title = "Random codes: what any method must beat"
    Settings = RandomSettings
    floor = True
    scale_vectors = False  # a hash of the row itself

    @classmethod
    def build_encoders(cls, settings: RandomSettings, task: Task) -> Mapping[str, nn.Module]:
        return {modality: RowHash(dim, task.bits) for modality, dim in task.widths.items()}

    def fit(self, view: View) -> None:
        rng = np.random.default_rng(view.random_seed())
        for parameter in self.networks.parameters():
            drawn = rng.integers(-(2**63), 2**63, size=parameter.shape, dtype=np.int64)
            parameter.copy_(torch.from_numpy(drawn))


# --- a linear classifier (Sablayrolles et al.) ------------------------------------------------------------------------


@dataclass(frozen=True)
class ClassifierSettings(Settings):
    """Settings of the classifiers."""

    penalty: Annotated[
        Weight, "L2 on the weights, over features of mean variance 1; scikit-learn's default, as 1 / C"
    ] = 1.0
    iterations: Annotated[Count, "of L-BFGS, at most"] = 200


class ClassifierEncoder(nn.Module):
    """(class probabilities - their mean) @ rotation: (n, dim) -> (n, bits)."""

    def __init__(self, dim: int, classes: int, bits: int) -> None:
        super().__init__()
        self.classifier = LinearEncoder(dim, classes)
        self.bias, self.centre = fixed_weights(classes), fixed_weights(classes)
        self.rotation = fixed_weights(classes, bits)
        self.exclusive = fixed_weights(dtype=torch.bool)  # whether every sample has exactly one class

    def scores(self, features: Tensor) -> Tensor:
        """Probability of each class, (n, classes)."""
        logits = self.classifier(features) + self.bias
        return torch.where(self.exclusive, logits.softmax(1), logits.sigmoid())  # no branch: it is exported

    def forward(self, features: Tensor) -> Tensor:
        return (self.scores(features) - self.centre) @ self.rotation


class Classifier(ClosedForm):
    """A logistic classifier per modality; the codes are the signs of its centred, randomly rotated probabilities."""

    name = "classifier"
    title = "Codes of a linear classifier's output (Sablayrolles et al., ICASSP 2017, arXiv 1609.06753)"
    Settings = ClassifierSettings
    rows = "train"
    sees_labels = True

    @classmethod
    def build_encoders(cls, settings: ClassifierSettings, task: Task) -> Mapping[str, nn.Module]:
        return {modality: ClassifierEncoder(dim, task.classes, task.bits) for modality, dim in task.widths.items()}

    def fit(self, view: View) -> float:
        rotation = random_rotation(self.task.classes, self.task.bits, view.random_seed())
        losses = []
        for modality in self.task.dims:
            encoder: Any = self.networks[modality]
            features, labels = view.features[modality], view.observed(modality)
            encoder.rotation.copy_(rotation)
            labelled = labels.any(1)  # the others are unknown, not without a class
            if labelled.any():
                known = slice(None) if labelled.all() else labelled  # a slice copies nothing
                losses.append(fit_classifier(encoder, features[known], labels[known], self.settings))
            encoder.centre.copy_(mean_of(encoder.scores(features)))
        return float(np.mean(losses)) if losses else 0.0


@torch.enable_grad()
def fit_classifier(encoder: ClassifierEncoder, features: Tensor, labels: Tensor, settings: ClassifierSettings) -> float:
    """Logistic regression by L-BFGS over all rows, in place: multinomial where every row has exactly one class, else
    one class against the rest for each. Returns the mean cross-entropy of a row."""
    encoder.exclusive.fill_(bool((labels.sum(1) == 1).all()))
    mean = mean_of(features).float()
    scaled = features - mean
    scale = (scaled.norm() / scaled.numel() ** 0.5).clamp(min=1e-12)
    scaled /= scale
    weight = torch.zeros_like(encoder.classifier.weight, requires_grad=True)
    bias = torch.zeros_like(encoder.bias, requires_grad=True)
    entropy = F.cross_entropy if encoder.exclusive else F.binary_cross_entropy_with_logits
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=settings.iterations, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = entropy(scaled @ weight + bias, labels, reduction="sum")
        loss = (total + settings.penalty / 2 * weight.square().sum()) / len(labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        encoder.classifier.mean.copy_(mean)
        encoder.classifier.weight.copy_(weight / scale)
        encoder.bias.copy_(bias)
        return entropy(scaled @ weight + bias, labels, reduction="sum").item() / len(labels)
