"""Re-ranking against a slow oracle: a shortlist by (distance, id), ordered by cosine; and files that do not fit."""

from __future__ import annotations

import math
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

import forked
from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.index import Index, LocalIndex, compaction, embeddings, open_index
from crossbit.index.embeddings import Embeddings
from crossbit.index.overlay import Overlay
from crossbit.index.segments import halves

BITS, N = 16, 500


def make(folder: Path, rows: np.ndarray, ids: np.ndarray) -> None:
    """An index of the rows' signs under ascending ids, with the rows as embeddings, written in two parts."""
    folder.mkdir()
    order = np.random.default_rng(3).permutation(len(ids))
    with open_index(folder / "image.index", bits=rows.shape[1]) as index:
        for some in (order[:7], order[7:]):
            index.add(ids[some], pack(rows[some]), items={"size": ids[some] % 10}, embeddings=rows[some])


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Few different codes, so distances tie; every row is there several times, so cosines do."""
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], (6, BITS))
    different = signs[rng.integers(6, size=N // 4)] * rng.uniform(0.01, 1, (N // 4, BITS))
    return different[rng.integers(len(different), size=N)]


@pytest.fixture(scope="module")
def ids() -> np.ndarray:
    return np.sort(np.random.default_rng(1).choice(10**12, N, replace=False))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, rows: np.ndarray, ids: np.ndarray) -> Path:
    made = tmp_path_factory.mktemp("embeddings") / "index"
    make(made, rows, ids)
    return made


@pytest.fixture(scope="module")
def index(folder: Path) -> Iterator[Index]:
    with open_index(folder / "image.index", read_only=True) as opened:
        yield opened


def embeddings_of(index: Index) -> Embeddings:
    assert index.embeddings is not None
    return index.embeddings


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(5, BITS)).astype(np.float32)


@pytest.fixture(scope="module")
def compared(folder: Path, queries: np.ndarray) -> list[list[tuple[int, int, float]]]:
    """(distance, id, cosine) of all that is stored, in this order, for each query: by loops."""
    stored = np.concatenate([np.load(folder / "image.embeddings" / f"00000{number}.npy") for number in (1, 2)])
    order = np.random.default_rng(3).permutation(N)
    ids = np.sort(np.random.default_rng(1).choice(10**12, N, replace=False))[order]
    found = []
    for query in queries.tolist():
        of_query = []
        for row, id_ in zip(stored.astype(np.float64).tolist(), ids.tolist(), strict=True):
            distance = sum((a >= 0) != (b >= 0) for a, b in zip(row, query, strict=True))
            products = math.fsum(a * b for a, b in zip(row, query, strict=True))
            lengths = math.sqrt(math.fsum(a * a for a in row) * math.fsum(b * b for b in query))
            of_query.append((distance, id_, round(products / lengths, 12)))
        found.append(sorted(of_query))
    return found


def slow(
    compared: list[tuple[int, int, float]], k: int, least: int, most: int, where: int | None
) -> list[tuple[int, int]]:
    """(id, distance) of the nearest; `where` is the size that an item must have."""
    found = [hit for hit in compared if where is None or hit[1] % 10 == where]
    limit = max(k, least)
    near = [hit for hit in found if hit[0] <= found[min(limit, len(found)) - 1][0]][: max(k, most)]
    best = sorted(near, key=lambda hit: (-hit[2], hit[0], hit[1]))[:k]
    return [(id_, distance) for distance, id_, _ in best]


@pytest.mark.parametrize("where", [None, 3])
@pytest.mark.parametrize("k", [1, 10, 130, 600])
@pytest.mark.parametrize(
    ("least", "most"),
    [(100, 8192), (20, 60), *(pytest.param(least, 8192, marks=pytest.mark.slow) for least in (1, 1000))],
)
def test_order_is_the_oracles(
    compared: list[list[tuple[int, int, float]]],
    index: Index,
    queries: np.ndarray,
    k: int,
    least: int,
    most: int,
    where: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embeddings, "AS_NEAR_AS", least)
    monkeypatch.setattr(embeddings, "MOST", most)
    stored = embeddings_of(index)
    condition = None if where is None else f"size = {where}"
    for query, all_of_it in zip(queries, compared, strict=True):
        hits = stored.search(query, pack(query[None]), k, condition)[0]
        assert [(id_, distance) for id_, distance, _ in hits] == slow(all_of_it, k, least, most, where)
        assert all(item == {"size": id_ % 10} for id_, _, item in hits)


def test_the_data_has_ties_to_break(folder: Path, index: Index, queries: np.ndarray) -> None:
    """Otherwise the oracle would say less than it seems to: equal distances, equal cosines, another order."""
    plain = index.search(pack(queries), k=100)
    assert (plain.distances[:, 0] == plain.distances[:, 9]).all()
    for query, ids in zip(queries, plain.ids, strict=True):
        found = embeddings_of(index).search(query, pack(query[None]), k=100)
        assert found.ids[0].tolist() != ids.tolist()
    assert len(np.unique(embeddings_of(index).of(index.keys()), axis=0)) < N / 2


def test_equal_embeddings_stand_by_id(tmp_path: Path) -> None:
    same = np.tile(np.random.default_rng(0).normal(size=BITS), (300, 1))
    make(tmp_path / "index", same, np.arange(300) * 3)
    query = np.random.default_rng(1).normal(size=BITS)
    with open_index(tmp_path / "index" / "image.index", read_only=True) as index:
        found = embeddings_of(index).search(query, pack(query[None]), k=300)
    assert found.ids[0].tolist() == list(range(0, 900, 3))


def test_nothing_to_find(folder: Path, index: Index, queries: np.ndarray, tmp_path: Path) -> None:
    assert embeddings_of(index).search(queries[0], pack(queries[:1]), where="size > 10")[0] == []
    with open_index(tmp_path / "empty.index", bits=BITS) as empty:
        empty.add([], np.empty((0, 2), np.uint8), embeddings=np.empty((0, BITS)))
        assert empty.embeddings is None
        empty.add([1], pack(queries[:1]), embeddings=queries[:1])
        empty.remove([1])
        assert embeddings_of(empty).search(queries[0], pack(queries[:1]))[0] == []


def test_a_wrong_k_is_refused(folder: Path, index: Index, queries: np.ndarray) -> None:
    with pytest.raises(UserError, match="k is 0"):
        embeddings_of(index).search(queries[0], pack(queries[:1]), k=0)


def test_halves_keep_signs_and_directions() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 64)) * 10.0 ** rng.integers(-12, 12, (50, 64))
    rows[0] = 0
    rows[1:9] = np.float64([[-1e-30], [1e-30], [-1e30], [1e30]] * 2)
    rows[9, :2] = 0.0, -0.0
    stored = halves(rows).astype(np.float64)
    np.testing.assert_array_equal(stored >= 0, rows >= 0)
    lengths = np.linalg.norm(stored[1:], axis=1) * np.linalg.norm(rows[1:], axis=1)
    assert ((stored[1:] * rows[1:]).sum(axis=1) / lengths > 1 - 1e-6).all()


def test_zeros_have_cosine_zero(tmp_path: Path) -> None:
    rows = np.stack([np.zeros(8), np.ones(8), np.r_[-np.ones(4) * 3, np.ones(4)]])
    make(tmp_path / "index", rows, np.arange(3))
    query = np.ones(8)
    with open_index(tmp_path / "index" / "image.index", read_only=True) as index:
        found = embeddings_of(index).search(query, pack(query[None]))[0]
    assert [(id_, distance) for id_, distance, _ in found] == [(1, 0), (0, 0), (2, 4)]


def test_the_cosines_come_with_the_hits(index: Index, queries: np.ndarray) -> None:
    hits = embeddings_of(index).search(queries[0], pack(queries[:1]), k=12)
    assert hits.cosines is not None
    rows = embeddings_of(index).of(hits.ids[0])
    exact = rows @ queries[0] / np.linalg.norm(rows, axis=1) / np.linalg.norm(queries[0])
    np.testing.assert_allclose(hits.cosines[0], exact, atol=1e-12)
    assert index.search(pack(queries[:1])).cosines is None


# --- changes --------------------------------------------------------------------------------------------------------


def test_further_columns_order_the_shortlist_and_do_not_count_in_the_distance(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    held, query = rng.normal(size=(300, BITS + 5)), rng.normal(size=BITS + 5)
    with open_index(tmp_path / "image.index", bits=BITS) as made:
        for some in (slice(0, 200), slice(200, 300)):
            made.add(np.arange(300)[some], pack(held[some, :BITS]), embeddings=held[some])
        hits = embeddings_of(made).search(query, pack(query[None, :BITS]), 20)
        assert made.check() == []
        with pytest.raises(UserError, match="16 wide, those of this index 21"):
            embeddings_of(made).search(query[:BITS], pack(query[None, :BITS]), 20)
        with pytest.raises(UserError, match="holds embeddings 21 wide, and these are 16 wide"):
            made.add([900], pack(held[:1, :BITS]), embeddings=held[:1, :BITS])
    distances = ((held[:, :BITS] >= 0) != (query[:BITS] >= 0)).sum(axis=1)
    near = np.flatnonzero(distances <= np.sort(distances)[99])
    unit = halves(held).astype(float)
    cosine = unit @ query / np.linalg.norm(query) / np.linalg.norm(unit, axis=1)
    best = near[np.argsort(-cosine[near], kind="stable")][:20]
    assert hits.ids[0].tolist() == best.tolist()
    assert hits.distances[0].tolist() == distances[best].tolist()


def some_rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, BITS)).astype(np.float32)


def test_replaced_and_removed_rows_have_their_new_embedding_or_none(tmp_path: Path) -> None:
    old, new = some_rows(5), some_rows(2, seed=1)
    with LocalIndex(tmp_path / "a.duckdb", bits=BITS) as index:
        index.add(range(5), pack(old), embeddings=old)
        index.add([1, 9], pack(new), embeddings=new, replace=True)
        index.remove([0])
        stored = embeddings_of(index)
        np.testing.assert_array_equal(stored.of(np.array([9, 1, 4])), halves(np.stack([new[1], new[0], old[4]])))
        with pytest.raises(UserError, match="no embedding for id 0"):
            stored.of(np.array([0]))
        assert (index.check(), index.dead_rows) == ([], 2)  # of 0, and the old one of 1
        index.add([4], pack(old[4:]), replace=True)  # without its embedding
        with pytest.raises(UserError, match="no embedding for id 4"):
            stored.search(old[4], pack(old[4:]))
        assert "id 4 has no embedding (1 such)" in index.check()[0]
    assert sorted(path.name for path in (tmp_path / "a.duckdb-embeddings").iterdir()) == [
        "000001.npy",
        "000002.npy",
        "crossbit.txt",
    ]


# --- compact ----------------------------------------------------------------------------------------------------------


def worn(path: Path) -> np.ndarray:
    """An index of 40 rows, of which 10 are removed and 20 replaced, in four files; the embeddings of ids 10 to 39."""
    rows = some_rows(40)
    with LocalIndex(path, bits=BITS) as index:
        for start in (0, 20):
            index.add(np.arange(start, start + 20), pack(rows[start : start + 20]), embeddings=rows[start : start + 20])
        for start in (10, 20):
            rows[start : start + 10] = some_rows(10, seed=start)
            some = rows[start : start + 10]
            index.add(np.arange(start, start + 10), pack(some), embeddings=some, replace=True)
        index.remove(range(10))
    return rows[10:]


def look(index: LocalIndex, rows: np.ndarray) -> tuple[list[int], list[float]]:
    """All is well, and what a search finds."""
    assert index.check() == [] and index.keys().tolist() == list(range(10, 40))
    np.testing.assert_array_equal(embeddings_of(index).of(np.arange(10, 40)), halves(rows))  # to the bit
    hits = embeddings_of(index).search(rows[3], pack(rows[3:4]), 30)
    assert hits.cosines is not None
    return hits.ids[0].tolist(), hits.cosines[0].tolist()


def files(path: Path) -> list[str]:
    return sorted(file.name for file in path.with_suffix(".embeddings").glob("*.npy"))


def test_compact_keeps_what_lives_to_the_bit_and_drops_the_rest(tmp_path: Path) -> None:
    rows = worn(path := tmp_path / "a.index")
    with LocalIndex(path) as index:
        before, places = look(index, rows), index.places(np.arange(10, 40))
        assert (index.dead_rows, index.compact(), index.dead_rows) == (30, 30, 0)
        assert look(index, rows) == before and files(path) == ["000005.npy"]
        read = embeddings_of(index)._read(np.arange(10, 40), places)  # of a search that began before
        np.testing.assert_array_equal(read, halves(rows))
        assert index.compact() == 0 and files(path) == ["000005.npy"]
    with LocalIndex(path, read_only=True) as index:
        assert look(index, rows) == before
        with pytest.raises(UserError, match="open read-only"):
            index.compact()
    with Overlay(path) as over:
        over.remove([39])
        assert (over.dead_rows, over.compact(), over.dead_rows) == (1, 0, 1)
    assert files(path) == ["000005.npy"]


def test_compact_where_nothing_lives(tmp_path: Path) -> None:
    rows = worn(path := tmp_path / "a.index")
    with LocalIndex(path) as index:
        index.remove(range(10, 40))
        assert (index.compact(), files(path), index.check()) == (60, [], [])
        index.add(range(10, 40), pack(rows), embeddings=rows)
        look(index, rows)


def test_an_index_is_compact_when_it_is_prepared_and_most_is_gone(tmp_path: Path) -> None:
    rows = worn(path := tmp_path / "a.index")
    with LocalIndex(path) as index:
        index.prepare()
        assert (index.dead_rows, len(files(path))) == (30, 4)  # half: it is not worth it yet
        index.make_near(0.9)
        index.add([10], pack(rows[:1]), embeddings=rows[:1], replace=True)
        index.prepare(least=1)
        assert index.dead_rows == 0 and files(path) == ["000006.npy"]
        before = look(index, rows)
    with LocalIndex(path, read_only=True, approximate=True) as index:
        assert look(index, rows) == before and not index.exact
        assert index.search(pack(rows), 1).ids[:, 0].tolist() == list(range(10, 40))


def test_an_index_is_compact_when_it_is_prepared_and_has_many_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "MOST_FILES", 3)
    rows = some_rows(4)
    with LocalIndex(path := tmp_path / "a.index", bits=BITS) as index:
        for row in range(4):
            index.add([row], pack(rows[row : row + 1]), embeddings=rows[row : row + 1])
            index.prepare()
            assert len(files(path)) == [1, 2, 3, 1][row]
        np.testing.assert_array_equal(embeddings_of(index).of(np.arange(4)), halves(rows))


KILLED = """
import os, signal, sys
from crossbit.index import LocalIndex
kill = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
moment, path = sys.argv[1:]
with LocalIndex(path) as index:
    if moment == "while it is written":
        index._segments._rows = kill
    elif moment == "before it counts":
        index._stored.change = lambda *args: kill()
    else:
        index._segments.remove_all_but = kill
    index.compact()
"""


@pytest.mark.parametrize("moment", ["while it is written", "before it counts", "before the old files are gone"])
def test_killed_while_it_is_made_compact(tmp_path: Path, moment: str) -> None:
    rows = worn(path := tmp_path / "a.index")
    with LocalIndex(path, read_only=True) as index:
        before = look(index, rows)
    ended = subprocess.run([sys.executable, "-c", KILLED, moment, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL and len(files(path)) == 5  # the new one is there, and those of before
    with LocalIndex(path) as index:  # who writes next clears up
        assert look(index, rows) == before
        assert len(files(path)) == (1 if moment.endswith("gone") else 4)
        index.compact()
        assert look(index, rows) == before and len(files(path)) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[:1], "real numbers (2, 16)"),
        (lambda rows: rows.astype(int), "real numbers"),
        (lambda rows: -rows, "not the signs"),
        (lambda rows: rows * np.array([[1], [np.nan]]), "not finite"),
    ],
)
def test_embeddings_that_cannot_be(tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], words: str) -> None:
    rows = some_rows(2)
    with open_index(tmp_path / "a.index", bits=BITS) as index:
        with pytest.raises(UserError, match=re.escape(words)):
            index.add([1, 2], pack(rows), embeddings=change(rows))
        assert len(index) == 0
    assert not (tmp_path / "a.embeddings").exists()


def test_an_add_that_is_refused_leaves_no_segment(tmp_path: Path) -> None:
    rows = some_rows(2)
    with open_index(tmp_path / "a.index", bits=BITS) as index:
        index.add([1, 2], pack(rows), embeddings=rows)
        with pytest.raises(UserError, match="already"):
            index.add([2, 3], pack(rows), embeddings=rows)
        with pytest.raises(UserError, match="cancelled after 2 of 2 rows; nothing was added"):
            index.add([3, 4], pack(rows), embeddings=rows, progress=lambda done, n: False)
        assert index.keys().tolist() == [1, 2]
        index.add([5, 6], pack(rows), embeddings=rows)
        np.testing.assert_array_equal(embeddings_of(index).of(np.array([6, 1])), halves(rows[::-1]))


def test_a_segment_that_no_index_names_is_passed_over_and_removed_by_the_next_writer(tmp_path: Path) -> None:
    rows = some_rows(3)
    make(tmp_path / "index", rows, np.arange(3))
    place = tmp_path / "index" / "image.embeddings"
    for name in ("000007.npy", ".000008.1a2b3c4d.npy", "mine.npy"):
        np.save(place / name, rows)
    with open_index(tmp_path / "index" / "image.index", read_only=True) as index:
        assert ["000007.npy is left of a write" in line for line in index.check()] == [True]
        assert len(list(place.glob("*.npy"))) == 4
    with open_index(tmp_path / "index" / "image.index") as index:
        assert sorted(path.name for path in place.iterdir()) == ["000001.npy", "crossbit.txt", "mine.npy"]
        assert index.check() == []


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    rows = some_rows(1)
    (tmp_path / "a.embeddings").mkdir()
    np.save(tmp_path / "a.embeddings" / "000001.npy", rows)
    with open_index(tmp_path / "a.index", bits=BITS) as index:
        with pytest.raises(UserError, match="not of crossbit"):
            index.add([1], pack(rows), embeddings=rows)
        assert len(index) == 0
    assert [path.name for path in (tmp_path / "a.embeddings").iterdir()] == ["000001.npy"]


# --- files that do not fit ------------------------------------------------------------------------------------------


@pytest.fixture
def copied(tmp_path: Path, rows: np.ndarray, ids: np.ndarray) -> Path:
    make(tmp_path / "index", rows[:60], ids[:60])
    return tmp_path / "index"


def complaints(folder: Path) -> tuple[str, list[str]]:
    """The one line that a search ends in, and what `check` says."""
    query = np.linspace(-1, 1, BITS)
    with open_index(folder / "image.index", read_only=True) as index:
        index.search(pack(query[None]))  # without embeddings goes on
        with pytest.raises(UserError) as caught:
            embeddings_of(index).search(query, pack(query[None]))
        assert "\n" not in str(caught.value)
        return str(caught.value), index.check()


@pytest.mark.parametrize("damage", [lambda x: b"", lambda x: b"no array", lambda x: x[:50], lambda x: x[:-1]])
def test_damaged_files(copied: Path, damage: Callable[[bytes], bytes]) -> None:
    path = copied / "image.embeddings" / "000002.npy"
    path.write_bytes(damage(path.read_bytes()))
    said, found = complaints(copied)
    assert said.startswith(f"{path} cannot be read")
    assert found == [said]


def test_a_missing_file(copied: Path) -> None:
    (copied / "image.embeddings" / "000001.npy").unlink()
    said, found = complaints(copied)
    assert "000001.npy cannot be read: No such file" in said
    assert found == [said]


@pytest.mark.parametrize("change", [lambda x: x[:, :8], lambda x: x.astype(np.float32), np.ravel])
def test_embeddings_of_another_shape_or_type(copied: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    path = copied / "image.embeddings" / "000001.npy"
    np.save(path, change(np.load(path)))
    said, found = complaints(copied)
    assert "embeddings of this index are float16 (n, 16) or wider; make the index anew" in said
    assert found == [said]


def test_a_file_that_is_too_short_or_of_other_codes(copied: Path) -> None:
    path = copied / "image.embeddings" / "000002.npy"
    held = np.load(path)
    np.save(path, held[:-1])
    said, found = complaints(copied)
    assert "has 52 rows, the index names row 52" in said
    assert found == [f"{path} has 52 rows, the index names 53"]
    np.save(path, -held)
    said, found = complaints(copied)
    assert "does not hold the embeddings of the codes" in said
    assert "has other signs than its code (53 such)" in found[0]


# --- kill -9 --------------------------------------------------------------------------------------------------------


def _adding(path: Path, count: int, told: Connection) -> None:
    with LocalIndex(path, bits=16) as index:
        start = len(index)
        while True:
            rows = np.random.default_rng(start).normal(size=(count, 16))
            ids = np.arange(start, start + len(rows))
            index.add(ids, pack(rows), embeddings=rows, hashes=[str(start)] * len(rows))
            told.send(start + len(rows))
            start += len(rows)


def kill_while_adding(path: Path, count: int, delay: float) -> int:
    """Start a process that adds, kill it; how many rows it had acknowledged."""
    here, there = Pipe(duplex=False)
    process = forked.begun(_adding, path, count, there)
    there.close()
    acknowledged = here.recv()
    time.sleep(delay)
    process.kill()
    process.join()
    with suppress(EOFError):
        while True:
            acknowledged = here.recv()
    return int(acknowledged)


def kill_again_and_again(path: Path, times: int) -> None:
    for turn in range(times):
        acknowledged = kill_while_adding(path, [3, 500, 20_000][turn % 3], random.Random(turn).uniform(0, 0.5))
        with open_index(path) as index:
            assert index.check() == []
            assert len(index) >= acknowledged
            assert None not in index.hashes(index.keys())
            last = index.keys()[-1:]
            assert embeddings_of(index).of(last).shape == (1, BITS)


@pytest.mark.slow
def test_killed_at_15_random_moments_code_and_embedding_agree(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path / "a.index", 15)
