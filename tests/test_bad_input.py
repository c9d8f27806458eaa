"""What a user can mend: one line that says what is wrong and what would be right, exit code 2, nothing damaged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from crossbit.cli import main
from tiny import TRAIN, Command, arrays, runner, vectors

Held = tuple[int, int, int] | None  # of a file its number, size and last change; None of a folder
NOBODY = os.geteuid() != 0 if hasattr(os, "geteuid") else False  # root may write everywhere


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good and bad data files, and runs of every sort; no test may change anything in it."""
    folder = tmp_path_factory.mktemp("bad")
    data_files(folder)
    write_runs(folder)
    (folder / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing of the kind")
    (folder / "codes.npy").touch()
    (folder / "notes.md").write_text("bar\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def before(place: Path) -> dict[str, Held]:
    return contents(place)


def data_files(folder: Path) -> None:
    good = vectors()
    np.savez(folder / "good.npz", **good)
    (folder / "text.npz").write_text("a text file", encoding="utf-8")
    (folder / "cut.npz").write_bytes((folder / "good.npz").read_bytes()[:500])
    (folder / "empty").mkdir()
    half = good["image"].copy()
    half[7, 3] = np.nan
    label = np.eye(3, dtype=np.int64)[good["label"]]
    changes = {
        "pickled": {"text": np.array([{"an": "object"}] * 60, object)},
        "rows": {"text": good["text"][:-1]},
        "labels": {"label": good["label"][:-1]},
        "shape": {"image": good["image"][:, :, None]},
        "nan": {"image": half},
        "infinite": {"image": np.where(np.isnan(half), np.inf, half)},
        "overlap": {"train": np.arange(10, 40)},
        "idle": {"train": np.arange(0)},
        "outside": {"train": np.arange(40, 61)},
        "two": {"label": 2 * label},
        "unlabelled": {"label": None},
    }
    for name, change in changes.items():
        np.savez(folder / f"{name}.npz", **{key: held for key, held in (good | change).items() if held is not None})


def write_runs(folder: Path) -> None:
    np.savez(folder / "pictures.npz", **arrays())
    np.savez(folder / "words.npz", **arrays(image=vectors(90)["image"]))  # vectors train in no time
    assert main(["train", str(folder / "words.npz"), "--out", str(folder / "run"), *TRAIN]) == 0
    assert main(["train", str(folder / "good.npz"), "--out", str(folder / "short"), *TRAIN, "--bits", "8"]) == 0
    assert main(["index", str(folder / "run")]) == 0
    assert main(["index", str(folder / "short")]) == 0
    for name in ("incomplete", "another", "broken", "moved", "rowless"):
        shutil.copytree(folder / "short", folder / name)
    (folder / "incomplete" / "model.safetensors").unlink()
    (folder / "broken" / "model.safetensors").write_bytes(b"no tensors at all")
    (folder / "rowless" / "data.npz").write_bytes(b"no arrays at all")
    for name, change in (("another", {"format": 99}), ("moved", {"data": str(folder / "gone.npz")})):
        config = json.loads((folder / name / "config.json").read_text(encoding="utf-8"))
        (folder / name / "config.json").write_text(json.dumps(config | change), encoding="utf-8")


def train(data: str, *words: str) -> list[str]:
    return ["train", data, "--out", "new", *TRAIN, *words]


# what is wrong: (the command, what the line must say)
MISTAKES: dict[str, tuple[list[str], list[str]]] = {
    # missing file
    "missing data": (train("gone.npz"), ["gone.npz", "does not exist"]),
    "unknown built-in": (train("glyfs"), ["'glyfs'", "did you mean 'glyphs'"]),
    "missing codes": (["score", "gone.npz"], ["gone.npz", "does not exist"]),
    "missing run": (["evaluate", "gone"], ["no run folder at gone", "crossbit train"]),
    "missing run to search": (["search", "gone", "bar"], ["no run folder at gone"]),
    "missing picture": (["search", "run", "--image", "gone.png"], ["gone.png", "does not exist"]),
    "missing index": (["search", "run", "bar", "--uri", "gone"], ["no index at gone", "crossbit index run --uri gone"]),
    "missing input": (["encode", "run", "gone.npy", "--modality", "text", "--out", "new.npy"], ["gone.npy"]),
    "data gone since": (["evaluate", "moved"], ["gone.npz", "does not exist", "name it: --data DATA"]),
    # not a data file
    "text file as data": (
        train("text.npz"),
        ["text.npz is not a data file", "give a table with pictures", "or a folder of .npy"],
    ),
    "cut data": (["data", "show", "cut.npz"], ["cut.npz is not a data file", "give a table with pictures"]),
    "picture as data": (
        ["data", "convert", "photo.png", "new.npz"],
        ["photo.png is not a data file", "give a table with pictures"],
    ),
    "folder without data": (["data", "show", "empty"], ["empty is a folder without .npy", "your-own-collection.md"]),
    "text file as codes": (["score", "text.npz"], ["text.npz is not a file of codes"]),
    "data as codes": (["score", "good.npz"], ["lacks query_image", "query_label"]),
    "run as data": (train("run"), ["run is a run folder", "crossbit evaluate run"]),
    "data as run": (["evaluate", "good.npz"], ["good.npz is no folder but a file (a zip archive)", "crossbit train"]),
    "folder as run": (["evaluate", "empty"], ["empty is not a run folder"]),
    "picture as array": (
        ["encode", "run", "codes.npy", "--modality", "image", "--out", "new.npy"],
        ["codes.npy cannot be read: it is"],
    ),
    "notes as texts": (
        ["encode", "run", "notes.md", "--modality", "text", "--out", "new.npy"],
        ["text takes words, and notes.md is no file that holds such; give a .txt with one text a line"],
    ),
    "no picture in folder": (
        ["encode", "run", "empty", "--modality", "image", "--out", "new.npy"],
        ["empty holds no picture"],
    ),
    # pickled arrays
    "pickled": (train("pickled.npz"), ["'text'", "pickled objects, which are never read"]),
    # wrong shapes
    "rows differ": (train("rows.npz"), ["'text' has shape (59, 5)", "60 rows"]),
    "labels differ": (train("labels.npz"), ["label has shape (59,)", "60 rows"]),
    "three axes": (train("shape.npz"), ["'image' is float32 of shape (60, 6, 1)", "(n, d)"]),
    # NaN or infinite features
    "NaN": (train("nan.npz"), ["'image' holds nan in row 7, column 3", "finite"]),
    "infinite": (train("infinite.npz"), ["'image' holds inf in row 7, column 3", "finite"]),
    # splits
    "overlapping splits": (train("overlap.npz"), ["'query' shares 5 rows with 'train'"]),
    "empty training set": (train("idle.npz"), ["'train' is empty"]),
    "row outside": (train("outside.npz"), ["'train' lists row 60", "0 to 59"]),
    # labels
    "labels outside 0/1": (train("two.npz"), ["label holds 2", "only 0 and 1"]),
    "no labels": (train("unlabelled.npz"), ["nrch learns from labels", "has no labels", "ucch needs none"]),
    # bits
    "bits 12": (train("good.npz", "--bits", "12"), ["12", "multiple of 8"]),
    "bits 1032": (train("good.npz", "--bits", "1032"), ["1032", "multiple of 8", "to 1024"]),
    "bits 0": (train("good.npz", "--bits", "0"), ["multiple of 8"]),
    "bits in words": (train("good.npz", "--bits", "many"), ["--bits", "integer"]),
    # unknown names
    "unknown method": (train("good.npz", "--method", "nrhc"), ["method 'nrhc'", "did you mean 'nrch'", "known: "]),
    "unknown method to explain": (["methods", "nrhc"], ["method 'nrhc'", "did you mean 'nrch'"]),
    "unknown setting": (train("good.npz", "--set", "widht=4"), ["'widht'", "did you mean 'width'", "warmup"]),
    "setting without value": (train("good.npz", "--set", "width"), ["--set 'width' is not KEY=VALUE"]),
    "setting of another type": (train("good.npz", "--set", "width=wide"), ["width is 'wide'", "a whole number"]),
    "setting without end": (train("good.npz", "--set", "width=inf"), ["width is 'inf'", "a whole number"]),
    "negative weight decay": (train("good.npz", "--set", "weight_decay=-1"), ["weight_decay is -1.0", "at least 0"]),
    "setting nan": (train("good.npz", "--set", "shift=nan"), ["nrch: setting shift is nan", "at least 0"]),
    "setting inf": (train("good.npz", "--set", "margin=inf"), ["nrch: setting margin is inf", "finite"]),
    "unknown choice": (train("good.npz", "--set", "form=papers"), ["'papers'", "did you mean 'paper'"]),
    "unknown rule": (train("good.npz", "--noise", "swapone:0.5"), ["'swapone'", "did you mean 'swap-one'", "resample"]),
    "unknown rule to write": (["data", "noise", "good.npz", "flop:1", "new.npz"], ["'flop'", "did you mean 'flip'"]),
    "unknown precision": (train("good.npz", "--precision", "16"), ["precision '16'", "known: 32, bf16"]),
    "unknown device": (train("good.npz", "--device", "tpi"), ["device 'tpi'"]),
    "unknown ties": (["evaluate", "run", "--ties", "bets"], ["'bets'", "did you mean 'best'"]),
    "unknown database": (["evaluate", "run", "--database", "all"], ["'all'", "query, retrieval"]),
    "unknown modality": (
        ["encode", "run", "pictures.npz", "--modality", "imag", "--out", "new.npy"],
        ["'imag'", "did you mean 'image'"],
    ),
    "unknown command": (["trian", "good.npz"], ["trian", "Did you mean 'train'", "crossbit --help"]),
    "unknown option": (train("good.npz", "--bit", "8"), ["--bit", "--bits", "crossbit train --help"]),
    "no argument": (
        ["evaluate"],
        ["Missing argument 'RUN'; for example: crossbit evaluate run", "crossbit evaluate --help"],
    ),
    # noise rate
    "rate 1.5": (train("good.npz", "--noise", "swap-one:1.5"), ["1.5", "from 0 to 1"]),
    "rate -0.1": (train("good.npz", "--noise", "swap-one:-0.1"), ["-0.1", "from 0 to 1"]),
    "rate nan": (train("good.npz", "--noise", "swap-one:nan"), ["nan", "from 0 to 1"]),
    "no rate": (train("good.npz", "--noise", "swap-one"), ["'swap-one:0.5'"]),
    # numbers
    "k 0": (["search", "run", "bar", "-k", "0"], ["k is 0"]),
    "k 0 of a measure": (["evaluate", "run", "-k", "0"], ["k is 0"]),
    "seed -1": (train("good.npz", "--seed", "-1"), ["seed is -1"]),
    "epochs 0": (train("good.npz", "--epochs", "0"), ["epochs", "0"]),
    "validation 1.5": (train("good.npz", "--validation", "1.5"), ["validation is 1.5", "between 0 and 1"]),
    # runs
    "incomplete run": (["evaluate", "incomplete"], ["incomplete (model.safetensors missing)", "--resume"]),
    "run of another version": (["evaluate", "another"], ["another has format 99", "reads format"]),
    "broken run": (["index", "broken", "--uri", "new"], ["broken", "damaged"]),
    "run without its rows": (
        ["evaluate", "rowless", "--data", "words.npz"],
        [f"rowless{os.sep}data.npz is not a run's file"],
    ),
    # resuming with other settings
    "resume with other bits": (train("good.npz", "--bits", "16", "--resume", "--out", "short"), ["bits was 8, is 16"]),
    "resume with other seed": (
        train("good.npz", "--bits", "8", "--resume", "--out", "short", "--seed", "5"),
        ["seed was 0, is 5"],
    ),
    "resume with other width": (
        train("good.npz", "--bits", "8", "--resume", "--out", "short", "--set", "width=8"),
        ["width was 16, is 8"],
    ),
    "resume with other data": (train("pictures.npz", "--bits", "8", "--resume", "--out", "short"), ["the data differ"]),
    # outputs that exist
    "run exists": (train("good.npz", "--out", "run"), ["run exists already", "--resume"]),
    "folder exists": (train("good.npz", "--out", "empty"), ["empty exists already"]),
    "data exist": (["data", "convert", "good.npz", "nan.npz"], ["nan.npz exists already"]),
    "noisy data exist": (["data", "noise", "good.npz", "swap-one:1", "nan.npz"], ["nan.npz exists already"]),
    "codes exist": (["encode", "run", "good.npz", "--modality", "text", "--out", "codes.npy"], ["codes.npy exists"]),
    "index exists": (["index", "run"], [f"run{os.sep}index exists already"]),
    "demo exists": (["demo", "--out", "empty"], ["empty exists already"]),
    "demo begun": (["demo", "--out", "."], [". exists already", "--resume"]),
    # outputs that cannot be written
    "run below a file": (train("good.npz", "--out", "good.npz/run"), ["cannot write good.npz/run"]),
    "data below a file": (["data", "convert", "good.npz", "nan.npz/new.npz"], ["cannot write nan.npz/new.npz"]),
    "codes below a file": (
        ["encode", "run", "good.npz", "--modality", "text", "--out", "nan.npz/new.npy"],
        ["cannot write nan.npz/new.npy"],
    ),
    "index below a file": (["index", "run", "--uri", "nan.npz/new"], ["cannot write nan.npz/new"]),
    "demo below a file": (["demo", "--out", "nan.npz/new"], ["cannot write nan.npz/new"]),
    "other ending of data": (["data", "convert", "good.npz", "new.csv"], ["'.csv'", ".npz"]),
    "other ending of codes": (["encode", "run", "good.npz", "--modality", "text", "--out", "new.npz"], [".npy"]),
    # search
    "index of other code length": (["search", "run", "bar", "--uri", "short/index"], ["8", "16", "bits"]),
    "no known word": (["search", "run", "zzqqxx"], ["knows no word", "'zzqqxx'"]),
    "no word at all": (["search", "run", ""], ["the query is empty"]),
    "picture that is none": (
        ["search", "run", "--image", "photo.png"],
        ["photo.png begins like a picture, but"],
    ),
    "data as picture": (
        ["search", "run", "--image", "good.npz"],
        ["good.npz is not a picture but a zip archive; give"],
    ),
    "neither words nor picture": (["search", "run"], ["give words, --image FILE or --item ID"]),
    "words and an item": (["search", "run", "bar", "--item", "20"], ["or item= alone"]),
    "no such item": (["search", "run", "--item", "3"], ["no item 3"]),
    "unknown modality to search": (["search", "run", "bar", "--modality", "imgae"], ["did you mean 'image'"]),
    "words to a model of vectors": (["search", "short", "bar"], ["image from vectors", "trained on words"]),
    "picture to a model of vectors": (
        ["encode", "short", "pictures.npz", "--modality", "image", "--out", "new.npy"],
        ["pictures.npz holds pictures, and image takes vectors", "trained on no pictures"],
    ),
    "unknown column": (["search", "run", "bar", "--where", "colour = 1"], ["column 'colour'", "caption"]),
    "filter that is no SQL": (["search", "run", "bar", "--where", "row >"], ["row >"]),
    "long name": (["data", "show", "n" * 300 + ".npz"], ["nnn...: File name too long"]),
    "data as index": (["index", "run", "--uri", "good.npz"], ["good.npz is no folder but a file (a zip archive)"]),
    "data as index to search": (
        ["search", "run", "bar", "--uri", "good.npz"],
        ["good.npz is no folder but a file (a zip archive); give the folder of an index"],
    ),
    "index elsewhere": (["index", "run", "--uri", "ftp://host/new"], ["ftp://host/new"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_one_line_and_changes_nothing(
    name: str, place: Path, before: dict[str, Held], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, said = MISTAKES[name]
    monkeypatch.chdir(place)
    ran = command(*words)
    assert ran.code == 2
    assert ran.out == ""
    assert len(ran.errors) == 1, ran.errors
    assert ran.errors[0].startswith("crossbit: error: ")
    assert [part for part in said if part not in ran.errors[0]] == [], ran.errors[0]
    assert contents(place) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["missing data", "unknown command", "incomplete run"])
def test_the_same_from_a_shell(name: str, place: Path, before: dict[str, Held]) -> None:
    words, said = MISTAKES[name]
    called = [sys.executable, "-m", "crossbit", *words]
    ran = subprocess.run(called, cwd=place, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert len(ran.stderr.splitlines()) == 1, ran.stderr
    assert [part for part in said if part not in ran.stderr] == [], ran.stderr
    assert contents(place) == before


@pytest.mark.skipif(not NOBODY, reason="root may write everywhere")
def test_an_output_folder_without_permission(place: Path, tmp_path: Path, command: Command) -> None:
    tmp_path.chmod(0o500)
    ran = command("train", place / "good.npz", "--out", tmp_path / "run", *TRAIN)
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert "Permission denied" in ran.errors[0]


def test_a_full_disk_is_told_in_one_line(
    place: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.save", full)
    ran = command("encode", place / "run", place / "pictures.npz", "--modality", "text", "--out", tmp_path / "new.npy")
    assert (ran.code, ran.out, len(ran.errors)) == (2, "", 1)
    assert "No space left on device" in ran.errors[0]
    assert list(tmp_path.iterdir()) == []


def test_a_bug_is_not_taken_for_a_mistake(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("crossbit.data.describe", bug)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["data", "show", str(place / "good.npz")])


def contents(folder: Path) -> dict[str, Held]:
    """Every path below `folder`, with what tells that a file was written again."""
    held: dict[str, Held] = {}
    for at, folders, files in os.walk(folder):
        held |= {os.path.join(at, name): None for name in folders}
        for path in (os.path.join(at, name) for name in files):
            found = os.stat(path)
            held[path] = found.st_ino, found.st_size, found.st_mtime_ns
    return held
