"""Baselines in a shared CCA space, where images and texts can be compared: signs, rotated signs, ITQ, and cosine.

No labels: the canonical directions (Hotelling 1936) are those in which the two modalities of a pair agree most. Codes
are signs of the canonical variates, directly or after a rotation; `cca-cosine` keeps the variates.

Shapes: x (n, d_x) and y (n, d_y) the features of n pairs, k directions.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.methods.base import Task, View
from crossbit.methods.canonical import CHUNK, SharedSpace, canonical_correlation, svd
from crossbit.methods.linear import ClosedForm, LinearEncoder, random_rotation
from crossbit.methods.settings import Count, Settings, Weight

ROWS = 20_000  # that the choice of the regularisation looks at, at most
LEAST, MOST = 100, 1000  # pairs held out for it: fewer say too little, more are not compared
LIGHTER = 1, 10, 100  # what the regularisation is divided by
OWN_FIRST = 0.75  # share of the held-out pairs that must find their own partner first with the lightest
NEAR = 0.01  # how near to the best share the heaviest must come that is taken


@dataclass(frozen=True)
class CcaSettings(Settings):
    """Settings of the shared space."""

    regularisation: Annotated[
        Weight, "added to each variance, in mean variances of the modality; chosen on held-out rows"
    ] = 3.0
    lighter: Annotated[
        bool, "a tenth or a hundredth of regularisation where most held-out pairs then find their own partner first"
    ] = True
    power: Annotated[Weight, "directions are weighted by their correlation to this power; chosen on held-out rows"] = (
        2.0
    )


@dataclass(frozen=True)
class ItqSettings(CcaSettings):
    """Settings of the shared space and of the rotation."""

    iterations: Annotated[Count, "alternations of codes and rotation, at most (Gong & Lazebnik 2011)"] = 50


# --- choice of the regularisation -------------------------------------------------------------------------------------


def own_first(x: Tensor, y: Tensor, groups: np.ndarray) -> float:
    """The share of pairs whose own partner is more similar, by cosine, than every row of another group; both ways.

    Args:
        x, y: embeddings (n, k), row i of both is pair i.
        groups: (n,) the number of each pair's group.

    >>> own_first(torch.eye(3), torch.eye(3)[[0, 2, 1]], np.arange(3))
    0.3333333333333333
    """
    similar, group = F.normalize(x) @ F.normalize(y).t(), torch.from_numpy(groups).to(x.device)
    others = similar.masked_fill(group[:, None] == group, -torch.inf)
    first = [similar.diagonal() > others.amax(side) for side in (0, 1)]
    return torch.stack(first).double().mean().item()


# --- iterative quantisation -------------------------------------------------------------------------------------------


def iterative_quantisation(z: Tensor, rotation: Tensor, iterations: int = 50) -> tuple[Tensor, list[float]]:
    """ITQ (Gong & Lazebnik, CVPR 2011, Eqs. 2-3): alternate B = sign(z R) and the R that brings z R nearest to B.

    Args:
        z: (n, k) centred embeddings.
        rotation: (k, bits) with orthonormal rows, bits >= k: where to start.
        iterations: at most; it ends when no code changes.

    Returns:
        R (k, bits) with orthonormal rows, and the mean squared error of B against z R, before each update of R and
        after the last: it never rises.

    >>> z = torch.tensor([[1.0, 0.1], [1.1, -0.1], [-1.0, 0.1], [-1.1, -0.1]])
    >>> R, errors = iterative_quantisation(z, random_rotation(2, 2, seed=0))
    >>> errors[0] > errors[-1]
    True
    """
    rotation, errors, before = rotation.to(z), [], None
    for _ in range(iterations):
        product, error = _quantise(z, rotation)
        errors.append(error)
        if before is not None and torch.equal(product, before):
            return rotation, errors
        left, _, right = svd(product)
        rotation, before = left @ right, product
    return rotation, [*errors, _quantise(z, rotation)[1]]


def _quantise(z: Tensor, rotation: Tensor) -> tuple[Tensor, float]:
    """z^T B (k, bits) for B = sign(z R), and the mean of (B - z R)^2."""
    product, error = torch.zeros_like(rotation), 0.0
    for part in z.split(CHUNK):
        turned = part @ rotation
        codes = torch.where(turned < 0, -1.0, 1.0).to(turned)
        product.addmm_(part.t(), codes)
        error += float(((codes - turned) ** 2).sum(dtype=torch.float64))
    return product, error / (len(z) * rotation.shape[1])


# --- the methods ------------------------------------------------------------------------------------------------------


class CcaSign(ClosedForm):
    """The signs of the canonical variates; if there are fewer of them than bits, after a random rotation into more."""

    name = "cca-sign"
    title = "Signs of a shared CCA space (Hotelling 1936)"
    Settings: ClassVar[type] = CcaSettings
    later = {"lighter": False}  # noqa: RUF012

    def __init__(self, settings: Any, task: Task) -> None:
        super().__init__(settings, task)
        self.buffers["regularisation"] = torch.tensor(settings.regularisation, dtype=torch.float64)  # that is used

    @classmethod
    def build_encoders(cls, settings: CcaSettings, task: Task) -> Mapping[str, nn.Module]:
        return {modality: LinearEncoder(dim, task.bits) for modality, dim in task.widths.items()}

    def train_epoch(self, view: View) -> dict[str, Any]:
        return {**super().train_epoch(view), "regularisation": self.buffers["regularisation"].item()}

    def fit(self, view: View) -> float:
        settings, features = self.settings, [view.features[modality] for modality in self.task.dims]
        directions = min(self.task.bits, *self.task.widths.values())
        regularisation = self.regularisation(view, directions)
        self.buffers["regularisation"] = torch.tensor(regularisation, dtype=torch.float64)
        options = {"regularisation": regularisation, "power": settings.power}
        space = canonical_correlation(*features, directions=directions, **options)
        rotation, loss = self.rotate(view, space)
        for modality, mean, weight in zip(self.task.dims, space.means, space.maps, strict=True):
            encoder: Any = self.networks[modality]
            encoder.mean.copy_(mean)
            encoder.weight.copy_(weight @ rotation)
        return loss

    def regularisation(self, view: View, directions: int) -> float:
        """A lighter one if it tells held-out pairs apart, else the given one, which keeps what many pairs share."""
        given, rng = self.settings.regularisation, np.random.default_rng(view.random_seed(1))
        rows = rng.permutation(len(view))[:ROWS]
        groups = rows if view.groups is None else view.groups[rows]
        names = rng.permutation(np.unique(groups))
        held = np.isin(groups, names[: len(names) // 5])
        if not self.settings.lighter or len(names) // 5 < LEAST:
            return given
        fitted, judged = ([view.features[m][some] for m in self.task.dims] for some in (rows[~held], rows[held][:MOST]))

        @functools.cache
        def first(weight: float) -> float:
            options = {"regularisation": weight, "power": self.settings.power}
            space = canonical_correlation(*fitted, directions=directions, **options)
            first, second = space.of(*judged)
            return own_first(first, second, groups[held][:MOST])

        if first(given / LIGHTER[-1]) <= OWN_FIRST:
            return given
        found = {given / divisor: first(given / divisor) for divisor in LIGHTER}
        used = next(weight for weight, share in found.items() if share >= max(found.values()) - NEAR)
        if used != given:
            told = f"of {len(judged[0]):,} held-out pairs {found[used]:.0%} then find their own partner first"
            view.say(f"regularisation {used:g} in place of {given:g}: {told}, not {found[given]:.0%}")
        return used

    def rotate(self, view: View, space: SharedSpace) -> tuple[Tensor, float]:
        """What the shared space is multiplied by before the sign, (k, bits), and the loss to report."""
        directions = len(space.correlations)
        if directions == self.task.bits:
            return torch.eye(directions).to(space.maps[0]), 1 - space.correlations.mean().item()
        return self.random_rotation(view, space), 1 - space.correlations.mean().item()

    def random_rotation(self, view: View, space: SharedSpace) -> Tensor:
        return random_rotation(len(space.correlations), self.task.bits, view.random_seed()).to(space.maps[0])


class CcaCosine(CcaSign):
    """The canonical variates themselves, ranked by cosine: what no code of this linear space should be above."""

    name = "cca-cosine"
    title = "Cosine in a shared CCA space, weighted by the correlations (Gong et al., IJCV 2014)"
    metric = "cosine"


class CcaRotation(CcaSign):
    """Signs after a random rotation, which spreads what the directions hold evenly over the bits."""

    name = "cca-rotation"
    title = "Signs of a randomly rotated CCA space (CCA-RR, Gong & Lazebnik, CVPR 2011)"

    def rotate(self, view: View, space: SharedSpace) -> tuple[Tensor, float]:
        return self.random_rotation(view, space), 1 - space.correlations.mean().item()


class CcaItq(CcaSign):
    """Signs after the rotation that brings the embeddings of both modalities nearest to their signs."""

    name = "cca-itq"
    title = "Iterative quantisation of a shared CCA space (CCA-ITQ, Gong & Lazebnik, CVPR 2011)"
    Settings = ItqSettings

    def rotate(self, view: View, space: SharedSpace) -> tuple[Tensor, float]:
        sides = zip(self.task.dims, space.means, space.maps, strict=True)
        embedded = [
            (part - mean.float()) @ weight.float()
            for modality, mean, weight in sides
            for part in view.features[modality].split(CHUNK)
        ]
        start = self.random_rotation(view, space)
        rotation, errors = iterative_quantisation(torch.cat(embedded), start, self.settings.iterations)
        return rotation.double(), errors[-1]
