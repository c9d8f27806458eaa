"""Ids of items: checked, numbered on, or made of keys that stay the same from day to day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError

LARGEST = 2**63 - 1


def check_ids(ids: npt.ArrayLike | Iterable[int]) -> npt.NDArray[np.int64]:
    """Return ids as int64 (n,).

    Raises:
        UserError: anything but whole numbers of 64 bits, or the same id twice.

    >>> check_ids([3, 1])
    array([3, 1])
    """
    array = np.asarray(ids)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"ids are whole numbers of 64 bits, shape (n,); got {array.dtype} of shape {array.shape}")
    if array.dtype == np.uint64 and len(array) and array.max() > LARGEST:
        raise UserError(f"ids are whole numbers below 2**63, got {array.max()}")
    array = array.astype(np.int64)
    ordered = np.sort(array)
    twice = ordered[:-1][ordered[1:] == ordered[:-1]]
    if len(twice):
        raise UserError(
            f"id {twice[0]} is there twice in one call ({len(twice)} repeated ids); each must be given once"
        )
    return array


def not_there(absent: npt.NDArray[np.int64], path: object) -> UserError:
    """An error for ids (n,) to be removed that are not in an index."""
    return UserError(f"id {absent[0]} is not in {path} ({len(absent)} such); missing_ok=True passes over them")


def next_ids(held: npt.NDArray[np.int64], n: int, largest: int = LARGEST) -> npt.NDArray[np.int64]:
    """The n numbers after the largest id, from 0 where there is none; UserError where they pass the largest allowed.

    >>> next_ids(np.array([3, 9]), 2)
    array([10, 11])
    """
    start = max(-1, int(held.max(initial=-1))) + 1
    if start + n > largest:
        raise UserError(f"there are no {n} numbers left after id {start - 1}; give ids")
    return np.arange(start, start + n, dtype=np.int64)


def stable_ids(keys: Sequence[str]) -> npt.NDArray[np.int64]:
    """An id for each key, which is the same wherever and whenever it is made: 63 bits of a hash.

    Among a million keys, two have one id with a probability of 5e-8.

    Args:
        keys: such as paths, all different; what is not Unicode in a file name counts as its bytes.

    Raises:
        UserError: a key that is there twice, or two keys whose ids are the same.

    >>> stable_ids(["photos/1.jpg", "photos/2.jpg"])
    array([ 102326621112844529, 1818484025912325267])
    """
    ids = np.fromiter((_hashed(key) for key in keys), np.int64, len(keys))
    held: dict[int, str] = {}
    for id_, key in zip(ids.tolist(), keys, strict=True):
        if id_ in held:
            what = f"{key!r} is there twice" if held[id_] == key else f"{held[id_]!r} and {key!r} have one hash, {id_}"
            raise UserError(f"the keys of items must differ: {what}")
        held[id_] = key
    return ids


def _hashed(key: str) -> int:
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big") >> 1
