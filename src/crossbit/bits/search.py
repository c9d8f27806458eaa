"""Exact Hamming search and counting over packed codes."""

from __future__ import annotations

from functools import partial
from typing import overload

import numpy as np
import numpy.typing as npt

from crossbit.bits import plain
from crossbit.bits.labels import label_words
from crossbit.bits.masks import check_mask
from crossbit.bits.packing import Array, as_words, check_codes, check_planes, frozen
from crossbit.errors import UserError

QUERIES = 64  # queries that a task takes through the database together
CANDIDATES = 1 << 21  # that the queries of a task may hold together: 32 MiB
WIDEST = 8192  # columns of results that are made whether or not there are so many codes
ALONE = 1 << 19  # distances below which starting threads costs more than it saves


def _comparable(query: npt.ArrayLike, database: npt.ArrayLike) -> tuple[Array, Array, int]:
    """Queries as rows (m, words), the database as planes (words, n), in one byte order, and the code length."""
    codes, other = check_codes(query, "query"), np.asarray(database)
    width = codes.shape[1]
    if other.dtype == np.uint64:
        return as_words(codes, ">u8").T.astype(np.uint64, "C"), frozen(check_planes(other, width)), 8 * width
    other = check_codes(other, "database")
    if other.shape[1] != width:
        raise UserError(f"query codes have {8 * width} bits, database codes {8 * other.shape[1]}; they must be equal")
    # Hamming distance does not depend on the order of bits: reading natively spares a copy of 64-bit codes.
    return as_words(codes, "u8").T.astype(np.uint64, "C"), frozen(as_words(other, "u8")), 8 * width


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
        mask: only rows with True are found: bool (n,), or its `mask_words` uint64 (ceil(n / 64),), which spares a
            conversion.
        threads: default `thread_count()`.

    Returns:
        distances int32 (m, k) and positions int64 (m, k); -1 in both where there are fewer than k rows. Where k is
        above 8192 and n, they have max(n, 8192) columns: memory follows what is there, not k.

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
    allowed, near = check_mask(mask, n), min(int(k), n)
    if plain.is_enough(m * n):
        found = plain.top_k(queries, words, allowed, near)
    else:
        found = _top_k(queries, words, allowed, near, threads)
    if not (more := min(int(k), max(n, WIDEST)) - near):
        return found
    wider = ((0, 0), (0, more))
    return np.pad(found[0], wider, constant_values=-1), np.pad(found[1], wider, constant_values=-1)


def _top_k(
    queries: Array, words: Array, allowed: Array, k: int, threads: int | None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """As `top_k`, by the kernels, of checked input."""
    from crossbit.bits import kernels  # here: loading the compiler takes half a second
    from crossbit.bits.compiled import run

    m, n = len(queries), words.shape[1]
    threads = _threads_for(m * n, threads)
    # few queries: every thread takes its share of the database, and the shares' results are merged
    shares = threads if m < 8 * threads else 1
    distances, positions = np.empty((shares, m, k), np.int32), np.empty((shares, m, k), np.int64)
    edges = np.append(np.linspace(0, n // 64, shares, endpoint=False).astype(np.int64) * 64, n)
    rows = _chunks(m, threads // shares, max(1, CANDIDATES // min(4 * k + 64, n + 1)))
    run(
        (
            partial(kernels.top_k, queries[r], words, allowed, edges[t], edges[t + 1], distances[t, r], positions[t, r])
            for r in rows
            for t in range(shares)
        ),
        threads,
    )
    return (distances[0], positions[0]) if shares == 1 else _merge(distances, positions, k)


def _merge(distances: Array, positions: Array, k: int) -> tuple[Array, Array]:
    """The k nearest of several shares of a database, (shares, m, k) each, as (m, k)."""
    near = distances.transpose(1, 0, 2).reshape(distances.shape[1], len(distances) * k)
    rows = positions.transpose(1, 0, 2).reshape(near.shape)
    # positions grow from share to share, so a stable sort by distance alone leaves ties in order; -1, unsigned, is last
    order = np.argsort(near.view(np.uint32), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(near, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _threads_for(distances: int, threads: int | None) -> int:
    """The number of threads for so many distances."""
    from crossbit.bits.compiled import thread_count

    count = thread_count(threads)
    return 1 if distances < ALONE else count


def _chunks(m: int, threads: int, most: int) -> list[slice]:
    """Slices of m queries, one for each task: enough to occupy all threads, none above QUERIES or `most` queries."""
    step = max(1, min(QUERIES, most, -(-m // threads)))
    return [slice(s, min(s + step, m)) for s in range(0, m, step)]


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
    equal, left, right = label_words(query_labels, database_labels, m, n)
    everything, relevant = np.empty((m, bits + 1), np.int64), np.empty((m, bits + 1), np.int64)
    from crossbit.bits import kernels
    from crossbit.bits.compiled import run

    threads = _threads_for(m * n, threads)
    run(
        (
            partial(kernels.histograms, queries[r], words, left[r], right, equal, everything[r], relevant[r])
            for r in _chunks(m, threads, QUERIES)
        ),
        threads,
    )
    return (everything, relevant) if labelled else everything
