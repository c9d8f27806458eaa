"""Arrays that are read in blocks of rows, so that a file may be larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from crossbit.errors import UserError

BLOCK_BYTES = 1 << 26  # of one block; a transposed one is copied, so about twice that is held at a time


@dataclass(frozen=True, eq=False)
class Lazy:
    """An array (n, ...) whose rows come in blocks, from the first to the last.

    Attributes:
        shape: of the whole array.
        dtype: of the whole array, in the machine's byte order.
        blocks: makes an iterator of arrays (rows, ...) of that type; the file is open only while it runs.

    >>> lazy = stack([of_array(np.eye(2)), of_array(np.zeros((1, 2)))], "x")
    >>> lazy.shape, lazy.read().tolist()
    ((3, 2), [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Callable[[], Iterator[np.ndarray]]

    def __len__(self) -> int:
        return self.shape[0]

    def read(self) -> np.ndarray:
        """The whole array in memory."""
        out, start = np.empty(self.shape, self.dtype), 0
        for block in self.blocks():
            out[start : start + len(block)] = block
            start += len(block)
        return out

    def mapped(self, dtype: np.dtype, change: Callable[[np.ndarray], np.ndarray]) -> Lazy:
        """The same rows, each block changed to `dtype` by `change`."""
        return Lazy(self.shape, dtype, lambda: map(change, self.blocks()))


def rows_per_block(shape: Sequence[int], dtype: np.dtype, chunk: int = 1) -> int:
    """How many rows make a block, in whole chunks of the file where more than one fits."""
    rows = max(1, BLOCK_BYTES // max(1, int(np.prod(shape[1:])) * dtype.itemsize))
    return rows - rows % chunk if rows >= chunk else rows


def of_array(array: np.ndarray) -> Lazy:
    """An array that is in memory already."""
    native = array.dtype.newbyteorder("=")

    def blocks() -> Iterator[np.ndarray]:
        step = rows_per_block(array.shape, native)
        for start in range(0, len(array), step):
            yield np.ascontiguousarray(array[start : start + step], native)

    return Lazy(array.shape, native, blocks)


def stack(parts: Sequence[Lazy], what: str) -> Lazy:
    """Parts (n_i, ...) below one another; `what` names them in the error for parts of different widths."""
    widths = {part.shape[1:] for part in parts}
    if len(widths) > 1:
        shapes = " and ".join(str(part.shape) for part in parts)
        raise UserError(f"the parts of {what} have shapes {shapes}; all rows must have one shape")
    dtype = np.result_type(*(part.dtype for part in parts))

    def blocks() -> Iterator[np.ndarray]:
        for part in parts:
            yield from (block.astype(dtype, copy=False) for block in part.blocks())

    return Lazy((sum(map(len, parts)), *parts[0].shape[1:]), dtype, blocks)


def vectors(array: Lazy, what: str) -> Lazy:
    """Vectors (n, d) as the neutral format holds them: floats stay as they are, whole numbers become exact floats.

    Up to 16 bits fit float32; wider ones become float64, and one that does not fit even there is refused.

    Raises:
        UserError: not (n, d) numbers, or a whole number beyond 2^53.
    """
    if len(array.shape) != 2 or array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise UserError(f"{what} is {array.dtype} of shape {array.shape}; it must be vectors (n, d) of numbers")
    if array.dtype.kind == "f":
        return array
    wide = array.dtype.itemsize > 2
    dtype = np.dtype(np.float64 if wide else np.float32)

    def change(block: np.ndarray) -> np.ndarray:
        if wide and (big := (block > 2**53) | (block < -(2**53))).any():
            raise UserError(f"{what} holds {block[big][0]}, which no float64 holds exactly; store it as floats")
        return block.astype(dtype)

    return array.mapped(dtype, change)
