"""Data and benches on their way through several commands, and what the ways that are shut say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.methods import get
from crossbit.runs.folder import RunFolder
from tiny import TRAIN, Command, arrays, done, runner, vectors

RECIPE = """
[protocol]
seeds = 1
[data.toy]
source = "vectors.npz"
standardise = {standardise}
modalities = ["image", "text"]
[[grid]]
data = "toy"
methods = ["{method}"]
bits = 16
noise = ["{noise}"]
epochs = 1
[grid.settings]
width = 16
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data, which is the working directory."""
    np.savez(tmp_path / "pairs.npz", **arrays())
    np.savez(tmp_path / "vectors.npz", **vectors())
    np.savez(tmp_path / "unlabelled.npz", **vectors(label=None))
    np.savez(tmp_path / "apart.npz", **vectors(label=None, label_image=LABEL, label_text=LABEL))
    monkeypatch.chdir(tmp_path)
    return tmp_path


LABEL = vectors()["label"]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


def figures(command: Command, run: Path | str, *words: str) -> dict[str, float]:
    return dict(json.loads(done(command, "evaluate", run, *words, "--json"))["map"])


@pytest.mark.parametrize("source", [pytest.param("pairs.npz", marks=pytest.mark.slow), "vectors.npz"])
def test_converted_data_train_the_same_codes(source: str, place: Path, command: Command) -> None:
    """A file, a folder that is mapped into memory, and the file made of that."""
    done(command, "data", "convert", source, "folder")
    done(command, "data", "convert", "folder", "again.npz")
    runs = {data: f"run-{number}" for number, data in enumerate((source, "folder", "again.npz"))}
    for data, run in runs.items():
        done(command, "train", data, "--out", run, *TRAIN, "--noise", "swap-one:0.3")
    told = [figures(command, run) for run in runs.values()]
    assert told[0] == told[1] == told[2]
    for data in runs:  # and any of the three can be evaluated with any other
        assert figures(command, runs[source], "--data", data) == told[0]


@pytest.mark.parametrize("rule", ["swap-one:0.4", "flip:0.4:each"])
@pytest.mark.slow
def test_noise_written_or_drawn_by_training_is_the_same(rule: str, place: Path, command: Command) -> None:
    done(command, "data", "noise", "vectors.npz", rule, "noisy.npz", "--seed", "3")
    done(command, "train", "noisy.npz", "--out", "written", *TRAIN, "--seed", "3")
    done(command, "train", "vectors.npz", "--out", "drawn", *TRAIN, "--seed", "3", "--noise", rule)
    assert figures(command, "written") == figures(command, "drawn")
    one, other = (RunFolder(Path(run)).observed() for run in ("written", "drawn"))
    assert type(one) is type(other)
    for name in one if isinstance(one, dict) else [...]:
        assert np.array_equal(one[name], other[name])  # type: ignore[index]
    suspects = [json.loads(done(command, "audit", run, "--json"))["suspects"] for run in ("written", "drawn")]
    without: list[Any] = [[{**each, "injected": None} for each in rows] for rows in suspects]
    assert without[0] == without[1]


# (standardise, method, noise)
BENCHES = [
    ("true", "nrch", "swap-one:0.3"),
    ("false", "look", "flip:0.3:each"),
    ("false", "ucch", "shuffle-pairs:0.3"),
    ("true", "mrl", "none"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("standardise", "method", "noise"), BENCHES)
def test_a_benchs_run_goes_through_every_command(
    standardise: str, method: str, noise: str, place: Path, command: Command
) -> None:
    (place / "r.toml").write_text(RECIPE.format(standardise=standardise, method=method, noise=noise))
    done(command, "bench", "r.toml", "--out", "out")
    (run,) = (file.parent for file in (place / "out" / "runs").glob("*/result.json"))
    result = json.loads((run / "result.json").read_text())
    ranking = ", metric=cosine" if get(method).metric == "cosine" else ""
    measured = {
        figure["direction"]: figure["value"]
        for figure in result["figures"]
        if (figure["database"], figure["measure"]) == ("retrieval", f"mAP@all(ties=expected, empty=skip{ranking})")
    }
    told = figures(command, run)
    assert told.keys() <= measured.keys() and all(abs(told[way] - measured[way]) < 1e-9 for way in told)
    done(command, "index", run)
    done(command, "index", run, "--check")
    assert json.loads(done(command, "search", run, "--item", "20", "--json"))["hits"]
    done(command, "audit", run, "--json")
    done(command, "encode", run, "vectors.npz", "--modality", "text", "--out", "codes.npy")


SHUT: dict[str, tuple[str, str]] = {
    "words for vectors": ("train vectors.npz --out new --features text=words", "text"),
    "pictures for vectors": ("train vectors.npz --out new --features image=hog", "image"),
    "vectors for words": ("train pairs.npz --out new --features text=scaled", "text"),
    "pixels without a network": ("train pairs.npz --out new --method nrch --features image=pixels", "pixels"),
    "features of nobody": ("train pairs.npz --out new --features sound=scaled", "sound"),
    "features unknown": ("train pairs.npz --out new --features image=hogg", "hog"),
    "noise of single labels": ("train pairs.npz --out new --method nrch --noise flip:0.3", "one label per row"),
    "noise of pairs labelled apart": ("train apart.npz --out new --method mrl --noise flip:0.3", ":each"),
    "noise of groups": ("train pairs.npz --out new --method nrch --noise swap-one:0.3:group", "no groups"),
    "pairs of each": ("train pairs.npz --out new --noise shuffle-pairs:0.3:each", "shuffle-pairs"),
    "wrong pairs as data": ("data noise pairs.npz shuffle-pairs:0.3 new.npz", "crossbit train --noise"),
    "noise of no labels": ("data noise unlabelled.npz swap-one:0.3 new.npz", "no labels"),
    "labels for a classifier": ("train unlabelled.npz --out new --method classifier", "has no labels"),
    "validation without labels": (
        "train unlabelled.npz --out new --method ucch --validation 0.2",
        "has no labels, and validation",
    ),
    "validation of a row": ("train pairs.npz --out new --validation 0.001", "validation"),
}


@pytest.mark.parametrize("name", SHUT)
def test_a_way_that_is_shut_says_so_in_one_line(name: str, place: Path, command: Command) -> None:
    words, told = SHUT[name]
    ran = command(*words.split())
    assert (ran.code, ran.out, len(ran.errors)) == (2, "", 1), ran
    assert told in ran.errors[0]
    assert not Path("new").exists() and not Path("new.npz").exists()
