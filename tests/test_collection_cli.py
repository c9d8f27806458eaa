"""The commands on an own collection: from a folder to a search, and everywhere else where data are asked for."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import crossbit
from crossbit.errors import UserError
from crossbit.runs.folder import RunFolder
from shape_collection import make_collection
from tiny import TRAIN, Command, runner


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection and a run on it, whose columns are named, since their names say nothing."""
    folder = tmp_path_factory.mktemp("place")
    make_collection(folder / "Fotos ä", 60, labelled=0.8)
    table = folder / "Fotos ä" / "table.csv"
    table.write_text(table.read_text().replace("caption", "Titel").replace("labels", "Stichworte"))
    (folder / "Fotos ä" / "pictures" / "0007 yellow.png").write_bytes(b"")
    return folder


@pytest.fixture
def command(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("CROSSBIT_CACHE", str(place / "cache"))
    monkeypatch.chdir(place)
    return runner(capsys)


NAMED = ("--caption-column", "Titel", "--label-column", "Stichworte")


def test_show_says_what_was_understood(command: Command) -> None:
    ran = command("data", "show", "Fotos ä", *NAMED)
    assert ran.code == 0
    for told in (
        "59, 59 captions",
        "Titel: captions",
        "Stichworte: labels, joined by ';'",
        "year: items: whole numbers",
        "circle (",
    ):
        assert told in ran.out
    assert "left out 1: 1 empty" in ran.out and "data show` lists" not in ran.out
    assert "line 9: pictures/0007 yellow.png is empty" in ran.out and "train" in ran.out.splitlines()[-1]


def test_show_as_json_lists_all(command: Command) -> None:
    told = json.loads(command("data", "show", "Fotos ä", *NAMED, "--json").out)
    assert [(one["place"], one["reason"]) for one in told["skipped"]] == [("line 9", "empty")]
    assert told["columns"]["file_name"] == "pictures" and told["classes"] == 8 and len(told["examples"]) == 3


def test_show_says_what_is_wrong_and_what_to_type(command: Command) -> None:
    ran = command("data", "show", "Fotos ä")
    assert ran.code == 0 and "neither captions nor labels" in ran.out and "next:" not in ran.out
    assert "stand in as its" not in ran.out  # there are no labels that could
    ran = command("data", "show", "Fotos ä", "--caption-column", "Titel")
    assert "none; where a column has them: --label-column COLUMN" in " ".join(ran.out.split())


def test_a_line_break_in_a_name_breaks_no_line(place: Path, command: Command) -> None:
    for number, name in enumerate(("one\nline.png", "same\nbytes.png", "cut\nshort.png")):
        (place / "breaks" / "tree").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), "red").save(place / "breaks" / "tree" / name)
        if number == 2:
            (place / "breaks" / "tree" / name).write_bytes(b"")
    shown = command("data", "show", "breaks").out
    assert "'one\\nline.png': no caption [tree]" in shown and "'same\\nbytes.png'" in shown
    assert "'tree/cut\\nshort.png' is empty" in shown and "\nline.png" not in shown


@pytest.mark.slow
def test_from_a_folder_to_a_search(place: Path, command: Command) -> None:
    assert command("train", "Fotos ä", *NAMED, "--out", "run", *TRAIN).code == 0
    ran = command("index", "run")
    assert ran.code == 0
    queries = len(crossbit.load_data("Fotos ä", caption_column="Titel", label_column="Stichworte").splits["query"])
    assert f"{queries} held-out queries are not in it; to find them, too, type: crossbit add run DATA" in ran.errors
    where = "year < 2010 AND artist = 'person 1'"
    found = json.loads(command("search", "run", "red circle", "--where", where, "--json").out)
    items = [hit["item"] for hit in found["hits"]["image"]]
    assert items and all(item["year"] < 2010 and item["artist"] == "person 1" for item in items)
    assert all(Path(item["path"]).is_file() for item in items)
    for words in (["evaluate", "run"], ["evaluate", "run", "--data", "Fotos ä"], ["audit", "run"]):
        assert command(*words).code == 0, words
    assert command("evaluate", "run", "--data", "Fotos ä/table.csv").code == 0
    assert any("queries, which" in line for line in command("add", "run", "Fotos ä").errors)


@pytest.mark.slow
def test_what_is_offered_after_an_audit_can_be_pasted(place: Path, command: Command) -> None:
    assert command("train", "Fotos ä", *NAMED, "--out", "audited", *TRAIN).code == 0
    offered = command("audit", "audited", "--accept-above", "0.9", "--out", "some labels.csv").out.splitlines()[-1]
    words = shlex.split(offered)
    assert command(*words[words.index("train") :], *TRAIN).code == 0 and (place / "RUN2" / "config.json").exists()


@pytest.mark.slow
def test_a_folder_that_changed_is_said_and_can_be_named(place: Path, command: Command) -> None:
    assert command("train", "Fotos ä", *NAMED, "--out", "before", *TRAIN).code == 0
    table = place / "Fotos ä" / "table.csv"
    held = table.read_text()
    lines = held.splitlines(keepends=True)
    table.write_text("".join(lines[: len(lines) // 3]))
    try:
        told = command("evaluate", "before")
        assert told.code == 2 and "--data DATA; named, any data are taken" in told.errors[-1]
        assert command("evaluate", "before", "--data", "Fotos ä").code == 0
        told = command("audit", "before", "--data", "Fotos ä")
        assert told.code == 2 and "train again" in told.errors[-1]
    finally:
        table.write_text(held)


def test_encode_takes_captions_of_a_folder_and_pictures_of_a_table(place: Path, command: Command) -> None:
    data = crossbit.load_data(place / "Fotos ä", caption_column="Titel", label_column="Stichworte")
    model = crossbit.train(data, method="nrch", bits=8, epochs=1, settings={"width": 8}, out="own", progress=False)
    for modality, source in (("text", "Fotos ä"), ("text", "Fotos ä/table.csv"), ("image", "Fotos ä/table.csv")):
        out = f"{modality} {Path(source).name}.npy"
        assert command("encode", "own", source, "--modality", modality, "--out", out).code == 0
        assert np.array_equal(np.load(place / out), model.encode(modality, data[modality]))


@pytest.mark.parametrize("out", ["made.npz", "made"])
def test_convert_writes_pictures(out: str, place: Path, command: Command) -> None:
    make_collection(place / out / "c", 8)
    assert command("data", "convert", f"{out}/c", f"{out}/{out}").code == 0
    made = crossbit.load_data(place / out / out)
    assert made["image"].shape == (8, 224, 224, 3) and made["text"][0] == "a red circle number 0"


def test_named_columns_are_taken_wherever_data_are_read(place: Path, command: Command) -> None:
    for words in (["convert", "Fotos ä", "named.npz"], ["noise", "Fotos ä", "swap-one:0.3", "noisy.npz"]):
        assert command("data", *words, *NAMED).code == 0
        made = crossbit.load_data(place / words[-1])
        assert made["text"][0] == "a red circle number 0" and made.label_names is not None and "red" in made.label_names
    ran = command("data", "convert", "named.npz", "x.npz", *NAMED)
    assert ran.code == 2 and "is no own collection" in ran.errors[-1]


def test_python_trains_on_a_path(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path))
    make_collection(tmp_path / "c", 20, labels=None)
    model = crossbit.train(tmp_path / "c", method="cca-itq", bits=8, progress=False)
    assert model.encode("image", tmp_path / "c" / "pictures" / "0000 red.png").shape == (1, 1)


def test_a_table_without_the_runs_columns_says_whose_names_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_collection(tmp_path / "c", 6)
    monkeypatch.setattr(RunFolder, "config", {"data_options": {"caption_column": "Titel"}})
    with pytest.raises(UserError, match=r"column 'Titel'.*; give the column the name .* when .*run was trained$"):
        RunFolder(tmp_path / "run").load("c")


@pytest.mark.slow
def test_each_further_column_is_shown_with_a_filter_that_works(command: Command, place: Path) -> None:
    folder = place / "kinds"
    make_collection(folder, 12, table="jsonl")
    further = {"good": True, "size in cm": 1.5, "by": "O'Neill", "tags of me": ["a b"], "id": 7, "order": 3, "no": None}
    file = folder / "table.jsonl"
    rows = [json.loads(line) | further for line in file.read_text(encoding="utf-8").splitlines()]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    columns = json.loads(command("data", "show", folder, "--json").out)["columns"]
    assert command("train", folder, "--method", "cca-sign", "--bits", "8", "--out", "kinds-run", "--quiet").code == 0
    assert command("index", "kinds-run").code == 0
    filters = [shlex.split(told)[-1] for told in columns.values() if "--where" in told]
    assert len(filters) == len(further) - 1 + 2  # one holds nothing; the table has a year and an artist
    for where in filters:
        ran = command("search", "kinds-run", "red", "--where", where)
        assert (ran.code, "nothing found" in ran.out) == (0, False), where
