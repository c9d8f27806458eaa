"""The approximate tier of a local index: its recall is what it says, and whatever changes, nothing wrong is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossbit.errors import UserError
from crossbit.index import LocalIndex, open_index
from crossbit.index.overlay import Overlay

rng = np.random.default_rng(1)
CENTRES = rng.integers(0, 2, (30, 64), dtype=np.uint8)
Rows = dict[int, np.ndarray]


def some(n: int, seed: int = 0) -> np.ndarray:
    """Clustered codes."""
    own = np.random.default_rng(seed)
    return np.packbits(CENTRES[own.integers(30, size=n)] ^ (own.random((n, 64)) < 0.1), axis=1)


def distances(query: np.ndarray, codes: np.ndarray) -> np.ndarray:
    counted: np.ndarray = np.unpackbits(query ^ codes, axis=1).sum(axis=1).astype(int)
    return counted


def make(path: Path, n: int = 700, recall: float = 0.95) -> Rows:
    codes = some(n)
    with LocalIndex(path, bits=64) as index:
        index.add(np.arange(0, 2 * n, 2), codes, items={"odd": np.arange(n) % 2})
        index.make_near(recall)
    return dict(zip(range(0, 2 * n, 2), codes, strict=True))


def check(index: LocalIndex, rows: Rows, queries: np.ndarray, k: int = 5) -> None:
    """What is found is there, at its distance, in order, none twice; with all cells looked into, the nearest."""
    ids, codes = np.array(list(rows)), np.stack(list(rows.values()))
    hits = index.search(queries, k)
    for query, found, near in zip(queries, hits.ids.tolist(), hits.distances.tolist(), strict=True):
        assert [int(distances(query, rows[id_][None])[0]) for id_ in found] == near
        assert sorted(zip(near, found, strict=True)) == list(zip(near, found, strict=True)) and len(set(found)) == k
        assert near == np.sort(distances(query, codes))[:k].tolist()
    assert set(ids.tolist()) == set(index.keys().tolist())


def test_the_recall_that_is_told_is_true(tmp_path: Path) -> None:
    codes, others = some(400), some(50, seed=2)
    with LocalIndex(tmp_path / "a.index", bits=64, approximate=True) as index:
        index.add(np.arange(400), codes)
        assert index.exact
        told = index.make_near(0.9, {"text": others})
        assert not index.exact and told.cells == 16 and 1 <= told.probes < 16 and told.compared < 0.9
        for kind, queries, out in (("itself", codes, 1), ("text", others, 0)):
            for k, share in zip((10, 100), told.of[kind], strict=True):
                ids = index.search(queries, k + out).ids[:, out:]
                kth = np.stack([np.sort(distances(query, codes)) for query in queries])[:, k + out - 1]
                good = [sum(distances(q, codes[row]) <= d) for q, row, d in zip(queries, ids, kth, strict=True)]
                assert share >= 0.9 and share == pytest.approx(sum(good) / (k * len(queries)), abs=0.005)
    assert "itself" in str(told) and "of which a query looks into" in str(told)


def test_whatever_changes_the_nearest_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a.index"
    rows, own, queries = make(path, recall=1.0), np.random.default_rng(3), some(6, seed=5)
    index = LocalIndex(path, approximate=True)
    for step in range(24):
        what = own.integers(4)
        if what == 0:
            ids, codes = own.choice(3000, 5, replace=False), some(5, seed=step)
            index.add(ids, codes, replace=True)
            rows |= dict(zip(ids.tolist(), codes, strict=True))
        elif what == 1:
            gone = own.choice(list(rows), 7, replace=False)
            index.remove(gone)
            rows = {id_: code for id_, code in rows.items() if id_ not in set(gone.tolist())}
        elif what == 2:
            index.close()
            index = LocalIndex(path, approximate=True)
        else:
            index.prepare()
        assert not index.exact
        check(index, rows, np.concatenate([queries, np.stack(list(rows.values()))[-2:]]))
        assert index.check() == []
    index.close()


def test_changes_in_memory_alone(tmp_path: Path) -> None:
    rows = make(tmp_path / "a.index", recall=1.0)
    with Overlay(tmp_path / "a.index", approximate=True) as over:
        new = some(3, seed=8)
        over.add([0, 1, 3], new, replace=True)
        over.remove([2])
        rows = {id_: code for id_, code in rows.items() if id_ != 2} | dict(zip([0, 1, 3], new, strict=True))
        assert not over.exact
        check(over, rows, new)


def test_filters_radius_and_long_lists_compare_all(tmp_path: Path) -> None:
    make(tmp_path / "a.index", recall=0.3)
    queries = some(5, seed=9)
    with (
        open_index(tmp_path / "a.index", approximate=True) as near,
        open_index(tmp_path / "a.index2", bits=64) as exact,
    ):
        assert exact.exact and not near.exact
        exact.add(near.keys(), near.codes_of(near.keys()), {"odd": np.arange(700) % 2})
        assert near.search(queries).compared < 700 and not near.search(queries).exact
        for asked in ({"where": "odd = 1"}, {"radius": 9}, {"k": 600}):
            one, other = near.search(queries, **asked), exact.search(queries, **asked)
            assert one.ids.tolist() == other.ids.tolist() and one.compared == other.compared
            assert one.exact and other.exact
        without = near.search_places(queries, 3, without=near.search(queries, 1).ids[:, 0])[0]
        assert not set(without.ids.ravel()) & set(near.search(queries, 1).ids[:, 0])


def test_more_than_the_cells_hold(tmp_path: Path) -> None:
    make(tmp_path / "a.index", recall=0.01)
    with LocalIndex(tmp_path / "a.index", approximate=True) as index:
        assert index.search(some(3), 500).distances.min() >= 0


def test_damage_is_seen_and_all_codes_are_compared(tmp_path: Path) -> None:
    path, folder = tmp_path / "a.index", tmp_path / "a.cells"
    make(path)
    whole = (folder / "planes.npy").read_bytes()
    (folder / "planes.npy").write_bytes(whole[:-8] + bytes(8))
    with LocalIndex(path, approximate=True) as index:
        assert "a.cells does not hold the codes of a.index; make it anew" in index.check()[0]
    (folder / "planes.npy").write_bytes(whole[:-8])
    with LocalIndex(path, approximate=True) as index:
        assert index.exact and "all codes are compared; make it anew" in index.check()[0]
        assert index.search(some(2)).compared == 700
        index.make_near()
        assert not index.exact and index.check() == []
    (folder / "about.json").write_text("{")
    with LocalIndex(path, approximate=True) as index:
        assert index.exact and len(index.check()) == 1


def test_what_cannot_be_made(tmp_path: Path) -> None:
    with LocalIndex(tmp_path / "a.index", bits=64) as index:
        with pytest.raises(UserError, match="has no codes"):
            index.make_near()
        index.add([1], some(1))
        with pytest.raises(UserError, match=r"recall is 1\.5; it must be a share"):
            index.make_near(1.5)
        with pytest.raises(UserError, match="queries of text have 8 bits"):
            index.make_near(queries={"text": np.zeros((1, 1), np.uint8)})
        assert index.make_near().of["itself"] == (1.0, 1.0)  # one code, which has no neighbour
    with LocalIndex(tmp_path / "a.index", read_only=True) as index, pytest.raises(UserError, match="read-only"):
        index.make_near()
