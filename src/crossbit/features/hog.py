"""Pictures to vectors with nothing downloaded: gradients (HOG), small pixels and colour, then PCA.

Source of the gradient part: Dalal and Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005. It is
written out here because over whole batches it is several times as fast as a library call per picture.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crossbit.errors import UserError
from crossbit.features.base import FIT_ROWS, Featuriser, Pictures, State, check_pictures, longest_side, squares
from crossbit.storage.cores import usable_cores

CELLS = 8  # a picture is 8 x 8 cells, whatever its size
ORIENTATIONS = 9  # unsigned, 20 degrees each
SMALL = 16  # side of the small grey picture
COLOURS = 4  # side of the small colour picture
LARGEST = 64  # side in pixels; bigger pictures are made smaller
BATCH = 2048  # pictures at a time, to bound memory
BLOCK = 256  # pictures that one thread describes at a time: what it works on stays in the processor's cache


class HogFeaturiser(Featuriser):
    """Fixed picture descriptors followed by a fitted PCA.

    Args:
        side: pictures are resized to side x side pixels; a multiple of 16.
        tensors: `mean` (d,), `components` (dim, d).

    >>> pictures = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    >>> HogFeaturiser.fit(pictures).transform(pictures[:2]).shape
    (2, 20)
    """

    name = "hog"
    reads = "pictures"

    def __init__(self, side: int, tensors: dict[str, NDArray[np.float32]]) -> None:
        self.side = side
        self.mean = np.ascontiguousarray(tensors["mean"], dtype=np.float32)
        self.components = np.ascontiguousarray(tensors["components"], dtype=np.float32)

    @classmethod
    def fit(cls, rows: Pictures, *, seed: int = 0, dim: int = 1024) -> Self:
        """Fit on pictures, at most 20,000 of them drawn with `seed`; `dim` is an upper limit.

        Raises:
            UserError: fewer than two pictures, or neither uint8 (n, h, w, 3) nor files.
        """
        check_pictures(rows)
        if len(rows) < 2:
            raise UserError(f"picture features are fitted on two pictures or more, not {len(rows)}")
        if len(rows) > FIT_ROWS:
            rows = rows[np.sort(np.random.default_rng(seed).choice(len(rows), FIT_ROWS, replace=False))]
        from sklearn.decomposition import PCA  # here: a fitted model does without, and loads in half the time

        side = fitted_side(rows)
        described = describe_all(rows, side)
        many = len(described) > described.shape[1]
        pca = PCA(min(dim, *described.shape), svd_solver="covariance_eigh" if many else "full").fit(described)
        return cls(side, {"mean": pca.mean_, "components": pca.components_})

    @property
    def dim(self) -> int:
        """Numbers per picture."""
        return len(self.components)

    def transform(self, rows: Pictures) -> NDArray[np.float32]:
        """Pictures of any size, uint8 (n, h, w, 3) or files, to float32 (n, dim).

        Raises:
            UserError: neither of these.
        """
        check_pictures(rows)
        out = np.empty((len(rows), self.dim), dtype=np.float32)
        for start in range(0, len(rows), BATCH):
            part = slice(start, start + BATCH)
            out[part] = (describe_blocks(squares(rows[part], self.side)) - self.mean) @ self.components.T
        return out

    def state(self) -> State:
        return {"name": self.name, "side": self.side}, {"mean": self.mean, "components": self.components}

    @classmethod
    def from_state(cls, config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Self:
        return cls(config["side"], tensors)


def fitted_side(pictures: Pictures) -> int:
    """The pictures' longer side, rounded up to a multiple of 16, at most 64."""
    return min(-(-longest_side(pictures, LARGEST) // SMALL) * SMALL, LARGEST)


def describe_all(pictures: Pictures, side: int) -> NDArray[np.float32]:
    """`describe` in batches, after resizing."""
    starts = range(0, len(pictures), BATCH)
    return np.concatenate([describe_blocks(squares(pictures[i : i + BATCH], side)) for i in starts])


def describe_blocks(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`describe` in blocks, several threads side by side; a picture's numbers are the same in any block."""
    if len(pictures) <= BLOCK:
        return describe(pictures)
    with ThreadPoolExecutor(usable_cores()) as pool:
        return np.concatenate(list(pool.map(describe, np.split(pictures, range(BLOCK, len(pictures), BLOCK)))))


def describe(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Raw descriptors (n, 2068) of pictures (n, side, side, 3): HOG 7*7*36, 16 x 16 grey, 4 x 4 colours."""
    values = pictures.astype(np.float32) / np.float32(255)
    grey = values @ np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601 luma
    n, hog = len(values), gradient_blocks(grey)
    small = shrink(grey[..., None], SMALL).reshape(n, -1)
    colours = shrink(values, COLOURS).reshape(n, -1)
    # each part is divided by the square root of its length: no part outvotes another by its length alone
    return np.concatenate([hog / (CELLS - 1), small / SMALL, colours / (2 * COLOURS)], axis=1)


def gradient_blocks(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """HOG (n, 7*7*36) of (n, side, side): 9 orientations, 8 x 8 cells, 2 x 2 blocks, L2-Hys normalised."""
    n, side = grey.shape[:2]
    dy, dx = np.zeros_like(grey), np.zeros_like(grey)
    dy[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    dx[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    size = np.hypot(dx, dy)
    angle = np.arctan2(dy, dx) % np.pi * (ORIENTATIONS / np.pi)  # in bins
    cell = side // CELLS
    cells = np.empty((n, CELLS, CELLS, ORIENTATIONS), dtype=np.float32)
    for one in range(ORIENTATIONS):  # a gradient is shared between its two nearest orientations
        away = np.abs(angle - one)
        share = np.maximum(1 - np.minimum(away, ORIENTATIONS - away), 0) * size
        cells[..., one] = share.reshape(n, CELLS, cell, CELLS, cell).sum((2, 4))
    blocks = np.concatenate([cells[:, :-1, :-1], cells[:, :-1, 1:], cells[:, 1:, :-1], cells[:, 1:, 1:]], axis=-1)
    return unit(np.minimum(unit(blocks), 0.2)).reshape(n, -1)


def unit(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; a row without any gradient stays 0."""
    length = np.sqrt((blocks * blocks).sum(-1, keepdims=True) + np.float32(1e-6))
    return np.asarray(blocks / length, dtype=np.float32)


def shrink(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Means over equal squares: (n, s, s, c) to (n, side, side, c)."""
    n, full, _, channels = values.shape
    step = full // side
    return np.asarray(values.reshape(n, side, step, side, step, channels).mean((2, 4)), dtype=np.float32)
