"""A search as it was asked for, done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from crossbit.errors import UserError
from crossbit.serve.items import told
from crossbit.serve.replies import Refused
from crossbit.serve.state import State
from crossbit.storage.pictures import PictureError, read_picture


@dataclass(frozen=True)
class Asked:
    """The fields of a search, as the addresses name them; `not_this` is what they call `not`."""

    q: str | None
    picture: bytes | None
    item: str | None
    k: int
    where: str | None
    modality: str | None
    by: str | None
    not_this: tuple[str, ...] = ()


def searched(state: State, asked: Asked) -> dict[str, Any]:
    """The answer to a search.

    Raises:
        UserError: as `Searcher`.
    """
    if asked.k > (most := state.settings.max_k):
        raise UserError(f"k is {asked.k}; at most {most} hits are given")
    picture = None if asked.picture is None else picture_of(asked.picture, state.settings.max_picture_pixels)
    with state.generations.use() as generation:
        results = generation.search(
            asked.q or None if asked.picture is not None or asked.item is not None else asked.q,
            picture=picture,
            item=None if asked.item is None else id_of(asked.item),
            k=asked.k,
            where=asked.where or None,
            modality=asked.modality or None,
            by=asked.by or None,
            not_this=[id_of(each) for each in asked.not_this],
            time_limit_ms=1000 * state.settings.request_seconds,
        )
        return told(results, state.pictures)


def picture_of(content: bytes, limit: int) -> np.ndarray:
    """A picture that was sent.

    Raises:
        Refused: 413 for too many pixels, 415 for what is no picture.
    """
    try:
        return read_picture(content, limit=limit)
    except PictureError as error:
        if error.kind == "too large":
            raise Refused(413, f"the picture has more than {limit:,} pixels; send a smaller one") from None
        if error.kind == "HEIC":  # who sends it cannot install what reads it
            raise Refused(
                415, "the file is a HEIC picture, which this service does not read; save it as JPEG"
            ) from None
        raise Refused(415, f"the file{str(error).removeprefix('the picture')}") from None


def id_of(text: str) -> int:
    """An id from its digits.

    Raises:
        UserError: a number beyond 64 bits.
    """
    if not -(2**63) <= (id_ := int(text)) < 2**63:
        raise UserError(f"{text} is no id of an item; take the `id` of a hit")
    return id_
