"""An index in Milvus: a collection on a server, for more codes or more machines than one file is for.

Rows are `id` (the primary key), `code`, `item` (its columns as JSON), `hash` and `embedding`. The collection's
description says what never changes, its properties which columns there are. Ids are primary keys and are written by
upsert, so what is written again is there once.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from crossbit.bits import check_bits
from crossbit.errors import UserError
from crossbit.index.base import Changed, Hits, Index, Item, Items, check_k, check_radius
from crossbit.index.batch import Batch, checked
from crossbit.index.columns import fit_all
from crossbit.index.duckfile import CONFIG, Encoder, check_encoder
from crossbit.index.embeddings import Embeddings
from crossbit.index.filters import TIME_LIMIT_MS, check_time_limit, define_functions, matching_ids, parse
from crossbit.index.ids import LARGEST, check_ids, next_ids, not_there
from crossbit.index.milvus import rows as rows_of
from crossbit.index.milvus.calls import KINDS, Late, Lost, Server, address_of, end_of
from crossbit.index.milvus.filters import Said, expression
from crossbit.index.milvus.nearest import Nearest
from crossbit.index.mistakes import short
from crossbit.index.segments import MEND
from crossbit.index.statements import Progress, quoted

FORMAT = 1
AT_ONCE = 10_000  # rows of a request, which is there whole or not at all
READ = 4096  # rows that are read by one request
WINDOW = 16_384  # ids that Milvus gives at once
STATE = "crossbit"  # the property that holds the columns
WAIT = 0.02  # seconds between two looks whether a collection is loaded

Ids = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


class MilvusIndex(Index):
    """Codes and items in a collection of Milvus, searched exactly unless the collection's own index is not exact.

    A search finds what a local index finds, in the same order. What this index writes is found by its next search. What
    others write is found some tenths of a second later, or at once after opening anew. An `add` of up to 10,000 rows is
    there whole or not at all. A longer one is undone if it is cancelled; where the server ends meanwhile, some rows are
    there, and the same call with `replace=True` goes on. One process should write at a time.

    Args:
        uri: `milvus://user:password@host:port/NAME?...`; see `docs/milvus.md` for what may stand behind `?`.
        bits: the code length; without it a new index is made by its first `add`, which tells it.
        read_only: refuse changes.
        encoder: "name" and "hash" of what makes the codes: a new index remembers it, one that is there refuses another.

    Raises:
        UserError: see `crossbit.index.open_index`; no server there, or one that refuses the user.
    """

    largest_id = LARGEST - 1  # Milvus 2.3 finds no larger one again

    def __init__(
        self, uri: str, *, bits: int | None = None, read_only: bool = False, encoder: Encoder | None = None
    ) -> None:
        self.path = self._address = address_of(uri)
        check_encoder(self._address, None, encoder)
        self._read_only, self._bits, self.encoder = read_only, 0, encoder
        self._writing, self._described = threading.RLock(), threading.Lock()
        self._columns: dict[str, str] = {}
        self._width = 0
        wanted = None if bits is None else check_bits(bits)
        self._server = Server(self._address)
        try:
            if self._server("has_collection"):
                self._open(wanted)
            elif read_only:
                raise UserError(f"there is no index at {self._address}; to make one, open it to write and add codes")
            elif wanted is not None:
                self._make(wanted)
        except BaseException:
            self._server.close()
            raise

    @property
    def bits(self) -> int:
        """The code length; 0 before the first `add` where none was given."""
        return self._bits

    @property
    def embeddings(self) -> Embeddings | None:
        """The embeddings of the codes; None where none was added."""
        return Embeddings(self, self._embeddings_of, self._address) if self._width else None

    def __repr__(self) -> str:
        """What it holds."""
        if not self._bits or self._server.gone:
            return f"<MilvusIndex {self._address}, {'closed' if self._server.gone else 'not made yet'}>"
        made = f", by {self.encoder['name']}" if self.encoder else ""
        more = ", with embeddings" if self._width else ""
        return f"<MilvusIndex {self._address}: {len(self):,} codes of {self._bits} bits{more}{made}>"

    def add(
        self,
        ids: npt.ArrayLike | None = None,
        codes: npt.ArrayLike | None = None,
        items: Items | None = None,
        *,
        replace: bool = False,
        embeddings: npt.ArrayLike | None = None,
        hashes: Sequence[str | None] | None = None,
        progress: Progress | None = None,
    ) -> Ids:
        """See `Index.add`."""
        batch = checked(ids, codes, items, embeddings, hashes)
        with self._writing:
            self._check_writable()
            if not self._bits:
                self._make(8 * batch.codes.shape[1])
            self.check_length(batch.codes)
            wanted = next_ids(self.keys()[-1:], len(batch), self.largest_id) if batch.ids is None else batch.ids
            if len(wanted) and wanted.max() > self.largest_id:
                raise UserError(
                    f"id {wanted.max()} is one that Milvus does not find again; {self.largest_id} is the largest"
                )
            there = self._there(wanted)
            if there.any() and not replace:
                first, many = wanted[there][0], int(there.sum())
                raise UserError(f"id {first} is in {self.path} already ({many} such); replace=True overwrites")
            self._write(wanted, batch, there, progress)
        return wanted

    def _write(self, ids: Ids, batch: Batch, there: npt.NDArray[np.bool_], progress: Progress | None) -> None:
        """Upsert a batch, a request after the other; undone where one fails and the server is still there."""
        before = dict(self._columns), self._width
        new, columns = fit_all(batch.columns, self._columns)
        width = 0 if batch.embeddings is None else batch.embeddings.shape[1]
        if self._width and width and width != self._width:
            raise UserError(f"{self.path} holds embeddings {self._width} wide, and these are {width} wide{MEND}")
        made = rows_of.Rows(ids, batch.codes, columns, batch.hashes, batch.embeddings)
        self._remember(self._columns | new, self._width or width)
        undone: list[dict[str, Any]] = []  # what was there in place of what has been written
        done, begun, n = 0, 0, len(batch)
        try:
            for start, stop in made.parts(AT_ONCE):
                if n > stop - start or progress is not None:
                    if there[start:stop].any():
                        undone += map(rows_of.again, self.rows(ids[start:stop][there[start:stop]]))
                    begun = stop  # Ctrl-C may come before Milvus has answered
                self._server.write("upsert", made.some(start, stop))
                done = stop
                if progress is not None and progress(done, n) is False:
                    raise UserError(f"cancelled after {done:,} of {n:,} rows; nothing was added")
        except Lost as error:
            raise Lost(
                f"{error}; {done:,} of {n:,} rows were added, and perhaps some more: do it again, with what is there "
                "replaced, and none is missing or there twice"
            ) from error
        except BaseException:
            self._delete(ids[:begun][~there[:begun]])
            for start in range(0, len(undone), AT_ONCE):
                self._server.write("upsert", undone[start : start + AT_ONCE])
            self._remember(*before)
            raise

    def remove(self, ids: npt.ArrayLike, *, missing_ok: bool = False) -> int:
        """See `Index.remove`."""
        wanted = check_ids(ids)
        with self._writing:
            self._server.check_open()
            there = self._there(wanted)
            absent = wanted[~there]
            if len(absent) and not missing_ok:
                raise not_there(absent, self.path)
            self._check_writable()
            self._delete(wanted[there])
        return int(there.sum())

    def search_places(
        self,
        codes: npt.ArrayLike,
        k: int | None = None,
        where: str | None = None,
        *,
        radius: int | None = None,
        time_limit_ms: float = TIME_LIMIT_MS,
        without: Ids | None = None,
    ) -> tuple[Hits, Ids]:
        """As `search`, as if the ids `without` were not there; and the ids again, at which embeddings are found."""
        count = check_k(10 if k is None else k)
        if radius is not None:
            check_radius(radius)
        condition, limit = self._condition(where, time_limit_ms)
        queries = self.check_queries(codes)
        if without is not None and len(without) and condition is not False:
            left_out = f"not ({rows_of.among(without)})"
            condition = left_out if condition is True else f"{condition} and {left_out}"
        with self._filtering(where, time_limit_ms):
            compared = self._count(condition, limit)
            if radius is not None and k is None:
                count = max(1, compared)
            asking = Nearest(self._server, self._bits, "" if condition is True else str(condition), limit, self._probes)
            distances, ids = asking.search(queries, count, compared, radius, narrow=k is None and radius is not None)
        return Hits(distances, ids, self.items, compared=compared, exact=self.exact), ids

    @property
    def columns(self) -> dict[str, str]:
        """See `Index.columns`."""
        return dict(self._columns)

    def matching(self, where: str, *, time_limit_ms: float = TIME_LIMIT_MS) -> Ids:
        """See `Index.matching`."""
        condition, limit = self._condition(where, time_limit_ms)
        with self._filtering(where, time_limit_ms):
            return self._keys(condition, limit)

    def items(self, ids: npt.ArrayLike) -> dict[int, Item]:
        """See `Index.items`."""
        self._server.check_open()
        return self._items_of(self._rows(check_ids(ids), [rows_of.ITEM]))

    def _items_of(self, found: list[dict[str, Any]]) -> dict[int, Item]:
        """The items of rows, by id."""
        columns = dict(self._columns)
        if any(name not in columns for row in found for name in row[rows_of.ITEM]):  # of another process
            self._describe()
            columns = dict(self._columns)
        return {row["id"]: rows_of.item_of(row[rows_of.ITEM], columns) for row in found}

    def codes_of(self, ids: Ids) -> npt.NDArray[np.uint8]:
        """See `Index.codes_of`."""
        found = {row["id"]: row["code"][0] for row in self._rows(ids, ["code"])}
        if gone := [id_ for id_ in ids.tolist() if id_ not in found]:
            raise Changed(f"{self.path} holds no code for id {gone[0]}: it was removed")
        codes = b"".join(found[id_] for id_ in ids.tolist())
        return np.frombuffer(codes, np.uint8).reshape(len(ids), self._bits // 8)

    def keys(self) -> Ids:
        """See `Index.keys`."""
        self._server.check_open()
        return self._keys(True) if self._bits else np.empty(0, np.int64)

    def hashes(self, ids: npt.ArrayLike) -> list[str | None]:
        """See `Index.hashes`."""
        wanted = check_ids(ids)
        found = {row["id"]: row["hash"] for row in self._rows(wanted, ["hash"])}
        return [rows_of.hash_of(found.get(id_, "")) for id_ in wanted.tolist()]

    def check(self, encoder: Encoder | None = None) -> list[str]:
        """See `Index.check`."""
        from crossbit.index.milvus.check import findings

        return findings(self, encoder)

    def __len__(self) -> int:
        self._server.check_open()
        return self._count(True) if self._bits else 0

    def __contains__(self, id: object) -> bool:
        if isinstance(id, bool) or not isinstance(id, int | np.integer) or not -(2**63) <= id < 2**63:
            return False
        self._server.check_open()
        return bool(self._bits) and bool(self._rows(np.array([id], np.int64), ["id"]))

    def __getitem__(self, id: int) -> tuple[npt.NDArray[np.uint8], Item]:
        """See `Index.__getitem__`."""
        found = self._rows(np.array([id], np.int64), ["code", rows_of.ITEM]) if id in self else []
        if not found:
            raise KeyError(id)
        code = np.frombuffer(found[0]["code"][0], np.uint8)
        return code, self._items_of(found)[int(id)]

    def close(self) -> None:
        """Give up the connection."""
        self._server.close()

    def clear(self) -> None:
        """Remove all rows and columns."""
        with self._writing:
            self._check_writable()
            self._delete(self.keys())
            self._remember({}, 0)

    def rows(self, ids: Ids, fields: Sequence[str] = ("*",)) -> list[dict[str, Any]]:
        """What Milvus holds under some ids: `id` and these fields."""
        return self._rows(ids, list(fields))

    def count(self) -> int:
        """How many rows there are, one that is there twice counted twice."""
        return self._count(True, strong=True)

    def _make(self, bits: int) -> None:
        """A new collection, unless somebody else has made one meanwhile."""
        from pymilvus import MilvusClient

        schema = MilvusClient.create_schema(
            auto_id=False,
            description=json.dumps({STATE: FORMAT, "bits": bits, "encoder": self.encoder and dict(self.encoder)}),
        )
        for name, options in rows_of.fields(bits).items():
            schema.add_field(name, **options)
        self._server("create_collection", schema=schema, num_shards=1, consistency_level="Bounded")
        self._open(bits)

    def _index(self) -> str:
        """The kind of Milvus's own index of the codes. It is made where there is none, as in a new collection, or in
        one whose maker was killed."""
        from pymilvus import MilvusClient

        if known := self._server("describe_index", "code"):
            return str(known["index_type"])
        if self._read_only:
            raise UserError(f"{self.path} was not made to its end; open it to write (without read_only), or add to it")
        given, params = self._address.options, MilvusClient.prepare_index_params()
        kind = given.get("index", "BIN_FLAT")
        lists = {} if KINDS[kind] else {"nlist": int(given.get("nlist", 1024))}
        params.add_index("code", index_type=kind, metric_type="HAMMING", params=lists)
        self._server("create_index", params, sync=False)
        return kind

    def _open(self, bits: int | None) -> None:
        """Take a collection that is there, once it can be searched and what others have written is seen."""
        about = self._describe()
        if bits not in (None, self._bits):
            raise UserError(
                f"{self.path} holds codes of {self._bits} bits, not {bits}; use {self._bits}, or another name"
            )
        stored = about.get("encoder")
        check_encoder(self.path, stored, self.encoder)
        self.encoder = stored
        self.exact = KINDS.get(self._index(), False)
        self._load()
        self._count(True, strong=True)

    @property
    def _probes(self) -> int:
        return 0 if self.exact else int(self._address.options.get("nprobe", 16))

    def _describe(self) -> dict[str, Any]:
        """Read what the collection says of itself."""
        found = self._server("describe_collection")
        try:
            about: dict[str, Any] = json.loads(found["description"])
            known = about[STATE]
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{self.path} is a collection of Milvus, but not one that crossbit made") from None
        if known != FORMAT:
            raise UserError(
                f"{self.path} is an index of format {known}, crossbit reads format {FORMAT}; make the index anew"
            )
        state = json.loads((found.get("properties") or {}).get(STATE, "{}"))
        with self._described:
            self._bits, self._columns, self._width = about["bits"], state.get("columns", {}), state.get("width", 0)
        return about

    def _remember(self, columns: dict[str, str], width: int) -> None:
        if (columns, width) != (self._columns, self._width):
            state = json.dumps({"columns": columns, "width": width})
            self._server("alter_collection_properties", {STATE: state})
            with self._described:
                self._columns, self._width = columns, width

    def _load(self) -> None:
        """Wait until the collection is in the server's memory."""
        end = end_of(self._address.timeout)
        asked = False
        while "Loaded" not in str(state := self._server("get_load_state")["state"]):
            if not asked and "Loading" not in str(state):
                self._server("load_collection", _async=True)
                asked = True
            if time.monotonic() > end:
                raise Late(f"{self.path} is not loaded within {self._address.timeout:g} s; `?timeout=` gives more")
            time.sleep(WAIT)

    def _condition(self, where: str | None, time_limit_ms: float) -> tuple[Said, float]:
        """A filter as an expression, True for none, and how many seconds it may take."""
        limit = check_time_limit(time_limit_ms) / 1000
        self._server.check_open()
        if where is None:
            return True, self._address.timeout
        if not self._bits:
            raise UserError(f"there is no index at {self.path} yet; the first add makes it")
        columns = dict(self._columns)
        with duckdb.connect(":memory:", config=CONFIG) as connection:  # which says what is wrong, as a local index does
            names = ", ".join(["id BIGINT", *(f"{quoted(name)} {kind}" for name, kind in columns.items())])
            connection.execute(f"CREATE TABLE items ({names})")
            define_functions(connection)
            condition = parse(where, columns, connection)
            matching_ids(connection, condition, time_limit_ms)
        return expression(condition, columns), limit

    @contextmanager
    def _filtering(self, where: str | None, time_limit_ms: float) -> Iterator[None]:
        try:
            yield
        except Late as error:
            if where is None:
                raise
            raise UserError(
                f"the filter {short(where)} took more than {time_limit_ms:g} ms; make it simpler"
            ) from error

    def _count(self, condition: Said, seconds: float | None = None, *, strong: bool = False) -> int:
        if condition is False or not self._bits:
            return 0
        expr = "" if condition is True else condition
        found = self._server.read("query", expr, output_fields=["count(*)"], seconds=seconds, strong=strong)
        return int(found[0]["count(*)"])

    def _keys(self, condition: Said, seconds: float | None = None) -> Ids:
        """The ids for which a condition is true, ascending."""
        if condition is False:
            return np.empty(0, np.int64)
        further = "" if condition is True else f" and ({condition})"
        parts, where = [], f"id <= {rows_of.LOW}"  # of which there are two
        while True:
            found = self._server.read("query", where + further, output_fields=["id"], seconds=seconds, limit=WINDOW)
            parts.append(np.array([row["id"] for row in found], np.int64))
            if len(found) < WINDOW and len(parts) > 1:
                return np.unique(np.concatenate(parts))
            where = f"id > {max(parts[-1].max(initial=rows_of.LOW), rows_of.LOW)}"

    def _rows(self, ids: Ids, fields: list[str]) -> list[dict[str, Any]]:
        """What is there under some ids, in any order."""
        found: list[dict[str, Any]] = []
        if not self._bits:
            return found
        for start in range(0, len(ids), READ):
            some = rows_of.among(ids[start : start + READ])
            found += self._server.read("query", some, output_fields=["id", *fields])
        return found

    def _there(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Which ids are there, by whomever they were written."""
        many = self._count(True, strong=True)
        if not many or not len(ids):
            return np.zeros(len(ids), bool)
        if len(ids) / READ > max(1.0, many / WINDOW):  # which takes fewer requests
            return np.isin(ids, self.keys())
        return np.isin(ids, [row["id"] for row in self._rows(ids, ["id"])])

    def _delete(self, ids: Ids) -> None:
        for start in range(0, len(ids), AT_ONCE):
            self._server.write("delete", filter=rows_of.among(ids[start : start + AT_ONCE]))

    def _embeddings_of(self, ids: Ids, places: Ids | None = None) -> npt.NDArray[np.float64]:
        found = {row["id"]: row["embedding"] for row in self._rows(ids, ["embedding"])}
        for id_ in ids.tolist():
            if len(found.get(id_, ())) != self._width:
                raise Changed(f"{self.path} holds no embedding for id {id_}{MEND}")
        return np.array([found[id_] for id_ in ids.tolist()], np.float64).reshape(len(ids), self._width)

    def _check_writable(self) -> None:
        self._server.check_open()
        if self._read_only:
            raise UserError(f"{self.path} is open read-only; open it to write (without read_only)")
