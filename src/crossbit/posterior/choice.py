"""Choice of the kernel and the penalty by leave-one-out error on the observed labels: no clean label, no test query."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
from torch import Tensor

from crossbit.posterior.regression import Features, RbfKernel, landmark_root, left_out_by_ridge, squared_distances, take

GAMMAS = 0.125, 0.5, 2.0
RIDGES = [2.0**k for k in range(-8, 7)]
STEPS = {2: 5, 3: 3, 4: 2}  # how finely the first search divides the weights, by the number of modalities
MIXED = 128  # columns to which more labels than that are mixed while errors are compared
COARSE, FINE = (1500, 300), (4000, 600)  # rows and landmarks of the two searches, at most


def choose(features: Features, labels: Tensor, seed: int, groups: Tensor | None = None) -> tuple[RbfKernel, float]:
    """The kernel and the ridge with the smallest leave-one-out error, coarse to fine.

    Both searches are over a random part of the rows, the first over a grid, the second near its best; distances are
    computed once for each. The error is that of the Nystrom approximation, of many labels in a random projection.

    Args:
        features: by modality (n, dim).
        labels: observed labels (n, c).
        seed: of the random part.
        groups: (n,) rows with the same number belong together: one of them is taken.
    """
    draw = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed)).to(labels.device)
    if groups is not None:
        draw = draw[_first_of_each(groups[draw])]
    scales = {modality: median_distance(x[draw[:1000]]) for modality, x in features.items()}
    first = [RbfKernel(weights, gamma, scales) for gamma in GAMMAS for weights in simplex(list(features))]
    labels = projected(labels, seed)
    best, _ = _best(first, features, labels, draw, COARSE)
    return _best(_near(best), features, labels, draw, FINE)


def ridges_for(kernel: RbfKernel, features: Features, labels: Tensor, draw: Tensor, seed: int) -> list[float]:
    """The ridge with the smallest leave-one-out error of a kernel on a random part of the rows, and its neighbours.

    Args:
        kernel: of the modalities.
        features, labels: as for `choose`.
        draw: (n,) the rows in random order.
        seed: of the projection of many labels.
    """
    _, ridge = _best([kernel], features, projected(labels, seed), draw, FINE)
    return [near for near in near_ridges(ridge) if near in RIDGES]


def projected(labels: Tensor, seed: int) -> Tensor:
    """Labels (n, c) in `MIXED` random directions, where there are more: squared errors stay as they are, on average.

    >>> projected(torch.eye(1000), 0).square().sum(1).mean().round().item()
    1.0
    """
    if labels.shape[1] <= MIXED:
        return labels
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(labels.shape[1], MIXED, generator=generator, dtype=torch.float64).to(labels.device)
    return labels.double() @ directions / MIXED**0.5


def _first_of_each(groups: Tensor) -> Tensor:
    """Positions of the first row of each group, in order."""
    numbers = groups.unique(return_inverse=True)[1]
    places = torch.arange(len(groups), device=groups.device)
    first = places.new_full((int(numbers.max()) + 1,), len(groups)).scatter_reduce(0, numbers, places, "amin")
    return first.sort().values


def median_distance(x: Tensor) -> float:
    """Median squared distance of different rows (n, dim); 1 where most of them are equal.

    >>> median_distance(torch.tensor([[0.0], [1.0], [3.0]]))
    4.0
    """
    distances = squared_distances(x.double(), x.double())
    upper = distances[torch.ones_like(distances, dtype=torch.bool).triu(1)]
    middle = upper.median().item() if len(upper) else 0.0
    return middle if middle > 0 else 1.0


def simplex(modalities: list[str]) -> list[dict[str, float]]:
    """Weights that sum to 1, evenly spread; for many modalities each alone and all alike.

    >>> simplex(["image", "text"])[:2]
    [{'image': 0.0, 'text': 1.0}, {'image': 0.2, 'text': 0.8}]
    """
    m = len(modalities)
    steps = STEPS.get(m, 1)
    points = [p for p in itertools.product(range(steps + 1), repeat=m) if sum(p) == steps]
    weights = [[k / steps for k in point] for point in points]
    if m > max(STEPS):
        weights.append([1 / m] * m)
    return [dict(zip(modalities, point, strict=True)) for point in weights]


def _near(kernel: RbfKernel) -> list[RbfKernel]:
    """The kernel with other gammas, and with weight moved to each modality."""
    others = [RbfKernel(kernel.weights, kernel.gamma * factor, kernel.scales) for factor in (0.5, 1.0, 2.0)]
    for modality in kernel.weights if len(kernel.weights) > 1 else ():
        moved = {m: 0.9 * w + 0.1 * (m == modality) for m, w in kernel.weights.items()}
        if moved != kernel.weights:
            others.append(RbfKernel(moved, kernel.gamma, kernel.scales))
    return others


def _best(
    kernels: Iterable[RbfKernel], features: Features, labels: Tensor, draw: Tensor, sizes: tuple[int, int]
) -> tuple[RbfKernel, float]:
    rows, most = draw[: sizes[0]], sizes[1]
    y = labels[rows].double()
    distances = {m: squared_distances(x, x[:most]) for m, x in take(features, rows).items()}
    found = []
    for kernel in kernels:
        block = kernel.of_distances(distances)
        phi = torch.linalg.solve_triangular(landmark_root(block[:most]), block.t(), upper=False).t()
        errors = [(y - held).square().sum(1).mean().item() for held in left_out_by_ridge(phi, y, RIDGES)]
        found += [(error, kernel, ridge) for error, ridge in zip(errors, RIDGES, strict=True)]
    _, kernel, ridge = min(found, key=lambda one: one[0])
    return kernel, ridge


def near_ridges(ridge: float) -> list[float]:
    """The ridge and its neighbours on the grid.

    >>> near_ridges(1.0)
    [0.5, 1.0, 2.0]
    """
    return [ridge / 2, ridge, ridge * 2]
