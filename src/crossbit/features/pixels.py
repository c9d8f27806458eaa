"""Pictures as they are, for an encoder that takes pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossbit.features.image import check_pictures, resize

LARGEST = 224  # side in pixels; bigger pictures are made smaller
STEP = 16


class PixelFeaturiser:
    """Pictures resized to one square size and passed on as uint8.

    >>> featuriser = PixelFeaturiser.fit(np.zeros((1, 30, 20, 3), np.uint8))
    >>> featuriser.dim, featuriser.transform(np.zeros((2, 40, 40, 3), np.uint8)).shape
    ((32, 32, 3), (2, 32, 32, 3))
    """

    kind = "pixels"
    reads = "pictures"

    def __init__(self, side: int) -> None:
        self.side = side

    @classmethod
    def fit(cls, pictures: NDArray[np.uint8], *, seed: int = 0) -> PixelFeaturiser:
        """Take the longer side of pictures (n, h, w, 3) uint8, rounded up to a multiple of 16, at most 224.

        Raises:
            UserError: not a uint8 array (n, h, w, 3).
        """
        check_pictures(pictures)
        return cls(min(-(-max(pictures.shape[1:3]) // STEP) * STEP, LARGEST))

    @property
    def dim(self) -> tuple[int, int, int]:
        """Shape of a row."""
        return self.side, self.side, 3

    def transform(self, x: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pictures (n, h, w, 3) uint8 of any size to uint8 (n, side, side, 3); errors as `fit`."""
        check_pictures(x)
        return resize(x, self.side)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """JSON-able settings; there are no arrays."""
        return {"kind": self.kind, "side": self.side}, {}

    @classmethod
    def from_state(cls, config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> PixelFeaturiser:
        """The featuriser that `state` was taken from."""
        return cls(config["side"])
