"""Pictures as they are, for an encoder that takes pixels."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crossbit.features.base import Featuriser, State
from crossbit.features.hog import check_pictures, resize

LARGEST = 224  # side in pixels; bigger pictures are made smaller
STEP = 16


class PixelsFeaturiser(Featuriser):
    """Pictures resized to one square size and passed on as uint8.

    >>> featuriser = PixelsFeaturiser.fit(np.zeros((1, 30, 20, 3), np.uint8))
    >>> featuriser.dim, featuriser.transform(np.zeros((2, 40, 40, 3), np.uint8)).shape
    ((32, 32, 3), (2, 32, 32, 3))
    """

    name = "pixels"
    reads = "pictures"

    def __init__(self, side: int) -> None:
        self.side = side

    @classmethod
    def fit(cls, rows: NDArray[np.uint8], *, seed: int = 0) -> Self:
        """Take the longer side of pictures (n, h, w, 3) uint8, rounded up to a multiple of 16, at most 224."""
        check_pictures(rows)
        return cls(min(-(-max(rows.shape[1:3]) // STEP) * STEP, LARGEST))

    @property
    def dim(self) -> tuple[int, int, int]:
        return self.side, self.side, 3

    def transform(self, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pictures (n, h, w, 3) uint8 of any size to uint8 (n, side, side, 3)."""
        check_pictures(rows)
        return np.require(resize(rows, self.side), requirements=["C", "W"])

    def state(self) -> State:
        return {"name": self.name, "side": self.side}, {}

    @classmethod
    def from_state(cls, config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Self:
        return cls(config["side"])
