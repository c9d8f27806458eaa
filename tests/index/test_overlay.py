"""An overlay answers as an index that was changed for good, and its file stays as it is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.errors import UserError
from crossbit.index import LocalIndex
from crossbit.index.overlay import Overlay

BITS, WIDTH = 16, 20
CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "widen"]), st.sets(st.integers(0, 12), min_size=1)), max_size=8
)


def item_of(rng: np.random.Generator, id_: int) -> dict[str, Any]:
    return {"name": f"{id_}-{rng.integers(5)}", "size": int(rng.integers(3)), "tags": ["a"] * int(rng.integers(2))}


def add(index: LocalIndex, ids: list[int], rng: np.random.Generator, **more: Any) -> None:
    embeddings = rng.normal(size=(len(ids), WIDTH))
    items = [{**item_of(rng, id_), **more} for id_ in ids]
    index.add(ids, np.packbits(embeddings[:, :BITS] >= 0, axis=1), items, replace=True, embeddings=embeddings)


def told(index: LocalIndex) -> dict[str, Any]:
    """All that an index tells, but for where embeddings are."""
    keys, query = index.keys(), np.random.default_rng(0).normal(size=WIDTH)
    code = np.packbits(query[None, :BITS] >= 0, axis=1)
    near = index.search(code, 20)
    held = index.embeddings
    return {
        "keys": keys.tolist(),
        "items": index.items(keys),
        "hits": (near.ids.tolist(), near.distances.tolist()),
        "size": index.search(code, 20, where="size = 1").ids.tolist(),
        "tags": index.matching("list_contains(tags, 'a')").tolist(),
        "values": index.values("name"),
        "alike": index.lowest_alike(["name"]).tolist(),
        "cosines": None if held is None or not len(keys) else held.search(query, code, 20).cosines,
        "columns": index.columns,
        "wrong": index.check(),
        "length": len(index),
    }


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index, to be read only."""
    place = tmp_path_factory.mktemp("base")
    with LocalIndex(place / "a.index", bits=BITS) as index:
        add(index, list(range(6)), np.random.default_rng(1))
    return place


@pytest.mark.slow
@settings(max_examples=25)
@given(changes=CHANGES)
def test_it_answers_as_an_index_that_was_changed(
    base: Path, changes: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = shutil.copytree(base, tmp_path_factory.mktemp("overlay") / "changed")
    before = {file: file.read_bytes() for file in sorted(base.rglob("*")) if file.is_file()}
    with LocalIndex(copy / "a.index") as changed, Overlay(base / "a.index") as over:
        for number, (what, ids) in enumerate(changes):
            for index in (changed, over):
                if what == "remove":
                    index.remove(sorted(ids), missing_ok=True)
                else:
                    more = {"wide": number} if what == "widen" else {}
                    add(index, sorted(ids), np.random.default_rng(number + 2), **more)
        here, there = told(over), told(changed)
    cosines = [each.pop("cosines") for each in (here, there)]
    np.testing.assert_array_equal(*cosines)
    assert here == there
    assert {file: file.read_bytes() for file in before} == before


def test_a_transaction_that_began_before_a_change_sees_nothing_of_it(tmp_path: Path) -> None:
    with LocalIndex(tmp_path / "a.index", bits=BITS) as index:
        add(index, [1, 2], np.random.default_rng(1))
    with Overlay(tmp_path / "a.index") as over:
        held, _ = over._stored.snapshot(None, 1000)
        over.remove([1])
        assert held.ids.tolist() == [1, 2] and over.keys().tolist() == [2]


def test_it_needs_a_file_and_reads_no_other(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no index at"):
        Overlay(tmp_path / "none.index")
    with LocalIndex(tmp_path / "it's.index", bits=BITS) as index:
        add(index, [1], np.random.default_rng(1))
    with Overlay(tmp_path / "it's.index") as over:
        for statement in (f"ATTACH '{tmp_path / 'b'}'", "SELECT * FROM read_text('/etc/hostname')", "SET threads = 2"):
            with pytest.raises(Exception, match=r"disabled by configuration|has been locked"):
                over._file.connection.execute(statement)


def test_it_makes_no_files_beside_the_index(tmp_path: Path) -> None:
    with LocalIndex(tmp_path / "a.index", bits=BITS) as index:
        add(index, [1, 2], np.random.default_rng(1))
    before = sorted(tmp_path.rglob("*"))
    with Overlay(tmp_path / "a.index") as over:
        add(over, [3], np.random.default_rng(2))
        over.prepare(), over.compact()
        with pytest.raises(UserError, match="an approximate tier is made of"):
            over.make_near()
    assert sorted(tmp_path.rglob("*")) == before
