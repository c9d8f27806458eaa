"""Binary codes: signs, packed bytes, 64-bit planes, and exact Hamming search and counting over them.

One bit order everywhere: `np.packbits`, big-endian; bit 1 stands for +1, and sign(0) = +1. A code of L bits is L // 8
bytes; L is a multiple of 8 from 8 to 1,024.
"""

from __future__ import annotations

from functools import partial
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from crossbit import kernels
from crossbit.errors import UserError
from crossbit.kernels import run, thread_count

MAX_BITS = 1024
QUERIES = 64  # queries that a task takes through the database together
CANDIDATES = 1 << 21  # that the queries of a task may hold together: 32 MiB
ALONE = 1 << 19  # distances below which starting threads costs more than it saves

Array = npt.NDArray[Any]


def check_bits(bits: int) -> int:
    """Return `bits` as int if it is a possible code length.

    Raises:
        UserError: not a multiple of 8 from 8 to 1,024.

    >>> check_bits(64)
    64
    """
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer) or bits % 8 or not 8 <= bits <= MAX_BITS:
        raise UserError(f"the code length is {bits!r} bits; it must be a multiple of 8 from 8 to {MAX_BITS}")
    return int(bits)


def check_codes(codes: npt.ArrayLike, what: str = "codes") -> Array:
    """Return packed codes as a contiguous uint8 array (n, bytes).

    Raises:
        UserError: another type or shape; `what` names the array in the message.

    >>> check_codes(np.zeros((2, 8), np.uint8)).shape
    (2, 8)
    """
    array = np.asarray(codes)
    if array.dtype != np.uint8 or array.ndim != 2:
        raise UserError(
            f"{what}: packed codes are uint8 (n, bits // 8), got {array.dtype} of shape {array.shape}; "
            "crossbit.bits.pack packs real values"
        )
    if not 1 <= array.shape[1] <= MAX_BITS // 8:
        raise UserError(f"{what}: a code has 1 to {MAX_BITS // 8} bytes, got {array.shape[1]}")
    return np.ascontiguousarray(array)


def _check_values(x: npt.ArrayLike) -> Array:
    array = np.asarray(x)
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.signedinteger)):
        raise UserError(f"codes are signs of real values, got {array.dtype}; give 0/1 bits b as 2.0 * b - 1")
    if np.isnan(array).any():
        raise UserError(f"{int(np.isnan(array).sum())} values are NaN and have no sign; codes need real values")
    return array


def sign(x: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Signs of real values as int8 -1 and +1, with sign(0) = +1; any shape.

    Raises:
        UserError: NaN, or values that are not signed numbers.

    >>> sign([-0.5, 0.0, 2.0]).tolist()
    [-1, 1, 1]
    """
    return np.where(_check_values(x) >= 0, 1, -1).astype(np.int8)


def pack(x: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Pack the signs of `x`, real (n, bits), into uint8 (n, bits // 8): `np.packbits` of x >= 0.

    Raises:
        UserError: NaN, not two-dimensional, or a length that is not a multiple of 8 from 8 to 1,024.

    >>> pack([[1.0, -1, -1, -1, -1, -1, -1, 0]]).tolist()
    [[129]]
    """
    array = _check_values(x)
    if array.ndim != 2:
        raise UserError(f"values to pack must have the shape (n, bits), got {array.shape}")
    check_bits(array.shape[1])
    return np.packbits(array >= 0, axis=1)


def unpack(codes: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Packed codes uint8 (n, bits // 8) as int8 (n, bits) of -1 and +1: the inverse of `pack`.

    >>> unpack(np.array([[129]], np.uint8)).tolist()
    [[1, -1, -1, -1, -1, -1, -1, 1]]
    """
    bits = np.unpackbits(check_codes(codes), axis=1).view(np.int8)
    return 2 * bits - 1


def planes(codes: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """Packed codes uint8 (n, bytes) as 64-bit words, uint64 (words, n), the form in which search is fastest.

    Word w of a code holds its bytes 8w..8w+7 read big-endian; missing bytes at the end are 0.

    >>> planes(np.array([[0, 0, 0, 0, 0, 0, 1, 2, 255]], np.uint8)).tolist() == [[258], [255 << 56]]
    True
    """
    return np.ascontiguousarray(_words(check_codes(codes), ">u8"), dtype=np.uint64)


def _words(codes: Array, order: str) -> Array:
    """(n, bytes) seen as (words, n) of the given byte order; a copy only where bytes must be added."""
    spare = -codes.shape[1] % 8
    padded = np.pad(codes, ((0, 0), (0, spare))) if spare else codes
    return padded.view(order).T


def from_planes(words: npt.ArrayLike, bits: int) -> npt.NDArray[np.uint8]:
    """Codes uint8 (n, bits // 8) from their planes uint64 (words, n): the inverse of `planes`.

    >>> from_planes(np.array([[258]], np.uint64), 64).tolist()
    [[0, 0, 0, 0, 0, 0, 1, 2]]
    """
    array = _check_planes(np.asarray(words), check_bits(bits) // 8)
    codes = np.ascontiguousarray(array.T).astype(">u8").view(np.uint8)
    return np.ascontiguousarray(codes[:, : bits // 8])


def _check_planes(words: Array, width: int) -> Array:
    need = -(-width // 8)
    if words.dtype != np.uint64 or words.ndim != 2 or len(words) != need:
        raise UserError(
            f"planes of {8 * width}-bit codes are uint64 ({need}, n), got {words.dtype} of shape {words.shape}"
        )
    return words


def _comparable(query: npt.ArrayLike, database: npt.ArrayLike) -> tuple[Array, Array, int]:
    """Queries as rows (m, words), the database as planes (words, n), in one byte order, and the code length."""
    codes, other = check_codes(query, "query"), np.asarray(database)
    width = codes.shape[1]
    if other.dtype == np.uint64:
        return _words(codes, ">u8").T.astype(np.uint64, "C"), _frozen(_check_planes(other, width)), 8 * width
    other = check_codes(other, "database")
    if other.shape[1] != width:
        raise UserError(f"query codes have {8 * width} bits, database codes {8 * other.shape[1]}; they must be equal")
    # Hamming distance does not depend on the order of bits: reading natively spares a copy of 64-bit codes.
    return _words(codes, "u8").T.astype(np.uint64, "C"), _frozen(_words(other, "u8")), 8 * width


def _frozen(array: Array) -> Array:
    """Contiguous, aligned and read-only: one compiled kernel serves arrays in memory and memory-mapped ones."""
    view = np.require(array, requirements=["C", "A"]).view()
    view.flags.writeable = False
    return view


def top_k(
    query: npt.ArrayLike,
    database: npt.ArrayLike,
    k: int,
    *,
    mask: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The k nearest database codes of each query by Hamming distance, exactly, ordered by (distance, position).

    Args:
        query: packed codes, uint8 (m, bytes).
        database: packed codes uint8 (n, bytes), or their `planes` uint64 (words, n), which spares a conversion.
        k: how many, at least 1.
        mask: bool (n,): only rows with True are found.
        threads: default `thread_count()`.

    Returns:
        distances int32 (m, k) and positions int64 (m, k); -1 in both where there are fewer than k rows.

    Raises:
        UserError: code lengths that differ, wrong types or shapes, k below 1.

    >>> codes = np.array([[0], [3], [1]], np.uint8)
    >>> distances, positions = top_k(codes[:1], codes, 2)
    >>> distances.tolist(), positions.tolist()
    ([[0, 1]], [[0, 2]])
    """
    queries, words, _ = _comparable(query, database)
    m, n = len(queries), words.shape[1]
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise UserError(f"k is how many neighbours to return, a whole number from 1; got {k!r}")
    allowed = _check_mask(mask, n)
    threads = _threads_for(m * n, threads)
    # few queries: every thread takes its share of the database, and the shares' results are merged
    shares = threads if m < 8 * threads else 1
    distances, positions = np.empty((shares, m, k), np.int32), np.empty((shares, m, k), np.int64)
    edges = np.linspace(0, n, shares + 1).astype(np.int64)
    rows = _chunks(m, threads // shares, max(1, CANDIDATES // min(4 * int(k) + 64, n + 1)))
    run(
        (
            partial(kernels.top_k, queries[r], words, allowed, edges[t], edges[t + 1], distances[t, r], positions[t, r])
            for r in rows
            for t in range(shares)
        ),
        threads,
    )
    return (distances[0], positions[0]) if shares == 1 else _merge(distances, positions, int(k))


def _merge(distances: Array, positions: Array, k: int) -> tuple[Array, Array]:
    """The k nearest of several shares of a database, (shares, m, k) each, as (m, k)."""
    near = distances.transpose(1, 0, 2).reshape(distances.shape[1], len(distances) * k)
    rows = positions.transpose(1, 0, 2).reshape(near.shape)
    # positions grow from share to share, so a stable sort by distance alone leaves ties in order; -1, unsigned, is last
    order = np.argsort(near.view(np.uint32), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(near, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _threads_for(distances: int, threads: int | None) -> int:
    """The number of threads for so many distances."""
    count = thread_count(threads)
    return 1 if distances < ALONE else count


def _chunks(m: int, threads: int, most: int) -> list[slice]:
    """Slices of m queries, one for each task: enough to occupy all threads, none above QUERIES or `most` queries."""
    step = max(1, min(QUERIES, most, -(-m // threads)))
    return [slice(s, min(s + step, m)) for s in range(0, m, step)]


def _check_mask(mask: npt.ArrayLike | None, n: int) -> Array:
    """The mask as an array; an empty one stands for all rows."""
    if mask is None:
        return _frozen(np.empty(0, np.bool_))
    array = np.asarray(mask)
    if array.dtype != np.bool_ or array.shape != (n,):
        raise UserError(f"the mask must be bool ({n},), one entry per database code; got {array.dtype} {array.shape}")
    return _frozen(array)


@overload
def distance_histograms(query: npt.ArrayLike, database: npt.ArrayLike, *, threads: int | None = None) -> Array: ...


@overload
def distance_histograms(
    query: npt.ArrayLike,
    database: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    *,
    threads: int | None = None,
) -> tuple[Array, Array]: ...


def distance_histograms(
    query: npt.ArrayLike,
    database: npt.ArrayLike,
    query_labels: npt.ArrayLike | None = None,
    database_labels: npt.ArrayLike | None = None,
    *,
    threads: int | None = None,
) -> Array | tuple[Array, Array]:
    """How many database codes, and how many relevant ones, lie at each Hamming distance of each query.

    Args:
        query: packed codes, uint8 (m, bytes).
        database: packed codes uint8 (n, bytes), or their `planes` uint64 (words, n).
        query_labels, database_labels: 0/1 (m, c) and (n, c): relevant when they share a class; or integers (m,) and
            (n,): relevant when equal.
        threads: default `thread_count()`.

    Returns:
        int64 (m, bits + 1); with labels a pair: all codes, and the relevant ones.

    Raises:
        UserError: code lengths that differ, wrong types or shapes, labels outside 0/1.

    >>> codes = np.array([[0], [3], [1]], np.uint8)
    >>> everything, relevant = distance_histograms(codes[:1], codes, [7], [7, 7, 5])
    >>> everything[0, :4].tolist(), relevant[0, :4].tolist()
    ([1, 1, 1, 0], [1, 0, 1, 0])
    """
    queries, words, bits = _comparable(query, database)
    m, n = len(queries), words.shape[1]
    labelled = query_labels is not None or database_labels is not None
    if not labelled:  # sets without a class
        query_labels, database_labels = np.empty((m, 0)), np.empty((n, 0))
    equal, left, right = _label_words(query_labels, database_labels, m, n)
    everything, relevant = np.empty((m, bits + 1), np.int64), np.empty((m, bits + 1), np.int64)
    threads = _threads_for(m * n, threads)
    run(
        (
            partial(kernels.histograms, queries[r], words, left[r], right, equal, everything[r], relevant[r])
            for r in _chunks(m, threads, QUERIES)
        ),
        threads,
    )
    return (everything, relevant) if labelled else everything


def _label_words(
    query: npt.ArrayLike | None, database: npt.ArrayLike | None, m: int, n: int
) -> tuple[bool, Array, Array]:
    """Whether labels are classes (else sets); the queries' as uint64 (m, words), the database's as (words, n)."""
    if query is None or database is None:
        raise UserError("labels of the queries and of the database belong together; one of them is missing")
    sides = [np.asarray(query), np.asarray(database)]
    for array, rows, what in zip(sides, (m, n), ("query", "database"), strict=True):
        if array.ndim not in (1, 2) or len(array) != rows:
            raise UserError(f"{what} labels must be 0/1 ({rows}, classes) or integers ({rows},), got {array.shape}")
    if sides[0].shape[1:] != sides[1].shape[1:]:
        raise UserError(f"query labels {sides[0].shape} and database labels {sides[1].shape} must be of one form")
    words = [_set_words(a) if a.ndim == 2 else _class_words(a) for a in sides]
    return sides[0].ndim == 1, words[0], _frozen(words[1].T)


def _class_words(labels: Array) -> Array:
    """Integer classes (n,) as uint64 (n, 1)."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"labels of the shape (n,) must be integers, got {labels.dtype}")
    return labels.astype(np.int64).view(np.uint64)[:, None]


def _set_words(labels: Array) -> Array:
    """Label sets 0/1 (n, classes) as bits of uint64 (n, words), one word at least."""
    n, classes = labels.shape
    ones = np.zeros((n, 64 * max(1, -(-classes // 64))), np.bool_)  # whole words: packed as one row, thrice as fast
    ones[:, :classes] = labels
    if not np.array_equal(ones[:, :classes], labels):
        raise UserError("labels of the shape (n, classes) must be 0 or 1; other values were found")
    return np.packbits(ones).view(np.uint64).reshape(n, ones.shape[1] // 64)
