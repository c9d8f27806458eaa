"""A bench's run is a run like any other: every command that takes a run gives the bench's own figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.bench.bench import prepare
from crossbit.bench.work.estimate import Estimate
from crossbit.bench.work.store import Result
from crossbit.index import open_index
from crossbit.model import load_model
from crossbit.search.build import index_path
from tiny import Command, runner, vectors

RECIPE = """
[protocol]
seeds = 1
[data.toy]
source = "toy.npz"
standardise = true
modalities = ["image", "text"]
[[grid]]
data = "toy"
methods = ["nrch", "ucch", "look", "cca-itq"]
bits = 16
noise = ["none", "swap-one:0.3"]
epochs = 2
[grid.settings]
width = 16
"""


def uneven() -> dict[str, Any]:
    """Vectors whose columns have other units and offsets, which the figures depend on where nothing scales them."""
    held = vectors()
    units = {m: 10.0 ** np.arange(held[m].shape[1]) for m in ("image", "text")}
    scaled = {m: (held[m] * unit + 3 * unit).astype(np.float32) for m, unit in units.items()}
    return held | scaled | {"sound": np.ones((len(held["label"]), 2), np.float32)}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Result]]:
    folder = tmp_path_factory.mktemp("usable")
    np.savez(folder / "toy.npz", **uneven())
    (folder / "r.toml").write_text(RECIPE)
    bench = prepare(folder / "r.toml", folder / "out", data_root=folder)
    results = bench.go(Estimate({}, "no guess"), lambda *_: None)
    assert [result.status for result in results] == ["done"] * 8
    return folder / "out" / "runs", results


@pytest.mark.slow
def test_evaluate_gives_the_figures_of_the_bench(
    ran: tuple[Path, list[Result]], capsys: pytest.CaptureFixture[str]
) -> None:
    command: Command = runner(capsys)
    for result in ran[1]:
        for database in ("retrieval", "query"):
            told = command("evaluate", ran[0] / result.id, "--database", database, "--json")
            assert told.code == 0, told.errors
            report = json.loads(told.out)
            own = {
                figure["direction"]: figure["value"]
                for figure in result.figures
                if figure["database"] == database and figure["measure"] == "mAP@all(ties=expected, empty=skip)"
            }
            assert own.keys() == report["map"].keys() and own
            for direction, value in own.items():
                assert report["map"][direction] == pytest.approx(value, abs=1e-9), (result.id, direction)


@pytest.mark.slow
def test_the_index_holds_the_codes_of_the_bench(
    ran: tuple[Path, list[Result]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command: Command = runner(capsys)
    for result in ran[1]:
        told = command("index", ran[0] / result.id, "--uri", tmp_path / result.id)
        assert told.code == 0, told.errors
        codes = np.load(ran[0] / result.id / "codes.npz")
        for modality in ("image", "text"):
            with open_index(index_path(tmp_path / result.id, modality), read_only=True) as index:
                stored = np.stack([index[row][0] for row in uneven()["retrieval"].tolist()])
            assert np.array_equal(stored, codes[f"retrieval_{modality}"])


@pytest.mark.slow
def test_audit_judges_what_was_trained_on(
    ran: tuple[Path, list[Result]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same suspects as of a run that was trained by the command line on the same data."""
    command: Command = runner(capsys)
    (bench,) = (result for result in ran[1] if result.method == "nrch" and result.noise == "swap-one")
    data = ran[0].parents[1] / "toy.npz"
    options = ["--method", "nrch", "--bits", 16, "--noise", "swap-one:0.3", "--epochs", 2, "--set", "width=16"]
    assert command("train", data, *map(str, options), "--out", tmp_path / "run", "--quiet").code == 0
    told = [command("audit", run, "--json") for run in (ran[0] / bench.id, tmp_path / "run")]
    assert [each.code for each in told] == [0, 0], told
    first, second = (json.loads(each.out) for each in told)
    assert first["suspects"] == second["suspects"] and first["labelled"] == second["labelled"]
    saved = [load_model(run).featurisers["image"].state() for run in (ran[0] / bench.id, tmp_path / "run")]
    assert saved[0][0] == saved[1][0] == {"name": "scaled"}
    assert np.array_equal(saved[0][1]["mean"], saved[1][1]["mean"])
