"""The rows that weigh most in what is predicted for another one, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from crossbit.posterior.choice import median_distance
from crossbit.posterior.regression import RbfKernel

HEAVIEST = 5
SCALED = 1000  # rows that the kernel's scales are taken from
CHUNK = 512  # rows of the kernel at a time


@dataclass(frozen=True)
class Neighbour:
    """A labelled row that weighs much in what is predicted for another one.

    Attributes:
        row: its number in the data.
        name: its caption, else its path, else its number.
        labels: that it was given.
        weight: the kernel's value, from 0 to 1 for a row that is the same.
    """

    row: int
    name: str
    labels: list[str]
    weight: float

    def __str__(self) -> str:
        return f"{self.name} [{', '.join(self.labels)}]"


def heaviest(
    features: Mapping[str, torch.Tensor],
    labelled: np.ndarray,
    kernel: RbfKernel,
    rows: np.ndarray,
    groups: np.ndarray,
    k: int = HEAVIEST,
) -> tuple[np.ndarray, np.ndarray]:
    """Of each of `rows` the k labelled rows that the regression's kernel takes for most alike, and its values.

    Rows of its own group, and all but the first of another, are passed over: five copies say no more than one.

    Args:
        features: by modality (n, dim).
        labelled: row numbers.
        kernel: of the regression; its scales are taken anew.
        rows: (q,) row numbers.
        groups: (n,) by number.

    Returns:
        (q, k) row numbers, -1 where there are fewer; (q, k) values.

    >>> x = torch.tensor([[0.0], [1.0], [1.0], [9.0]])
    >>> kernel, groups = RbfKernel({"x": 1.0}, 1.0, {}), np.array([0, 1, 1, 2])
    >>> near, weight = heaviest({"x": x}, np.arange(4), kernel, np.array([0]), groups)
    >>> near.tolist()
    [[1, 3, -1, -1, -1]]
    """
    there = {m: features[m][torch.from_numpy(labelled)].double() for m in kernel.weights}
    scaled = RbfKernel(kernel.weights, kernel.gamma, {m: median_distance(x[:SCALED]) for m, x in there.items()})
    near, weight = np.full((len(rows), k), -1), np.zeros((len(rows), k))
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        values = scaled({m: features[m][torch.from_numpy(part)].double() for m in there}, there).numpy()
        for at, (row, value) in enumerate(zip(part, values, strict=True), start=start):
            passed = {int(groups[row])}
            found = 0
            for other in np.argsort(-value, kind="stable"):
                if found == k:
                    break
                if (group := int(groups[labelled[other]])) not in passed:
                    passed.add(group)
                    near[at, found], weight[at, found] = labelled[other], value[other]
                    found += 1
    return near, weight
