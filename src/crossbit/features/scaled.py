"""Vectors that somebody else computed, every column centred and scaled."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crossbit.errors import UserError
from crossbit.features.as_is import check_vectors
from crossbit.features.base import Featuriser, State


class ScaledFeaturiser(Featuriser):
    """Every column to mean 0 and standard deviation 1 on the fitted rows; a constant column to 0 there.

    It computes in float64: an offset that is large beside the spread costs no more than the rounding in the vectors.

    >>> featuriser = ScaledFeaturiser.fit(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> featuriser.transform(np.array([[5.0, 5.0]]))
    array([[3., 0.]], dtype=float32)
    """

    name = "scaled"
    reads = "vectors"

    def __init__(self, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> None:
        self.mean, self.scale = mean, scale

    @classmethod
    def fit(cls, rows: NDArray[Any], *, seed: int = 0) -> Self:
        """Measure the columns of vectors (n, dim); nothing is random, `seed` is not used."""
        values = check_vectors(rows).astype(np.float64)
        if not len(values):
            raise UserError("no vectors to fit the scaling on; give at least one row")
        mean, deviation = values.mean(0), values.std(0)
        constant = deviation <= 1e-6 * np.abs(mean)  # float32 rounding is no spread
        return cls(mean, np.where(constant, 1.0, deviation))

    @property
    def dim(self) -> int:
        return len(self.mean)

    def transform(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Vectors (n, dim) to scaled float32; errors as for `AsIsFeaturiser`."""
        scaled = (check_vectors(rows, self.dim) - self.mean) / self.scale
        return np.require(scaled, np.float32, ["C", "W"])

    def state(self) -> State:
        return {"name": self.name}, {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_state(cls, config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Self:
        return cls(tensors["mean"], tensors["scale"])
