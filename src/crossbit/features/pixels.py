"""Pictures as they are, for an encoder that takes pixels."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crossbit.features.base import Featuriser, Pictures, State, check_pictures, longest_side, squares

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
    def fit(cls, rows: Pictures, *, seed: int = 0) -> Self:
        """Take the pictures' longer side, rounded up to a multiple of 16, at most 224; 224 for files."""
        check_pictures(rows)
        return cls(min(-(-longest_side(rows, LARGEST) // STEP) * STEP, LARGEST))

    @property
    def dim(self) -> tuple[int, int, int]:
        return self.side, self.side, 3

    def transform(self, rows: Pictures) -> NDArray[np.uint8]:
        """Pictures of any size, uint8 (n, h, w, 3) or files, to uint8 (n, side, side, 3)."""
        check_pictures(rows)
        return np.require(squares(rows, self.side), requirements=["C", "W"])

    def state(self) -> State:
        return {"name": self.name, "side": self.side}, {}

    @classmethod
    def from_state(cls, config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Self:
        return cls(config["side"])
