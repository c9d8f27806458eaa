"""A bench on an own collection is `crossbit train` and `evaluate` of it: the same split, features and figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from crossbit.runs.folder import RunFolder
from own_runs import NAMED, made, tiny_networks
from tiny import Command, done, runner

pytestmark = pytest.mark.slow

RECIPE = """
[protocol]
seeds = [3]
[data.own]
source = "my named"
picture_column = "Datei"
caption_column = "Titel"
label_column = "Stichworte"
features = {features}
[[grid]]
data = "own"
methods = ["{method}"]
bits = 16
noise = ["{noise}"]
"""
# (features of the recipe, those of the command line, method, noise)
BENCHES = [
    ('{ image = "auto", text = "e5" }', ("--features", "image=auto", "--features", "text=e5"), "cca-itq", "none"),
    ('{ text = "auto" }', ("--features", "text=auto"), "cca-cosine", "shuffle-pairs:0.3"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CROSSBIT_CACHE", str(folder / "cache"))
        patched.chdir(folder)
        tiny_networks(patched, folder / "weights")
        made(folder, "named")
        yield folder


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.mark.parametrize(("features", "options", "method", "noise"), BENCHES)
def test_a_bench_is_the_command_line(
    place: Path, tmp_path: Path, features: str, options: tuple[str, ...], method: str, noise: str, command: Command
) -> None:
    (place / "r.toml").write_text(RECIPE.format(features=features, method=method, noise=noise))
    done(command, "bench", "r.toml", "--out", tmp_path / "out")
    (benched,) = (file.parent for file in (tmp_path / "out" / "runs").glob("*/result.json"))
    trained, noisy = tmp_path / "run", () if noise == "none" else ("--noise", noise)
    seeded = ("--method", method, "--bits", "16", "--seed", "3", "--quiet", *noisy)
    done(command, "train", "my named", *NAMED, "--out", trained, *options, *seeded)
    one, other = RunFolder(benched), RunFolder(trained)
    assert one.config["features"] == other.config["features"] and one.config["data_options"]
    assert one.config["fingerprint"] == other.config["fingerprint"]
    assert all(np.array_equal(one.splits[name], other.splits[name]) for name in ("train", "query", "retrieval"))
    told = [json.loads(done(command, "evaluate", run, "--json"))["map"] for run in (benched, trained)]
    ranking = ", metric=cosine" if method == "cca-cosine" else ""
    measured = {
        figure["direction"]: figure["value"]
        for figure in json.loads((benched / "result.json").read_text())["figures"]
        if (figure["database"], figure["measure"]) == ("retrieval", f"mAP@all(ties=expected, empty=skip{ranking})")
    }
    for way, value in told[0].items():
        assert abs(value - told[1][way]) < 1e-9 and abs(value - measured[way]) < 1e-9
    done(command, "index", benched)
    assert json.loads(done(command, "search", benched, "red circle", "--json"))["hits"]["image"]
    assert "0 added, 0 changed" not in done(command, "add", benched, "my named")  # the queries come
    done(command, "index", benched, "--check")
