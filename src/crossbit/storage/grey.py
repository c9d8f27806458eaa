"""Grey values of 12, 16 or 32 bits, or real numbers, as 0 to 255."""

from __future__ import annotations

import numpy as np

WHITES = (255, 4095, 65535)  # of 8, 12 and 16 bits


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Whole or real numbers (h, w) as uint8 (h, w).

    White is the least of 255, 4,095 and 65,535 that no value exceeds, and 1 before these where values are real. Where
    a value is negative or greater, the least is black and the greatest is white. NaN is black.

    >>> to_bytes(np.array([[0, 257, 65535]], np.uint16)).tolist()
    [[0, 1, 255]]
    >>> to_bytes(np.array([[0.0, 0.2, 1.0]])).tolist()
    [[0, 51, 255]]
    >>> to_bytes(np.array([[-10, 0, 10]])).tolist()
    [[0, 128, 255]]
    """
    scaled = values.astype(np.float64)
    finite = scaled[np.isfinite(scaled)]
    least, greatest = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    whites = (1, *WHITES) if values.dtype.kind == "f" else WHITES
    fitting = [white for white in whites if least >= 0 and greatest <= white]
    black, white = (0, fitting[0]) if fitting else (least, greatest)
    scaled = (scaled - black) * (255 / ((white - black) or 1))
    return np.rint(np.nan_to_num(scaled, copy=False, nan=0.0, posinf=255.0, neginf=0.0)).astype(np.uint8)
