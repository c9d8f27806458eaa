"""A run's folder: its data found again and compared, its state, and one clear line however its files are cut short."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossbit
from crossbit.data import load_data
from crossbit.data.described import fingerprint
from crossbit.errors import UserError
from crossbit.model import load_model
from crossbit.runs.folder import RunFolder
from tiny import TRAIN, Command, runner, vectors


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture
def place(tmp_path: Path, command: Command) -> Path:
    """A data file and a finished run on it."""
    np.savez(tmp_path / "toy.npz", **vectors())
    assert command("train", tmp_path / "toy.npz", "--out", tmp_path / "run", *TRAIN).code == 0
    return tmp_path


def changed(name: str, row: int, column: int) -> dict[str, Any]:
    array = vectors()[name].copy()
    array[row, column] = np.nextafter(array[row, column], np.float32(9))
    return vectors(**{name: array})


def test_the_state_of_a_folder(place: Path) -> None:
    run = RunFolder(place / "run")
    assert (run.state, run.is_finished, RunFolder(place).state) == ("whole", True, "not a run")
    run.weights_file.unlink()
    assert run.state == "unfinished"
    run.config_file.write_text(json.dumps(run.config | {"format": 99}))
    assert run.state == "of another version"


@pytest.mark.parametrize(("name", "row", "column"), [("image", 0, 0), ("text", 59, 4), ("image", 33, 5)])
def test_data_that_differ_in_one_value_are_others(
    place: Path, command: Command, name: str, row: int, column: int
) -> None:
    np.savez(place / "toy.npz", **changed(name, row, column))
    for words in (["evaluate", place / "run"], ["index", place / "run"], ["audit", place / "run"]):
        ran = command(*words)
        assert (ran.code, "are not those that" in ran.errors[-1], "other content" in ran.errors[-1]) == (2, True, True)


@pytest.mark.slow
def test_another_set_is_evaluated_and_said_to_be_one_but_not_audited(place: Path, command: Command) -> None:
    np.savez(place / "other.npz", **changed("text", 0, 0))
    ran = command("evaluate", place / "run", "--data", place / "other.npz")
    assert ran.code == 0
    assert [line for line in ran.errors if "taken as another set" in line] == [ran.errors[0]]
    shutil.copy(place / "toy.npz", place / "moved.npz")
    ran = command("evaluate", place / "run", "--data", place / "moved.npz")
    assert (ran.code, [line for line in ran.errors if "another set" in line]) == (0, [])
    assert command("audit", place / "run", "--data", place / "moved.npz").code == 0
    ran = command("audit", place / "run", "--data", place / "other.npz")
    assert (ran.code, "other content" in ran.errors[-1]) == (2, True)


@pytest.mark.parametrize("suffix", ["", ".npz"])
def test_every_part_of_the_data_is_in_the_fingerprint(tmp_path: Path, suffix: str) -> None:
    label = vectors()["label"].copy()
    label[3] = (label[3] + 1) % 3
    variants = [
        vectors(),
        changed("image", 30, 2),
        vectors(label=label),
        vectors(caption=np.array([f"number {row}" for row in range(59)] + ["another"])),
        vectors(group=np.arange(60)),
        vectors(group=np.arange(60) // 2),
        vectors(query=np.arange(14)),
    ]
    prints = []
    for number, arrays in enumerate(variants):
        np.savez(tmp_path / f"{number}.npz", **arrays)
        data = load_data(tmp_path / f"{number}.npz")
        if not suffix:
            crossbit.data.save_neutral(data, tmp_path / str(number))
        prints.append(fingerprint(load_data(tmp_path / f"{number}{suffix}")))
        assert prints[-1] == fingerprint(data)
    assert len(set(prints)) == len(variants)


def test_the_hash_of_a_mapped_file_is_kept_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    from crossbit.data import hashes

    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "x.npy"

    def write(value: float, time: int) -> str:
        np.save(file, np.full((5, 2), value))
        os.utime(file, ns=(time, time))
        return hashes.hash_of(hashes.map_file(file))

    first = write(1.0, 10**18)
    with monkeypatch.context() as patched:
        patched.setattr(hashes, "_computed", None)
        assert hashes.hash_of(hashes.map_file(file)) == first  # not computed again
    assert write(2.0, 10**18 + 1) != first
    second = write(3.0, 10**18)
    assert write(4.0, 10**18) not in (first, second)  # put in its place with the same time
    for kept in (tmp_path / "cache" / "hashes").iterdir():
        kept.write_text("{")
    assert write(1.0, 10**18) == first
    monkeypatch.setenv("CROSSBIT_CACHE", str(file / "cache"))  # below a file: it cannot be made
    assert write(1.0, 10**18) == first


def edit(run: Path, change: Any) -> None:
    config = json.loads((run / "config.json").read_text())
    change(config)
    (run / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda config: config.update(method="rshnl"), "unknown method 'rshnl'"),
        (lambda config: config["settings"].update(newer=1), "'newer'"),
        (lambda config: config["settings"].pop("width"), "no value for the setting width"),
        (lambda config: config.update(format=99), "format 99"),
        (lambda config: config.pop("bits"), "lacks bits"),
    ],
)
def test_a_run_of_another_version_is_not_called_damaged(place: Path, change: Any, said: str) -> None:
    edit(place / "run", change)
    with pytest.raises(UserError) as error:
        load_model(place / "run")
    assert said in str(error.value) and "damaged" not in str(error.value)


def test_evaluate_writes_the_report(place: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = command("evaluate", place / "run", "--database", "query", "--json")
    kept = json.loads((place / "run" / "report.json").read_text())
    assert "run" in kept.pop("held_out")  # of the training
    assert kept == json.loads(ran.out)

    def refuse(*_: object) -> None:
        raise UserError("cannot write run/report.json: Read-only file system")

    monkeypatch.setattr(RunFolder, "write_report", refuse)
    again = command("evaluate", place / "run", "--database", "query", "--json")
    assert (again.code, json.loads(again.out)["map"]) == (0, json.loads(ran.out)["map"])
    assert [line for line in again.errors if "not kept" in line]


def test_a_name_or_a_path_is_trained_on(place: Path) -> None:
    options = {"method": "random", "bits": np.int64(8), "seed": np.int64(1), "validation": 0.0, "progress": False}
    crossbit.train(str(place / "toy.npz"), out=place / "by-path", **options)
    run = RunFolder(place / "by-path")
    assert run.data().n == 60 and (run.config["seed"], run.config["validation"]) == (1, None)
    with pytest.raises(UserError, match=r"data is of type dict; give .* crossbit\.load_data"):
        crossbit.train({}, **options)


@pytest.mark.slow
def test_no_cut_file_ends_in_a_traceback_or_a_wrong_number(place: Path, command: Command) -> None:
    draw = random.Random(0)
    files = sorted(file.name for file in (place / "run").iterdir())
    right = json.loads(command("evaluate", place / "run", "--json").out)["map"]
    codes = load_model(place / "run").encode("image", vectors()["image"])
    for name in files:
        size = (place / "run" / name).stat().st_size
        for length in (None, 0, draw.randrange(size), draw.randrange(size)):
            cut = place / "cut"
            shutil.rmtree(cut, ignore_errors=True)
            shutil.copytree(place / "run", cut)
            if length is None:
                (cut / name).unlink()
            else:
                (cut / name).write_bytes((place / "run" / name).read_bytes()[:length])
            for words in (["evaluate", cut, "--json"], ["index", cut], ["audit", cut, "--json"]):
                ran = command(*words)
                assert ran.code in (0, 2), (name, length, words)
                assert ran.code == 0 or ran.errors[-1].startswith("crossbit: error: "), (name, length, ran.errors)
                if ran.code == 0 and words[0] == "evaluate":
                    assert json.loads(ran.out)["map"] == right, (name, length)
            ran = command("train", place / "toy.npz", "--out", cut, "--resume", *TRAIN)
            assert ran.code in (0, 2), (name, length)
            if ran.code == 0:
                assert np.array_equal(load_model(cut).encode("image", vectors()["image"]), codes), (name, length)


def test_a_run_on_another_split_of_its_data_keeps_that_split(place: Path) -> None:
    data = load_data(str(place / "toy.npz"))
    splits = {"query": np.arange(40, 60), "train": np.arange(30), "retrieval": np.arange(40)}
    model = crossbit.train(data.replace(splits=splits), method="cca-itq", bits=8, out=place / "other", progress=False)
    found = RunFolder(place / "other").data()
    assert {name: rows.tolist() for name, rows in found.splits.items()} == {n: r.tolist() for n, r in splits.items()}
    expected = crossbit.evaluate(model, data.replace(splits=splits))
    assert crossbit.evaluate(str(place / "other"), found).map == expected.map


def test_other_content_is_not_taken_for_another_split(place: Path) -> None:
    np.savez(place / "toy.npz", **changed("image", 0, 0))
    with pytest.raises(UserError, match="other content"):
        RunFolder(place / "run").data()


def test_data_without_a_modality_of_the_run_are_said_to_lack_it(place: Path, command: Command) -> None:
    held = vectors(front=vectors()["image"], back=vectors()["text"])
    for name, lacking in (("image", "no image"), ("text", "no text"), ("image text", "no image and no text")):
        kept = {key: array for key, array in held.items() if key not in [*name.split(), "caption"]}
        np.savez(place / "other.npz", **kept)
        for verb in ("evaluate", "audit"):
            ran = command(verb, place / "run", "--data", place / "other.npz")
            assert ran.code == 2 and any(f"they have {lacking};" in line for line in ran.errors), ran.errors


@pytest.mark.slow
def test_a_copy_shares_no_file_that_is_changed_in_place(place: Path, command: Command) -> None:
    run, copy = RunFolder(place / "run"), RunFolder(place / "copy")
    assert command("index", place / "run").code == 0
    run.opening_file.write_bytes(b"large")
    run.copy_to(copy.path, without=["report.json"], seed=7)
    run.opening_file.unlink()
    assert not copy.opening_file.exists()
    assert not copy.index.exists() and not copy.report_file.exists()
    assert copy.is_finished and copy.config == run.config | {"seed": 7}
    assert copy.weights_file.read_bytes() == run.weights_file.read_bytes()
    with crossbit.open_index(run.index / "image.index") as index:
        index.remove(index.keys()[:1])
    assert command("index", copy.path).code == 0
    with crossbit.open_index(run.index / "image.index") as one, crossbit.open_index(copy.index / "image.index") as two:
        assert len(two) == len(one) + 1
