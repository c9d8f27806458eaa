"""The rows of a collection in Milvus, and what is made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from crossbit.errors import UserError
from crossbit.index.base import Item
from crossbit.index.columns import REAL, TEXTS, Column
from crossbit.index.milvus.filters import ITEM
from crossbit.index.segments import halves

LAST = 2**63 - 1
LOW = -LAST  # Milvus cannot read -2**63
REQUEST = 24 << 20  # bytes, about, of the items and embeddings of one request; Milvus takes 64 MiB
TEXT, WIDEST = 65_535, 4096  # bytes of a hash and numbers of an embedding that it holds

Ids = npt.NDArray[np.int64]


def fields(bits: int) -> dict[str, dict[str, Any]]:
    """The fields of a collection, and what pymilvus calls their types."""
    from pymilvus import DataType

    return {
        "id": {"datatype": DataType.INT64, "is_primary": True},
        "code": {"datatype": DataType.BINARY_VECTOR, "dim": bits},
        ITEM: {"datatype": DataType.JSON},
        "hash": {"datatype": DataType.VARCHAR, "max_length": TEXT},
        "embedding": {"datatype": DataType.ARRAY, "element_type": DataType.FLOAT, "max_capacity": WIDEST},
    }


class Rows:
    """Rows to write, as Milvus takes them.

    Args:
        ids: int64 (n,).
        codes: uint8 (n, bytes).
        columns: of their items.
        hashes: texts or None, objects (n,); None for none.
        embeddings: real (n, width); None for none.

    Raises:
        UserError: a value that Milvus cannot hold.
    """

    def __init__(
        self,
        ids: Ids,
        codes: npt.NDArray[np.uint8],
        columns: Mapping[str, Column],
        hashes: npt.NDArray[Any] | None,
        embeddings: npt.NDArray[Any] | None,
    ) -> None:
        self._ids, self._codes, self._hashes = ids, codes, hashes
        self._columns = {name: _values(name, column) for name, column in columns.items()}
        self._embeddings = None if embeddings is None else halves(embeddings)
        if embeddings is not None and embeddings.shape[1] > WIDEST:
            raise UserError(f"embeddings are {embeddings.shape[1]} wide; an index in Milvus takes {WIDEST} at most")
        if hashes is not None and any(len(each.encode()) >= TEXT for each in hashes if each):
            raise UserError(f"a hash has over {TEXT:,} bytes, which an index in Milvus does not hold")

    def parts(self, at_once: int) -> Iterator[tuple[int, int]]:
        """From which to before which row a request goes: so many rows, or fewer where they are large."""
        n = len(self._ids)
        size = 0 if self._embeddings is None else 4 * self._embeddings.shape[1]
        for values in self._columns.values():
            size += max((len(str(value).encode(errors="replace")) for value in values), default=0)
        step = max(1, min(at_once, REQUEST // max(1, size)))
        for start in range(0, n, step):
            yield start, min(start + step, n)

    def some(self, start: int, stop: int) -> list[dict[str, Any]]:
        """The rows from one to before another."""
        items: list[dict[str, Any]] = [{} for _ in range(start, stop)]
        for name, values in self._columns.items():
            for item, value in zip(items, values[start:stop], strict=True):
                if value is not None:
                    item[name] = value
        real = [[]] * len(items) if self._embeddings is None else self._embeddings[start:stop].tolist()
        hashes = [None] * len(items) if self._hashes is None else self._hashes[start:stop].tolist()
        codes = (code.tobytes() for code in self._codes[start:stop])
        return [
            {"id": id_, "code": code, ITEM: item, "hash": "" if text is None else f"={text}", "embedding": embedding}
            for id_, code, item, text, embedding in zip(
                self._ids[start:stop].tolist(), codes, items, hashes, real, strict=True
            )
        ]


def item_of(stored: Mapping[str, Any] | str | bytes, columns: Mapping[str, str]) -> Item:
    """An item of what Milvus holds: None in columns without a value, whole numbers of columns of floats as floats."""
    held = json.loads(stored) if isinstance(stored, str | bytes) else stored
    return {
        name: float(held[name]) if kind == REAL and held.get(name) is not None else held.get(name)
        for name, kind in columns.items()
    }


def again(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row that was read, as it is written."""
    item = row[ITEM]
    return {
        **{name: row[name] for name in ("id", "hash", "embedding")},
        "code": row["code"][0],
        ITEM: json.loads(item) if isinstance(item, str | bytes) else item,
    }


def hash_of(stored: str) -> str | None:
    """A hash of what Milvus holds.

    >>> hash_of("=abc"), hash_of("=")
    ('abc', '')
    >>> hash_of("")
    """
    return stored[1:] if stored else None


def among(ids: Ids) -> str:
    """The condition that an id is one of these.

    >>> among(np.array([3, -(2**63)]))
    '(id in [3] or id < -9223372036854775807)'
    """
    listed = f"id in {ids[ids >= LOW].tolist()}"
    return f"({listed} or id < {LOW})" if (ids < LOW).any() else listed


def between(first: int, last: int) -> str:
    """The condition that an id is in a range, both ends included; empty where all are.

    >>> between(-(2**63), 5), between(6, 2**63 - 1)
    ('id <= 5', 'id >= 6')
    """
    ends = [f"id >= {first}"] if first >= LOW else []
    return " and ".join([*ends, *([f"id <= {last}"] if last < LAST else [])])


def _values(name: str, column: Column) -> list[Any]:
    """The values of a column, None where one is missing."""
    values = column.values.tolist()
    if column.kind == REAL:
        if np.isinf(column.values).any():
            raise UserError(f"items: column '{name}' holds an infinite number, which an index in Milvus does not hold")
        return [None if value != value else value for value in values]
    if column.kind == TEXTS and column.empty is not None:
        return [[] if empty else value for value, empty in zip(values, column.empty.tolist(), strict=True)]
    return values
