"""Rows that come later: what is new or changed is encoded, what is there is left alone, whatever order it comes in."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossbit
from crossbit.data import PairedData, load_data
from crossbit.errors import UserError
from crossbit.index import stable_ids
from crossbit.model import Model
from crossbit.search.build import Counts, add_data, index_data, index_path
from crossbit.search.items import ids_of
from tiny import arrays

N = 60


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PairedData:
    path = tmp_path_factory.mktemp("build") / "toy.npz"
    np.savez(path, **arrays(N, path=np.array([f"photos/{row}.png" for row in range(N)])))
    return load_data(path)


@pytest.fixture(scope="module")
def model(data: PairedData) -> Model:
    return crossbit.train(data, method="nrch", bits=16, epochs=1, settings={"width": 16}, progress=False)


@pytest.fixture(scope="module")
def indexed(model: Model, data: PairedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexed") / "index"
    index_data(model, data, folder, rows=np.arange(40))
    return folder


@pytest.fixture
def uri(indexed: Path, tmp_path: Path) -> Path:
    """A copy, which a test may change."""
    return Path(shutil.copytree(indexed, tmp_path / "index"))


def changed(data: PairedData, **columns: Any) -> PairedData:
    return data.replace(modalities={**data.modalities, **columns})


def encoded(model: Model, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows are encoded, call by call."""
    counts: list[int] = []

    def ordering(modality: str, rows: Any) -> np.ndarray:
        counts.append(len(rows))
        return Model.ordering(model, modality, rows)

    monkeypatch.setattr(model, "ordering", ordering)
    return counts


def content(uri: Path, modality: str) -> dict[int, tuple[bytes, Any]]:
    with crossbit.open_index(index_path(uri, modality), read_only=True) as index:
        assert index.check() == []
        return {id_: (index[id_][0].tobytes(), index[id_][1]) for id_ in index}


@pytest.mark.slow
def test_only_what_is_new_is_encoded(
    model: Model, data: PairedData, uri: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = encoded(model, monkeypatch)
    assert add_data(model, data, uri, rows=np.arange(30, N)) == dict.fromkeys(["image", "text"], Counts(20, 0, 10))
    assert sum(counts) == 40
    assert add_data(model, data, uri, rows=np.arange(N)) == dict.fromkeys(["image", "text"], Counts(0, 0, N))
    assert sum(counts) == 40
    index_data(model, data, uri.with_name("anew"), rows=np.arange(N))
    for modality in ("image", "text"):
        assert content(uri, modality) == content(uri.with_name("anew"), modality)


@pytest.mark.slow
def test_what_has_changed_is_replaced(model: Model, data: PairedData, uri: Path) -> None:
    images = data["image"].copy()
    images[7] = 255 - images[7]
    inverted = changed(data, image=images)
    assert add_data(model, inverted, uri, rows=np.arange(40)) == {"image": Counts(0, 1, 39), "text": Counts(0, 0, 40)}
    id_ = int(stable_ids(["photos/7.png"])[0])
    assert content(uri, "image")[id_][0] == model.encode("image", images[7:8]).tobytes()


@pytest.mark.slow
def test_a_caption_or_label_that_has_changed_changes_the_item(model: Model, data: PairedData, uri: Path) -> None:
    assert data.label is not None
    label = data.label.copy()
    label[3] = 1
    assert add_data(model, data.replace(label=label), uri, rows=np.arange(5)) == dict.fromkeys(
        ["image", "text"], Counts(0, 1, 4)
    )
    assert content(uri, "text")[int(stable_ids(["photos/3.png"])[0])][1]["labels"] == data.label_names


@pytest.mark.slow
def test_another_order_of_rows_changes_nothing(model: Model, data: PairedData, uri: Path) -> None:
    before, order = content(uri, "image"), np.random.default_rng(0).permutation(N)
    shuffled = data.replace(
        modalities={name: rows[order] for name, rows in data.modalities.items()},
        label=data.label[order] if data.label is not None else None,
        path=data.path[order] if data.path is not None else None,
    )
    there = np.flatnonzero(order < 40)
    assert add_data(model, shuffled, uri, rows=there)["image"] == Counts(0, 0, 40)
    assert content(uri, "image") == before


def test_several_rows_of_one_path_are_told_apart(data: PairedData) -> None:
    assert data.path is not None
    path = data.path.copy()
    path[[4, 9]] = path[2]
    twice = data.replace(path=path)
    ids = ids_of(twice, np.arange(N))
    assert len(set(ids.tolist())) == N
    assert ids_of(twice, np.array([9])).tolist() == [ids[9]]
    assert ids[2] == ids_of(data, np.array([2]))[0]


@pytest.mark.slow
def test_rows_without_a_path_are_known_by_number_and_never_replaced(
    model: Model, data: PairedData, tmp_path: Path
) -> None:
    bare, uri = data.replace(path=None), tmp_path / "index"
    index_data(model, bare, uri, rows=np.arange(10))
    assert sorted(content(uri, "image")) == list(range(10))
    assert add_data(model, bare, uri, rows=np.arange(12))["image"] == Counts(2, 0, 10)
    other = changed(bare, image=bare["image"][::-1].copy())
    with pytest.raises(UserError, match=r"row 0 of .* is not what the index holds as row 0"):
        add_data(model, other, uri, rows=np.arange(12))
    assert add_data(model, bare, uri, rows=np.arange(12))["image"] == Counts(0, 0, 12)


def test_two_paths_of_one_id_are_refused(
    model: Model, data: PairedData, uri: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = int(stable_ids(["photos/3.png"])[0])
    monkeypatch.setattr("crossbit.index.ids._hashed", lambda key: only)
    with pytest.raises(UserError, match=f"'a' and 'b' have one hash, {only}"):
        stable_ids(["a", "b"])
    monkeypatch.setattr("crossbit.search.items.stable_ids", lambda keys: np.full(len(keys), only))
    with pytest.raises(UserError, match=r"'photos/3.png' and 'photos/50.png' have one id"):
        add_data(model, data, uri, rows=np.array([50]))


def test_another_model_is_refused_before_anything_is_encoded(
    data: PairedData, uri: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = crossbit.train(data, method="nrch", bits=16, epochs=1, seed=1, settings={"width": 16}, progress=False)
    counts = encoded(other, monkeypatch)
    with pytest.raises(UserError, match=r"holds codes of nrch \(.*\), not of nrch \(.*\)"):
        add_data(other, data, uri)
    assert counts == []


def test_there_must_be_an_index(model: Model, data: PairedData, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no index at"):
        add_data(model, data, tmp_path / "index")
    for name in ("run?1", "a\\b"):
        with pytest.raises(UserError, match="DuckDB misreads"):
            index_data(model, data, tmp_path / name / "index")
    assert list(tmp_path.iterdir()) == []


def test_keys_must_differ() -> None:
    with pytest.raises(UserError, match="'a' is there twice"):
        stable_ids(["a", "b", "a"])
    assert stable_ids([]).tolist() == []
    ids = stable_ids([f"{number}" for number in range(1000)])
    assert (ids >= 0).all()
    assert stable_ids(["\udcff", "é"]).dtype == np.int64
