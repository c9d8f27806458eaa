"""Run folders with names that shells, globs, SQL and printf take for something else go through every command."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import crossbit
from shape_collection import make_collection
from tiny import Command, done, refused, runner

NAMES = ("[b]", "*", "$HOME", "a b", 'it\'s "q"', "🙂 run", "-x", "50%s#", "ü", "a;b,c", "$(ls)")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection and a run on it."""
    made = tmp_path_factory.mktemp("odd")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CROSSBIT_CACHE", str(made / "cache"))
        make_collection(made / "photos", 40)
        crossbit.train(made / "photos", method="cca-sign", bits=8, out=made / "run", progress=False)
    return made


@pytest.fixture
def command(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("CROSSBIT_CACHE", str(place / "cache"))
    monkeypatch.chdir(place)
    return runner(capsys)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_any_name(place: Path, command: Command, name: str) -> None:
    before = {path.name for path in place.iterdir()}
    run = f"./{name}"
    shutil.copytree(place / "run", run, ignore=shutil.ignore_patterns("index"))
    done(command, "index", run)
    assert json.loads(done(command, "search", run, "red circle", "--json"))["compared"] > 0
    done(command, "evaluate", run)
    done(command, "audit", run, "--csv", f"{run}/rows.csv")
    with open(place / name / "rows.csv", newline="", encoding="utf-8-sig") as file:
        assert len(list(csv.DictReader(file))) > 0
    done(command, "add", run, "photos")
    done(command, "index", run, "--check")
    assert {path.name for path in place.iterdir()} == before | {name}
    shutil.rmtree(run)


@pytest.mark.slow
def test_an_item_that_cannot_be_is_refused_in_a_line(place: Path, command: Command) -> None:
    if not (place / "run" / "index").exists():
        done(command, "index", "run")
    for item in ("-1", "9" * 30):
        assert item in refused(command, "search", "run", "--item", item)


@pytest.mark.slow
def test_a_question_mark_is_refused_in_a_line(place: Path, command: Command) -> None:
    shutil.copytree(place / "run", place / "why?", ignore=shutil.ignore_patterns("index"))
    assert "DuckDB misreads '?'" in command("index", "why?").errors[-1]
    shutil.rmtree(place / "why?")


@pytest.mark.slow
def test_a_process_without_utf8_says_what_to_set(tmp_path: Path) -> None:
    make_collection(tmp_path / "photos", 4)
    table = tmp_path / "photos" / "table.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("0000 red.png", "bäum.png"), encoding="utf-8")
    os.rename(tmp_path / "photos" / "pictures" / "0000 red.png", tmp_path / "photos" / "pictures" / "bäum.png")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "CROSSBIT_CACHE": str(tmp_path / "cache")}
    words = [sys.executable, "-m", "crossbit", "data", "show", str(tmp_path / "photos"), "--json"]
    for more, skipped in ((plain, ["name cannot be spelled"]), (plain | {"PYTHONUTF8": "1"}, [])):
        ran = subprocess.run(words, env=os.environ | more, capture_output=True, check=True)
        assert [one["reason"] for one in json.loads(ran.stdout)["skipped"]] == skipped
