"""Re-ranking against a slow oracle: a shortlist by (distance, id), ordered by cosine; and files that do not fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.index import Index, embeddings, open_index
from crossbit.index.embeddings import Embeddings, halves, write_ids, writing_embeddings

BITS, N = 16, 500


def make(folder: Path, rows: np.ndarray, ids: np.ndarray) -> None:
    """An index of the rows' signs under ascending ids, with the rows as embeddings, written in two parts."""
    folder.mkdir()
    write_ids(folder, ids)
    with writing_embeddings(folder, "image", len(rows), rows.shape[1]) as append:
        append(rows[:7])
        append(rows[7:])
    with open_index(folder / "image.index", bits=rows.shape[1]) as index:
        index.add(ids, pack(rows), items={"size": ids % 10})


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


@pytest.fixture
def queries() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(5, BITS)).astype(np.float32)


def slow(folder: Path, query: np.ndarray, k: int, least: int, most: int, where: int | None) -> list[tuple[int, int]]:
    """(id, distance) by loops over what is stored; `where` is the size that an item must have."""
    stored, ids = np.load(folder / "image.embeddings.npy"), np.load(folder / "ids.npy")
    found = []
    for row, id_ in zip(stored.astype(np.float64).tolist(), ids.tolist(), strict=True):
        if where is None or id_ % 10 == where:
            distance = sum((a >= 0) != (b >= 0) for a, b in zip(row, query.tolist(), strict=True))
            products = math.fsum(a * b for a, b in zip(row, query.tolist(), strict=True))
            lengths = math.sqrt(math.fsum(a * a for a in row) * math.fsum(b * b for b in query.tolist()))
            found.append((distance, id_, round(products / lengths, 12)))
    found.sort()
    limit = max(k, least)
    near = [hit for hit in found if hit[0] <= found[min(limit, len(found)) - 1][0]][: max(k, most)]
    best = sorted(near, key=lambda hit: (-hit[2], hit[0], hit[1]))[:k]
    return [(id_, distance) for distance, id_, _ in best]


@pytest.mark.parametrize("where", [None, 3])
@pytest.mark.parametrize("k", [1, 10, 130, 600])
@pytest.mark.parametrize(("least", "most"), [(100, 8192), (1, 8192), (20, 60), (1000, 8192)])
def test_order_is_the_oracles(
    folder: Path,
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
    stored = Embeddings(folder, "image", BITS)
    condition = None if where is None else f"size = {where}"
    for query in queries:
        hits = stored.search(index, query, pack(query[None]), k, condition)[0]
        assert [(id_, distance) for id_, distance, _ in hits] == slow(folder, query, k, least, most, where)
        assert all(item == {"size": id_ % 10} for id_, _, item in hits)


def test_the_data_has_ties_to_break(folder: Path, index: Index, queries: np.ndarray) -> None:
    """Otherwise the oracle would say less than it seems to: equal distances, equal cosines, another order."""
    plain = index.search(pack(queries), k=100)
    assert (plain.distances[:, 0] == plain.distances[:, 9]).all()
    for query, ids in zip(queries, plain.ids, strict=True):
        found = Embeddings(folder, "image", BITS).search(index, query, pack(query[None]), k=100)
        assert found.ids[0].tolist() != ids.tolist()
    assert len(np.unique(np.load(folder / "image.embeddings.npy"), axis=0)) < N / 2


def test_equal_embeddings_stand_by_id(tmp_path: Path) -> None:
    same = np.tile(np.random.default_rng(0).normal(size=BITS), (300, 1))
    make(tmp_path / "index", same, np.arange(300) * 3)
    query = np.random.default_rng(1).normal(size=BITS)
    with open_index(tmp_path / "index" / "image.index", read_only=True) as index:
        found = Embeddings(tmp_path / "index", "image", BITS).search(index, query, pack(query[None]), k=300)
    assert found.ids[0].tolist() == list(range(0, 900, 3))


def test_nothing_to_find(folder: Path, index: Index, queries: np.ndarray, tmp_path: Path) -> None:
    stored = Embeddings(folder, "image", BITS)
    assert stored.search(index, queries[0], pack(queries[:1]), where="size > 10")[0] == []
    make(tmp_path / "empty", np.empty((0, BITS)), np.empty(0, np.int64))
    with open_index(tmp_path / "empty" / "image.index", read_only=True) as empty:
        assert Embeddings(tmp_path / "empty", "image", BITS).search(empty, queries[0], pack(queries[:1]))[0] == []


def test_a_wrong_k_is_refused(folder: Path, index: Index, queries: np.ndarray) -> None:
    with pytest.raises(UserError, match="k is 0"):
        Embeddings(folder, "image", BITS).search(index, queries[0], pack(queries[:1]), k=0)


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
        found = Embeddings(tmp_path / "index", "image", 8).search(index, query, pack(query[None]))[0]
    assert [(id_, distance) for id_, distance, _ in found] == [(1, 0), (0, 0), (2, 4)]


# --- files that do not fit ------------------------------------------------------------------------------------------


@pytest.fixture
def copied(tmp_path: Path, rows: np.ndarray, ids: np.ndarray) -> Path:
    make(tmp_path / "index", rows[:60], ids[:60])
    return tmp_path / "index"


def complaint(folder: Path) -> str:
    """The one line that a search ends in."""
    query = np.linspace(-1, 1, BITS)
    with open_index(folder / "image.index", read_only=True) as index, pytest.raises(UserError) as caught:
        Embeddings(folder, "image", BITS).search(index, query, pack(query[None]))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_embeddings_are_no_error(copied: Path) -> None:
    (copied / "image.embeddings.npy").unlink()
    assert Embeddings.beside(copied, "image", BITS) is None


@pytest.mark.parametrize("name", ["image.embeddings.npy", "ids.npy"])
def test_damaged_files(copied: Path, name: str) -> None:
    whole = (copied / name).read_bytes()
    for damaged in (b"", b"no array", b"PK\x03\x04" + whole, whole[:50], whole[:-1]):
        (copied / name).write_bytes(damaged)
        assert complaint(copied).startswith(f"{copied / name} cannot be read")


def test_ids_are_missing(copied: Path) -> None:
    (copied / "ids.npy").unlink()
    assert "ids.npy cannot be read: No such file" in complaint(copied)


@pytest.mark.parametrize("change", [lambda x: x[:-1], lambda x: x[:, :8], lambda x: x.astype(np.float32), np.ravel])
def test_embeddings_of_another_shape_or_type(copied: Path, change: object) -> None:
    path = copied / "image.embeddings.npy"
    np.save(path, change(np.load(path)))  # type: ignore[operator]
    assert "embeddings of this index are float16 (60, 16); make the index anew" in complaint(copied)


@pytest.mark.parametrize("change", [lambda x: x.astype(np.float64), lambda x: x[:, None]])
def test_ids_of_another_shape_or_type(copied: Path, change: object) -> None:
    np.save(copied / "ids.npy", change(np.load(copied / "ids.npy")))  # type: ignore[operator]
    assert "ids are int64 (n,)" in complaint(copied)


def test_embeddings_of_another_index(copied: Path) -> None:
    path = copied / "image.embeddings.npy"
    np.save(path, np.load(path)[::-1])
    assert "does not hold the embeddings of the codes in this index; make the index anew" in complaint(copied)


def test_nan_is_not_an_embedding(copied: Path) -> None:
    path = copied / "image.embeddings.npy"
    np.save(path, np.full_like(np.load(path), np.nan))
    assert "does not hold the embeddings" in complaint(copied)


def test_an_index_that_has_grown(copied: Path, rows: np.ndarray) -> None:
    with open_index(copied / "image.index") as index:
        index.add([5], pack(rows[60:61]))
    assert "holds no embedding for id 5, which is in the index" in complaint(copied)


def test_an_index_that_has_shrunk(copied: Path, queries: np.ndarray, ids: np.ndarray) -> None:
    with open_index(copied / "image.index") as index:
        index.remove(ids[:50])
        found = Embeddings(copied, "image", BITS).search(index, queries[0], pack(queries[:1]), k=60)
    assert sorted(found.ids[0].tolist()) == ids[50:60].tolist()
