"""Vectors that somebody else computed: as they are, or every column scaled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossbit.errors import UserError


class VectorFeaturiser:
    """Passes vectors (n, dim) on as float32.

    >>> VectorFeaturiser(2).transform(np.array([[1, 2]]))
    array([[1., 2.]], dtype=float32)
    """

    kind = "vectors"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    @classmethod
    def fit(cls, vectors: NDArray[Any], *, seed: int = 0) -> VectorFeaturiser:
        """Take the width from vectors (n, dim); nothing is random, `seed` is not used."""
        return cls(check_vectors(vectors).shape[1])

    def transform(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Vectors (n, dim) as float32.

        Raises:
            UserError: another width, not numbers, NaN or infinite.
        """
        return check_vectors(x, self.dim)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """JSON-able settings; there are no arrays."""
        return {"kind": self.kind, "dim": self.dim}, {}

    @classmethod
    def from_state(cls, config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> VectorFeaturiser:
        """The featuriser that `state` was taken from."""
        return cls(config["dim"])


class ScaledFeaturiser:
    """Every column to mean 0 and standard deviation 1 on the fitted rows; a constant column to 0 there.

    >>> featuriser = ScaledFeaturiser.fit(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> featuriser.transform(np.array([[5.0, 5.0]]))
    array([[3., 0.]], dtype=float32)
    """

    kind = "scaled"

    def __init__(self, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> None:
        self.mean, self.scale = mean, scale

    @classmethod
    def fit(cls, vectors: NDArray[Any], *, seed: int = 0) -> ScaledFeaturiser:
        """Measure the columns of vectors (n, dim); nothing is random, `seed` is not used."""
        values = check_vectors(vectors)
        if not len(values):
            raise UserError("no vectors to fit the scaling on; give at least one row")
        mean, deviation = values.mean(0, dtype=np.float64), values.std(0, dtype=np.float64)
        constant = deviation <= 1e-6 * np.abs(mean)  # float32 rounding is no spread
        return cls(mean.astype(np.float32), np.where(constant, 1.0, deviation).astype(np.float32))

    @property
    def dim(self) -> int:
        """Numbers per row."""
        return len(self.mean)

    def transform(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Vectors (n, dim) to scaled float32; errors as for `VectorFeaturiser`."""
        return (check_vectors(x, self.dim) - self.mean) / self.scale

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """JSON-able settings, and the columns' means and deviations."""
        return {"kind": self.kind}, {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_state(cls, config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> ScaledFeaturiser:
        """The featuriser that `state` was taken from, equal to the bit."""
        return cls(tensors["mean"], tensors["scale"])


def check_vectors(vectors: NDArray[Any], dim: int | None = None) -> NDArray[np.float32]:
    """Vectors (n, dim) as float32, or UserError that says what does not fit."""
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiub":
        raise UserError(f"vectors must be numbers (n, d), not {vectors.dtype} {vectors.shape}")
    if dim is not None and vectors.shape[1] != dim:
        raise UserError(f"vectors are {vectors.shape[1]} wide; the model was fitted on vectors {dim} wide")
    with np.errstate(over="ignore"):
        values = np.asarray(vectors, dtype=np.float32)
    if not np.isfinite(values).all():
        raise UserError("vectors hold NaN or infinite values; mend or leave out those rows")
    return values
