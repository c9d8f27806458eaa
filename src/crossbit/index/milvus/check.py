"""Whether an index in Milvus is whole: every id once, every code with its embedding, of the same signs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from crossbit.errors import UserError
from crossbit.index.duckfile import Encoder, check_encoder

if TYPE_CHECKING:
    from crossbit.index.milvus.index import MilvusIndex

AT_ONCE = 8192  # rows read together


def findings(index: MilvusIndex, encoder: Encoder | None) -> list[str]:
    """A line for each thing that is wrong; see `Index.check`."""
    return [*_encoder(index, encoder), *_rows(index)]


def _encoder(index: MilvusIndex, encoder: Encoder | None) -> Iterator[str]:
    try:
        check_encoder(index.path, index.encoder, encoder)
    except UserError as error:
        yield str(error)


def _rows(index: MilvusIndex) -> Iterator[str]:
    ids, rows = index.keys(), index.count()
    if rows != len(ids):
        yield f"{index.path}: {rows:,} rows for {len(ids):,} ids; some are there twice"
    without, wrong = [], []
    for start in range(0, len(ids) if index.embeddings else 0, AT_ONCE):
        for row in index.rows(ids[start : start + AT_ONCE], ("code", "embedding")):
            if not row["embedding"]:
                without.append(row["id"])
            elif np.packbits(np.array(row["embedding"][: index.bits]) >= 0).tobytes() != row["code"][0]:
                wrong.append(row["id"])
    if without:
        yield f"{index.path}: id {min(without)} has no embedding ({len(without)} such)"
    if wrong:
        yield f"{index.path}: the embedding of id {min(wrong)} has other signs than its code ({len(wrong)} such)"
