"""Binary codes: signs, packed bytes, 64-bit planes, and exact Hamming search and counting over them.

One bit order everywhere: `np.packbits`, big-endian; bit 1 stands for +1, and sign(0) = +1. A code of L bits is L // 8
bytes; L is a multiple of 8 from 8 to 1,024.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crossbit.bits.masks import mask_words
from crossbit.bits.packing import (
    MAX_BITS,
    SHORTLIST,
    check_bits,
    check_codes,
    from_planes,
    pack,
    planes,
    sign,
    unpack,
)

if TYPE_CHECKING:
    from crossbit.bits.search import distance_histograms, top_k

__all__ = [
    "MAX_BITS",
    "SHORTLIST",
    "check_bits",
    "check_codes",
    "distance_histograms",
    "from_planes",
    "mask_words",
    "pack",
    "planes",
    "sign",
    "top_k",
    "unpack",
]


def __getattr__(name: str) -> Any:
    if name in ("distance_histograms", "top_k"):  # when first used: they need the compiler
        from crossbit.bits import search

        return getattr(search, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
