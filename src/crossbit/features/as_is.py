"""Vectors that somebody else computed, as they are."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crossbit.errors import UserError
from crossbit.features.base import Featuriser, State


class AsIsFeaturiser(Featuriser):
    """Passes vectors (n, dim) on as float32.

    >>> AsIsFeaturiser(2).transform(np.array([[1, 2]]))
    array([[1., 2.]], dtype=float32)
    """

    name = "as-is"
    reads = "vectors"

    def __init__(self, dim: int) -> None:
        self._dim = dim

    @property
    def dim(self) -> int:
        return self._dim

    @classmethod
    def fit(cls, rows: NDArray[Any], *, seed: int = 0) -> Self:
        """Take the width from vectors (n, dim); nothing is random, `seed` is not used."""
        return cls(check_vectors(rows).shape[1])

    def transform(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Vectors (n, dim) as float32.

        Raises:
            UserError: another width, not numbers, NaN or infinite.
        """
        return np.require(check_vectors(rows, self.dim), np.float32, ["C", "W"])

    def state(self) -> State:
        return {"name": self.name, "dim": self.dim}, {}

    @classmethod
    def from_state(cls, config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Self:
        return cls(config["dim"])


def check_vectors(vectors: NDArray[Any], dim: int | None = None) -> NDArray[Any]:
    """Vectors (n, dim) of any type and order of bytes that float32 can hold, or UserError that says what is wrong."""
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiub":
        raise UserError(f"vectors must be numbers (n, d), not {vectors.dtype} {vectors.shape}")
    if dim is not None and vectors.shape[1] != dim:
        raise UserError(f"vectors are {vectors.shape[1]} wide; the model was fitted on vectors {dim} wide")
    with np.errstate(over="ignore"):
        if not np.isfinite(vectors.astype(np.float32, copy=False)).all():
            raise UserError("vectors hold NaN or infinite values; mend or leave out those rows")
    return vectors
