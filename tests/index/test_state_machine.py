"""An index beside a dict: whatever is done to it in whatever order, both hold and find the same."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.index import LocalIndex, open_index
from crossbit.index.embeddings import cosines
from crossbit.index.milvus.index import MilvusIndex
from crossbit.index.segments import halves
from milvus_server import MilvusServer

BITS = 16
IDS = st.integers(-3, 12)
SOME_IDS = st.lists(IDS, min_size=1, max_size=5, unique=True)
SEEDS = st.integers(0, 2**20)
SIZES = st.none() | st.integers(0, 4)
Row = dict[str, Any]  # code, size, hash, row: the embedding or None


class Machine(RuleBasedStateMachine):
    def __init__(self, uri: str = "") -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.uri = uri or str(self.folder / "a.index")
        self.model: dict[int, Row] = {}

    @initialize()
    def open_anew(self) -> None:
        self.index = open_index(self.uri, bits=BITS)

    def teardown(self) -> None:
        if isinstance(self.index, MilvusIndex):
            self.index.clear()
        self.index.close()
        shutil.rmtree(self.folder)

    def rows(self, ids: list[int], seed: int, size: int | None, real: bool) -> tuple[dict[int, Row], np.ndarray]:
        """New rows, some of them alike, and what they were made of."""
        rng = np.random.default_rng(seed)
        made = rng.normal(size=(3, BITS))[rng.integers(3, size=len(ids))]
        stored, hash_ = halves(made), str(seed)
        rows = {
            id_: {"code": code, "size": size, "hash": hash_, "row": stored[at] if real else None}
            for at, (id_, code) in enumerate(zip(ids, pack(made), strict=True))
        }
        return rows, made

    def add_rows(self, ids: list[int] | None, rows: dict[int, Row], made: np.ndarray, **options: Any) -> np.ndarray:
        real = next(iter(rows.values()))["row"] is not None
        items = [{"size": row["size"]} for row in rows.values()]
        hashes = [row["hash"] for row in rows.values()]
        embeddings = made if real else None
        return self.index.add(ids, pack(made), items, hashes=hashes, embeddings=embeddings, **options)

    @rule(ids=SOME_IDS, seed=SEEDS, size=SIZES, real=st.booleans(), replace=st.booleans())
    def add(self, ids: list[int], seed: int, size: int | None, real: bool, replace: bool) -> None:
        rows, made = self.rows(ids, seed, size, real)
        if not replace and self.model.keys() & rows.keys():
            with pytest.raises(UserError, match="already"):
                self.add_rows(ids, rows, made)
        else:
            self.add_rows(ids, rows, made, replace=replace)
            self.model |= rows

    @rule(n=st.integers(1, 3), seed=SEEDS, size=SIZES)
    def add_numbered(self, n: int, seed: int, size: int | None) -> None:
        start = max([-1, *self.model]) + 1
        rows, made = self.rows(list(range(start, start + n)), seed, size, True)
        assert self.add_rows(None, rows, made).tolist() == list(rows)
        self.model |= rows

    @rule(ids=SOME_IDS, seed=SEEDS)
    def add_and_cancel(self, ids: list[int], seed: int) -> None:
        with pytest.raises(UserError, match="cancelled"):
            self.add_rows(ids, *self.rows(ids, seed, 1, True), replace=True, progress=lambda done, n: False)

    @rule(ids=SOME_IDS)
    def remove(self, ids: list[int]) -> None:
        there = [id_ for id_ in ids if id_ in self.model]
        if len(there) < len(ids):
            with pytest.raises(UserError, match="is not in"):
                self.index.remove(ids)
        assert self.index.remove(ids, missing_ok=True) == len(there)
        for id_ in there:
            del self.model[id_]

    @rule()
    def compact(self) -> None:
        if isinstance(self.index, LocalIndex):
            self.index.compact()
            assert self.index.dead_rows == 0

    @rule()
    def reopen(self) -> None:
        self.index.close()
        with open_index(self.uri, read_only=True) as reading:
            assert reading.keys().tolist() == sorted(self.model)
        self.index = open_index(self.uri)

    def nearest(self, code: np.ndarray, size: int | None) -> list[tuple[int, int]]:
        """(distance, id) of all that are there, of one size if it is given."""
        chosen = {id_: row for id_, row in self.model.items() if size is None or row["size"] == size}
        far = {id_: int(np.unpackbits(row["code"] ^ code).sum()) for id_, row in chosen.items()}
        return sorted((distance, id_) for id_, distance in far.items())

    @rule(seed=SEEDS, k=st.integers(1, 9), size=SIZES, radius=st.none() | st.integers(0, BITS))
    def search(self, seed: int, k: int, size: int | None, radius: int | None) -> None:
        code = np.random.default_rng(seed).integers(0, 256, BITS // 8, dtype=np.uint8)
        where = None if size is None or not any(row["size"] is not None for row in self.model.values()) else size
        condition = None if where is None else f"size = {where}"
        found = self.index.search(code, k, condition, radius=radius)[0]
        expected = [hit for hit in self.nearest(code, where) if radius is None or hit[0] <= radius]
        assert [(distance, id_) for id_, distance, _ in found] == expected[:k]
        assert all((item or {}).get("size") == self.model[id_]["size"] for id_, _, item in found)

    @rule(seed=SEEDS, k=st.integers(1, 9))
    def rerank(self, seed: int, k: int) -> None:
        stored, query = self.index.embeddings, np.random.default_rng(seed).normal(size=BITS)
        if stored is None or not all(row["row"] is not None for row in self.model.values()):
            return
        hits = stored.search(query, pack(query[None]), k)
        far = {id_: distance for distance, id_ in self.nearest(pack(query[None])[0], None)}
        cosine = {id_: cosines(row["row"][None].astype(float), query)[0] for id_, row in self.model.items()}
        best = sorted(self.model, key=lambda id_: (-cosine[id_], far[id_], id_))[:k]
        assert hits.ids[0].tolist() == best
        assert hits.cosines is not None
        assert hits.cosines[0].tolist() == [cosine[id_] for id_ in best]

    @invariant()
    def they_hold_the_same(self) -> None:
        assert list(self.index) == sorted(self.model)
        assert len(self.index) == len(self.model)
        assert self.index.hashes(list(self.model)) == [row["hash"] for row in self.model.values()]
        for id_, row in self.model.items():
            code, item = self.index[id_]
            assert code.tolist() == row["code"].tolist()
            assert item.get("size") == row["size"]

    @invariant()
    def it_is_whole(self) -> None:
        without = [id_ for id_, row in self.model.items() if row["row"] is None]
        missing = bool(without) and len(without) < len(self.model)
        expected = [f"id {min(without)} has no embedding ({len(without)} such)"] if missing else []
        found = [line for line in self.index.check() if "left of a write" not in line]  # of an add that was cancelled
        assert [line.partition(": ")[2] for line in found] == expected


TestMachine = pytest.mark.slow(Machine.TestCase)
TestMachine.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)


@pytest.mark.slow
def test_milvus_agrees_with_a_dict(milvus_server: MilvusServer) -> None:
    uri = f"{milvus_server.uri}/machine"
    run_state_machine_as_test(
        lambda: Machine(uri),
        settings=settings(max_examples=4, stateful_step_count=12, deadline=None, phases=[Phase.generate]),
    )
