"""The masks of recent filters: one that a page repeats, or that a person keeps while typing, is evaluated once."""

from __future__ import annotations

from threading import Lock

import numpy as np
import numpy.typing as npt

MOST = 64  # filters
MOST_BYTES = 64 << 20  # of their masks and texts: those of five filters of a hundred million items

Words = npt.NDArray[np.uint64]


class RecentMasks:
    """What filters let through of codes that never change, by their text; those used longest ago are forgotten.

    Any number of threads may use it.

    >>> masks = RecentMasks()
    >>> masks.put("size > 3", np.array([5], np.uint64))
    >>> masks.get("size > 3"), masks.get("size > 4")
    (array([5], dtype=uint64), None)
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: dict[str, Words] = {}

    def get(self, where: str) -> Words | None:
        """The mask of a filter that succeeded before; None where it is not known (any more)."""
        with self._lock:
            mask = self._held.pop(where, None)
            if mask is not None:
                self._held[where] = mask  # the latest is last
            return mask

    def put(self, where: str, mask: Words) -> None:
        """Remember a mask, uint64 as of `crossbit.bits.mask_words`; it is not to be changed from now on."""
        mask.flags.writeable = False
        with self._lock:
            self._held[where] = mask
            while len(self._held) > MOST or sum(map(_size, self._held, self._held.values())) > MOST_BYTES:
                del self._held[next(iter(self._held))]


def _size(where: str, mask: Words) -> int:
    return 4 * len(where) + mask.nbytes
