"""Tomorrow's rows: what is new comes in, what is gone goes on request, and a kill leaves the old state or the new."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossbit
from crossbit.data import PairedData, load_data
from crossbit.errors import UserError
from crossbit.model import Model
from crossbit.search.adding import add
from crossbit.search.build import Counts, check_index, index_data, index_path
from crossbit.search.unlike import unlike
from crossbit.storage.exchange import alone_with, copy_beside, take_place
from tiny import Command, arrays, runner

N, HELD = 90, 40


def saved(folder: Path, n: int = N, **changes: Any) -> Path:
    names = {"path": np.array([f"photos/{row}.png" for row in range(N)])}
    rows = {name: array[:n] if len(array) == N else array for name, array in (arrays(N) | names | changes).items()}
    split = {"query": np.arange(15), "train": np.arange(15, n), "retrieval": np.arange(15, n)}
    np.savez(folder / f"{n}.npz", **(rows | split))
    return folder / f"{n}.npz"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    data = load_data(saved(tmp_path_factory.mktemp("model")))
    return crossbit.train(data, method="nrch", bits=16, epochs=1, settings={"width": 16}, progress=False)


@pytest.fixture
def data(tmp_path: Path) -> PairedData:
    return load_data(saved(tmp_path))


@pytest.fixture
def uri(model: Model, data: PairedData, tmp_path: Path) -> Path:
    index_data(model, data, tmp_path / "index", rows=np.arange(HELD))
    return tmp_path / "index"


def state(model: Model, uri: Path) -> dict[str, list[int]]:
    assert check_index(model, uri) == []
    found = {}
    for modality in model.modalities:
        with crossbit.open_index(index_path(uri, modality), read_only=True) as index:
            found[modality] = list(index)
    return found


@pytest.mark.slow
def test_what_is_new_comes_and_what_is_gone_goes_on_request(model: Model, tmp_path: Path, uri: Path) -> None:
    whole, part = load_data(saved(tmp_path)), load_data(saved(tmp_path, 60))
    done = add(model, whole, uri)
    assert (done.counts, done.gone) == (dict.fromkeys(["image", "text"], Counts(50, 0, 40)), 0)
    full = state(model, uri)
    assert add(model, whole, uri).counts["text"] == Counts(0, 0, 90)
    done = add(model, part, uri)
    assert (done.counts["image"], done.gone, done.dropped) == (Counts(0, 0, 60), 30, False)
    assert state(model, uri) == full
    done = add(model, part, uri, drop_missing=True)
    assert (done.gone, done.dropped) == (30, True)
    assert {name: len(ids) for name, ids in state(model, uri).items()} == {"image": 60, "text": 60}
    assert sorted(path.name for path in uri.parent.iterdir()) == [".index.lock", "60.npz", "90.npz", "index"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the child is a fork")
def test_a_kill_at_any_moment_leaves_the_old_state_or_the_new(
    model: Model, data: PairedData, uri: Path, tmp_path: Path
) -> None:
    def killed(place: Path, after: float) -> None:
        if not (child := os.fork()):
            add(model, data, place)
            os._exit(0)
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    import shutil

    trial = tmp_path / "trial"
    shutil.copytree(uri, trial)
    old, start = state(model, trial), time.perf_counter()
    add(model, data, trial)
    took, new = time.perf_counter() - start, state(model, trial)
    rng, seen = np.random.default_rng(0), {"old": 0, "new": 0}
    for _ in range(20):
        shutil.rmtree(trial)
        shutil.copytree(uri, trial)
        killed(trial, took * rng.uniform(0.3, 1.2))
        found = state(model, trial)
        assert found in (old, new)
        seen["old" if found == old else "new"] += 1
        took *= 1.2 if found == old else 0.8  # so that the kills gather where the one becomes the other
    assert min(seen.values()) >= 3, seen
    add(model, data, trial)
    assert state(model, trial) == new and not list(tmp_path.glob(".trial.[0-9a-f]*[0-9a-f]"))


@pytest.mark.slow
def test_an_error_leaves_the_old_state(
    model: Model, data: PairedData, uri: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(model, uri)

    def ordering(modality: str, rows: Any) -> np.ndarray:
        if modality == "text":
            raise OSError("the disk is full")
        return Model.ordering(model, modality, rows)

    monkeypatch.setattr(model, "ordering", ordering)
    with pytest.raises(OSError, match="disk is full"):
        add(model, data, uri)
    assert state(model, uri) == before


@pytest.mark.parametrize("one_step", [True, False])
def test_a_folder_is_exchanged(one_step: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not one_step:
        monkeypatch.setattr("crossbit.storage.exchange._exchanged", lambda one, other: False)
    folder = tmp_path / "x[1]"
    folder.mkdir()
    for name in ("a.npy", "b.txt"):
        (folder / name).write_text("old")
    with alone_with(folder), copy_beside(folder, ".npy") as copy:
        (copy / "b.txt").write_text("new")
        assert (folder / "b.txt").read_text() == "old"
        with pytest.raises(UserError, match="another process changes"), alone_with(folder):
            pass
        take_place(copy, folder)
    assert [(folder / name).read_text() for name in ("a.npy", "b.txt")] == ["old", "new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".x[1].lock", "x[1]"]


def test_what_was_moved_away_by_a_killed_process_is_put_back(tmp_path: Path) -> None:
    for name in (
        ".x.0123abcd",
        ".x.4567cdef.moved-away",
    ):  # the one that was to be put there, and the one that was there
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("old" if name.endswith("away") else "new")
    with alone_with(tmp_path / "x"):
        assert (tmp_path / "x" / "a.txt").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".x.lock", "x"]


def test_a_copy_called_old_is_not_taken_for_what_was_moved_away(tmp_path: Path) -> None:
    (tmp_path / "x.old").mkdir()
    at_work = alone_with(tmp_path / "x.old"), copy_beside(tmp_path / "x.old")
    with at_work[0], at_work[1] as copy, alone_with(tmp_path / "x"):
        assert copy.is_dir() and not (tmp_path / "x").exists()


def test_another_model_is_refused(data: PairedData, uri: Path) -> None:
    other = crossbit.train(data, method="nrch", bits=16, epochs=1, seed=1, settings={"width": 16}, progress=False)
    with pytest.raises(UserError, match="holds codes of nrch"):
        add(other, data, uri)
    with pytest.raises(UserError, match="no index at"):
        add(other, data, uri.with_name("nowhere"))


def test_rows_that_look_unlike_are_told(model: Model, data: PairedData) -> None:
    old, new = np.arange(60), np.arange(60, 90)
    assert unlike(model, data, new, old) == []
    image, text = data["image"].copy(), data["text"].astype("U40")
    image[60:], text[60:] = np.random.default_rng(0).integers(0, 256, image[60:].shape), "wholly other words"
    strange = data.replace(modalities={"image": image, "text": text})
    said = unlike(model, strange, new, old)
    assert len(said) == 2 and "100% of the new rows" in said[0] and "100% of the words" in said[1]


@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command: Command = runner(capsys)
    first, later = saved(tmp_path, 60), saved(tmp_path)
    run = tmp_path / "run"
    trained = ("--method", "nrch", "--epochs", "1", "--set", "width=16", "--bits", "16", "--quiet")
    assert command("train", first, "--out", run, *trained).code == 0
    assert "crossbit index" in command("add", run, later).errors[-1]
    assert command("index", run).code == 0
    ran = command("add", run, later)
    assert ran.out.splitlines()[:2] == [
        "image: 45 added, 0 changed, 45 unchanged",
        "text: 45 added, 0 changed, 45 unchanged",
    ]
    assert "30 items of the index are not in 60: kept; --drop-missing" in command("add", run, first).out
    assert "30 items of the index are not in 60: removed" in command("add", run, first, "--drop-missing").out
    assert command("index", run, "--check").code == 0
