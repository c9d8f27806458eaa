"""Whether an index is whole: every code with its embedding, of the same signs, and nothing left over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from crossbit import bits
from crossbit.errors import UserError
from crossbit.index.duckfile import Encoder, check_encoder
from crossbit.index.runs import SortedCodes
from crossbit.index.segments import Segments

if TYPE_CHECKING:
    from crossbit.index.local import LocalIndex

AT_ONCE = 8192  # embeddings read together


def findings(index: LocalIndex, segments: Segments, encoder: Encoder | None) -> list[str]:
    """A line for each thing that is wrong; see `Index.check`."""
    held, named = index.content()
    return [*_encoder(index, encoder), *_ids(index, held), *_files(segments, named), *_signs(index, segments, held)]


def _encoder(index: LocalIndex, encoder: Encoder | None) -> Iterator[str]:
    try:
        check_encoder(index.path, index.encoder, encoder)
    except UserError as error:
        yield str(error)


def _ids(index: LocalIndex, held: SortedCodes) -> Iterator[str]:
    twice = held.ids[:-1][held.ids[1:] == held.ids[:-1]]
    if len(twice):
        yield f"{index.path}: id {twice[0]} is there twice ({len(twice)} such)"
    places = np.sort(held.places[held.places >= 0])
    shared = int((places[1:] == places[:-1]).sum())
    if shared:
        yield f"{index.path}: {shared} codes share an embedding with another"
    without = held.ids[held.places < 0]
    if len(without) and len(places):
        yield f"{index.path}: id {without[0]} has no embedding ({len(without)} such)"


def _files(segments: Segments, named: dict[int, int]) -> Iterator[str]:
    for number in segments.numbers():
        if number not in named:
            yield f"{segments.path(number)} is left of a write that was cut off; the next that writes removes it"
    for number, rows in named.items():
        try:
            found = segments.rows(number)
        except UserError as error:
            yield str(error)
        else:
            if found != rows:
                yield f"{segments.path(number)} has {found} rows, the index names {rows}"


def _signs(index: LocalIndex, segments: Segments, held: SortedCodes) -> Iterator[str]:
    """Codes whose embeddings can be read and have other signs."""
    wrong = []
    rows = np.flatnonzero(segments.can_read(held.places))
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        codes = bits.from_planes(np.take(held.planes, some, axis=1), index.bits)
        signs = segments.read(held.places[some])[:, : index.bits] >= 0
        differ = (np.packbits(signs, axis=1) != codes).any(axis=1)
        wrong += held.ids[some][differ].tolist()
    if wrong:
        yield f"{index.path}: the embedding of id {wrong[0]} has other signs than its code ({len(wrong)} such)"
