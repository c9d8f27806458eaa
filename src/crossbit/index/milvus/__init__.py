"""Indexes in Milvus, a server: `index` is such an index.

`calls` reach the server, `rows` are what a collection there holds, `filters` say a filter in its language, `nearest`
orders what it finds, and `check` tells whether an index is whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossbit.index.duckfile import Encoder
    from crossbit.index.milvus.index import MilvusIndex

SCHEME = "milvus"


def open_uri(
    uri: str, *, bits: int | None = None, read_only: bool = False, encoder: Encoder | None = None
) -> MilvusIndex:
    """Open `milvus://host:port/NAME`."""
    from crossbit.index.milvus.index import MilvusIndex  # here: who reads addresses alone needs no index

    return MilvusIndex(uri, bits=bits, read_only=read_only, encoder=encoder)
