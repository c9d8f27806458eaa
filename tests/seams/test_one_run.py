"""Kinds of runs x commands: what one command writes goes into the next, and the same figure comes out of both.

RUNS pairs every kind of data, kind of features, noise rule and method with at least one of the others; not the full
product of all four. Each run then goes through every command.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from PIL import Image

from crossbit.bits import unpack
from crossbit.cli import main
from crossbit.data import load_data
from crossbit.data.types import PairedData
from crossbit.index import open_index
from crossbit.methods import available, get
from crossbit.model import load_model
from crossbit.runs.folder import RunFolder
from crossbit.search.build import index_path
from tiny import Command, arrays, done, refused, runner, vectors

WIDE = {"width": 16}
SOME = np.arange(60)


def several() -> np.ndarray:
    """Labels 0/1 of 60 rows, up to two each."""
    label = np.eye(3, dtype=np.uint8)[vectors()["label"]]
    label[::7, 0] = 1
    return label


def apart() -> dict[str, Any]:
    """Vectors whose modalities were labelled apart, and the text's not like the image's everywhere."""
    label = vectors()["label"]
    text = np.where(SOME % 10 == 9, (label + 1) % 3, label)
    return vectors(label=None, label_image=label, label_text=text)


DATA: dict[str, Callable[[], dict[str, Any]]] = {
    "pairs": arrays,
    "captions": lambda: arrays(text=None, caption=arrays()["text"]),
    "single": vectors,
    "several": lambda: vectors(label=several()),
    "apart": apart,
    "unlabelled": lambda: vectors(label=None),
    "grouped": lambda: vectors(group=np.r_[np.arange(15), np.full(45, 15) + np.arange(45) // 3]),
    "chosen": lambda: vectors(validation=np.arange(40, 48)),
    "observed": lambda: vectors(observed_label=np.roll(vectors()["label"], 1)),
    "folder": vectors,  # written as a folder of .npy, which is memory-mapped
}

# name: (data, method, bits, further words of `train`)
RUNS: dict[str, tuple[str, str, int, str]] = {
    "look-pairs": ("pairs", "look", 16, "--noise swap-one:0.3"),
    "nrch-hog": ("pairs", "nrch", 24, "--features image=hog --features text=words --validation 0.2"),
    "nrch-pixels": ("pairs", "nrch", 8, "--set pictures=cnn"),
    "ucch-captions": ("captions", "ucch", 16, ""),
    "cca-sign-captions": ("captions", "cca-sign", 8, "--noise shuffle-pairs:0.3"),
    "nrch-as-is": ("single", "nrch", 16, "--features image=as-is --features text=as-is --noise flip:0.3"),
    "mrl-single": ("single", "mrl", 16, "--noise asymmetric:0.3 --validation 0.2"),
    "look-each": ("single", "look", 32, "--features image=scaled --features text=as-is --noise flip:0.3:each"),
    "look-shuffled": ("several", "look", 16, "--noise shuffle-pairs:0.3"),
    "ssah-several": ("several", "ssah", 16, "--noise resample:0.3"),
    "classifier-several": ("several", "classifier", 16, "--validation 0.2 --features image=as-is"),
    "mrl-apart": ("apart", "mrl", 16, "--noise flip:0.2:each"),
    "look-apart": ("apart", "look", 16, "--validation 0.2"),
    "nrch-apart": ("apart", "nrch", 16, ""),
    "look-unlabelled": ("unlabelled", "look", 16, "--noise shuffle-pairs:0.3"),
    "infonce-unlabelled": ("unlabelled", "infonce", 8, "--features text=as-is"),
    "nrch-grouped": ("grouped", "nrch", 16, "--noise swap-one:0.3:group --validation 0.3"),
    "cca-cosine-grouped": ("grouped", "cca-cosine", 16, "--noise flip:0.3:each:group"),
    "ucch-chosen": ("chosen", "ucch", 16, "--noise swap-one:0.3"),
    "classifier-chosen": ("chosen", "classifier", 16, ""),
    "nrch-observed": ("observed", "nrch", 16, ""),
    "cca-itq-observed": ("observed", "cca-itq", 8, "--features image=as-is"),
    "cca-rotation-folder": ("folder", "cca-rotation", 8, ""),
    "random-folder": ("folder", "random", 24, "--noise swap-one:0.5"),
    "look-folder": ("folder", "look", 16, "--noise flip:0.3:each"),
    "infonce-stopped": ("folder", "infonce", 16, "--epochs 2"),  # after its first epoch; and evaluated as it stands
}
FAST = ("nrch-as-is",)
COSINE = ("mrl", "cca-cosine")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, a picture, and `runs`, which `run` fills."""
    folder = tmp_path_factory.mktemp("seams")
    for name, make in DATA.items():
        if name == "folder":
            (folder / name).mkdir()
            for array, values in make().items():
                np.save(folder / name / f"{array}.npy", values)
        else:
            np.savez(folder / f"{name}.npz", **make())
    Image.fromarray(arrays()["image"][0]).save(folder / "query.png")
    (folder / "runs").mkdir()
    return folder


def trained(folder: Path, name: str) -> Path:
    """The folder of that run, trained and evaluated by the command line when it is first asked for."""
    out, stops = folder / "runs" / name, name.endswith("stopped")
    if not out.exists():
        with pytest.MonkeyPatch.context() as patched:
            if stops:
                _stop_after_one(patched, RUNS[name][1])
            assert main(_training(folder, name)) == (130 if stops else 0), name
    return out


def _training(folder: Path, name: str) -> list[str]:
    data, method, bits, words = RUNS[name]
    path = folder / (data if data == "folder" else f"{data}.npz")
    known = vars(get(method).Settings())
    wide = [word for key, value in WIDE.items() if key in known for word in ("--set", f"{key}={value}")]
    fixed = ["--method", method, "--bits", str(bits), "--epochs", "1", "--quiet", "--out", str(folder / "runs" / name)]
    return ["train", str(path), *fixed, *wide, *words.split()]


def _stop_after_one(patched: pytest.MonkeyPatch, method: str) -> None:
    train_epoch = get(method).train_epoch

    def stopping(self: Any, view: Any) -> Any:
        if view.epoch == 1:
            raise KeyboardInterrupt
        return train_epoch(self, view)

    patched.setattr(get(method), "train_epoch", stopping)


@pytest.fixture(params=[name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in RUNS])
def run(request: pytest.FixtureRequest, place: Path) -> Path:
    return trained(place, request.param)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


def data_of(run: Path) -> PairedData:
    return RunFolder(run).data()


def is_labelled(run: Path) -> bool:
    return RUNS[run.name][0] != "unlabelled"


def evaluated(command: Command, run: Path, *words: str | Path) -> dict[str, Any]:
    return dict(json.loads(done(command, "evaluate", run, *words, "--json")))


def encoded(command: Command, run: Path, modality: str, folder: Path, *words: str) -> np.ndarray:
    """What `encode` makes of all rows of the run's data."""
    out = folder / f"{run.name}-{modality}{''.join(words)}.npy"
    done(command, "encode", run, data_of(run).source, "--modality", modality, "--out", out, *words)
    return np.asarray(np.load(out))


def close(one: dict[str, float], other: dict[str, float]) -> bool:
    return one.keys() == other.keys() and all(abs(one[key] - other[key]) < 1e-9 for key in one)


def test_every_method_is_here() -> None:
    assert {method for _, method, _, _ in RUNS.values()} == set(available())
    assert {data for data, *_ in RUNS.values()} == set(DATA)


def test_evaluate_gives_the_same_figure_every_way(run: Path, tmp_path: Path, command: Command) -> None:
    if not is_labelled(run):
        told = evaluated(command, run)
        assert told["map"] == {} and list(told["figures"]) == ["hit@10(correct=pair, ties=expected, empty=zero)"]
        assert "no labels" in refused(command, "evaluate", run, "--measure", "P@10")
        return
    file = RunFolder(run).report_file
    trained = json.loads(file.read_text()) if file.exists() else None  # a stopped run has none
    plain = evaluated(command, run, "--per-query", tmp_path / "q.csv")
    assert trained is None or trained["map"] == plain["map"]
    again, best = (
        evaluated(command, run, *words, "--measure", "mAP@all(ties=expected, empty=skip)")
        for words in (["--data", data_of(run).source, "--ties", "index"], ["--database", "query", "--ties", "best"])
    )
    assert list(again["figures"].values()) == [plain["map"]] or again["map"] == plain["map"]
    for way, value in again["map"].items():
        assert plain["spread"][way]["worst"] - 1e-9 <= value <= plain["spread"][way]["best"] + 1e-9
        assert best["map"][way] >= next(iter(best["figures"].values()), best["map"])[way] - 1e-9
    with open(tmp_path / "q.csv", newline="") as lines:
        rows = list(csv.DictReader(lines))
    for way, value in plain["map"].items():
        of = [float(row["value"]) for row in rows if row["direction"] == way and row["value"]]
        assert np.mean(of) == pytest.approx(value, abs=1e-9)


def test_encode_then_score_is_evaluate(run: Path, tmp_path: Path, command: Command) -> None:
    data, bits = data_of(run), RUNS[run.name][2]
    real, codes = ({m: encoded(command, run, m, tmp_path, *more) for m in data.modalities} for more in (["--real"], []))
    for modality in data.modalities:
        assert codes[modality].shape == (data.n, bits // 8) and real[modality].shape == (data.n, bits)
        assert np.array_equal(unpack(codes[modality]) > 0, real[modality] > 0)
    if data.label is None:  # a file of codes has labels, of pairs
        return
    told = evaluated(command, run)
    if RUNS[run.name][1] in COSINE:
        assert close(scored(command, data, real, tmp_path), told["map"])
        assert close(scored(command, data, codes, tmp_path), told["codes_map"])
    else:
        assert close(scored(command, data, codes, tmp_path), told["map"])


def scored(command: Command, data: PairedData, rows: dict[str, np.ndarray], folder: Path) -> dict[str, float]:
    """What `score` says of the codes, or vectors, of all rows of the data."""
    held = {
        f"{side}_{name}": array[data.splits[side]]
        for side in ("query", "retrieval")
        for name, array in (rows | {"label": data.label}).items()
    }
    np.savez(folder / "codes.npz", **held)
    return dict(json.loads(done(command, "score", folder / "codes.npz", "--json"))["map"])


@pytest.mark.slow
def test_index_holds_what_encode_makes_and_search_finds_it(
    run: Path, place: Path, tmp_path: Path, command: Command
) -> None:
    data, uri = data_of(run), tmp_path / "index"
    rows = data.splits["retrieval"].tolist()
    done(command, "index", run, "--uri", uri)
    done(command, "index", run, "--uri", uri, "--check")
    for modality in data.modalities:
        with open_index(index_path(uri, modality), read_only=True) as index:
            stored = np.stack([index[row][0] for row in rows])
        assert np.array_equal(stored, encoded(command, run, modality, tmp_path)[rows])
    words = ["search", run, "--uri", uri, "-k", "1000000", "--json"]
    below = hits(command, *words, "--item", str(rows[3]), "--modality", "text", "--where", f"row < {rows[9]}")
    things = np.arange(data.n) if data.group is None else data.group  # hits of one thing are one, its own are left out
    others = [row for row in rows[:9] if things[row] != things[rows[3]]]
    assert len(others) and {hit["id"] for hit in below["text"]} <= set(others)
    counted = {things[hit["id"]]: 1 + hit["more"] for hit in below["text"]}
    assert len(counted) == len(below["text"]) and counted == Counter(things[row] for row in others)
    asked: list[list[str | Path]] = [["level bar"], ["--image", place / "query.png"]]
    for line in (*asked, [*asked[0], *asked[1]]):
        if data.kind("image") == "pictures":
            for found in hits(command, *words, *line).values():
                counted = {things[hit["id"]]: 1 + hit["more"] for hit in found}
                assert len(counted) == len(found) and counted == Counter(things[row] for row in rows)
        else:
            assert "from vectors" in refused(command, *words, *line)


def hits(command: Command, *words: str | Path) -> dict[str, Any]:
    return dict(json.loads(done(command, *words))["hits"])


def test_audit_says_the_same_in_every_form(run: Path, tmp_path: Path, command: Command) -> None:
    if not is_labelled(run):
        assert "no labels" in refused(command, "audit", run)
        return
    as_json = json.loads(done(command, "audit", run, "--top", "5", "--json"))
    out = done(command, "audit", run, "--top", "5", "--csv", tmp_path / "rows.csv")
    with duckdb.connect() as connection:
        rows = connection.read_parquet(as_json["file"]).order("rank").fetchall()
    with open(tmp_path / "rows.csv", newline="", encoding="utf-8") as lines:
        written = list(csv.DictReader(lines))
    assert [int(line["row"]) for line in written] == [row[1] for row in rows]
    data = data_of(run)
    known = set(data.splits["train"].tolist())
    assert known <= {row[1] for row in rows} <= known | set(data.splits["retrieval"].tolist())
    assert [one["row"] for one in as_json["suspects"]] == [row[1] for row in rows][: len(as_json["suspects"])]
    assert str(as_json["suspects_in_all"]) in out or "no row's labels" in out


@pytest.mark.slow
def test_a_stopped_run_goes_on(place: Path, command: Command) -> None:
    """Last: the commands above used the run as it stood."""
    run = trained(place, "infonce-stopped")
    assert len(load_model(run).history) == 1
    done(command, *_training(place, run.name), "--resume")
    assert len(load_model(run).history) == 2
    figures = json.loads(RunFolder(run).report_file.read_text())["map"]
    assert evaluated(command, run)["map"] == figures
    assert load_data(place / "folder").n == 60
