"""Own collections, kinds of features x commands: what one command writes goes into the next, and the figures agree."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from crossbit.bits import unpack
from crossbit.data import PairedData
from crossbit.data.relabelled import label_names
from crossbit.features import available
from crossbit.index import open_index
from crossbit.runs.folder import RunFolder
from crossbit.search.build import index_path
from crossbit.search.items import ids_of
from own_runs import FORMS, RUNS, chosen, columns_of, config, indexed, made, own_place, trained
from tiny import Command, done, refused, runner

pytestmark = pytest.mark.slow

UNLABELLED = ["unlabelled"]
AUDITED = ["csv", "look", "scaled", "networks"]
REPAIRED = ["jsonl", "folders", "named", "as-is", "auto"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with own_place(tmp_path_factory.mktemp("own")) as folder:
        yield folder


@pytest.fixture(params=chosen())
def run(request: pytest.FixtureRequest, place: Path) -> Path:
    return trained(place, request.param)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


def told(command: Command, *words: str | Path) -> dict[str, Any]:
    return dict(json.loads(done(command, *words, "--json")))


def close(one: dict[str, float], other: dict[str, float]) -> bool:
    return one.keys() == other.keys() and all(abs(one[key] - other[key]) < 1e-9 for key in one)


def source(run: Path) -> Path:
    return Path(config(run)["data"])


def encoded(command: Command, run: Path, modality: str, out: Path, *words: str) -> np.ndarray:
    """What `encode` makes of all rows; pictures of a collection come by file, so they are put into the rows' order."""
    data = RunFolder(run).data()
    done(command, "encode", run, source(run), "--modality", modality, "--out", out, *words)
    made_of, names = np.load(out), out.with_suffix(".txt")
    if not names.exists():
        return np.asarray(made_of)
    at = {str(source(run) / name): row for row, name in enumerate(names.read_text().splitlines())}
    return np.asarray(made_of[[at[path] for path in data.path.tolist()]])  # type: ignore[union-attr]


def test_every_form_and_kind_of_features_is_here(place: Path) -> None:
    assert {form for form, _ in RUNS.values()} == {*FORMS, "vectors"}
    held = {kind for name in RUNS for kind in config(trained(place, name))["features"].values()}
    assert {"hog", "words", "scaled", "as-is", "efficientnet", "e5"} == held <= set(available())


def test_evaluate_gives_the_figures_of_training(run: Path, command: Command) -> None:
    report = json.loads(RunFolder(run).report_file.read_text())
    plain, named = told(command, "evaluate", run), told(command, "evaluate", run, "--data", source(run))
    assert close(plain["map"], report["map"]) and close(named["map"], report["map"])
    assert plain["figures"] == named["figures"]
    assert bool(plain["map"]) == (RunFolder(run).data().label is not None)


def test_encode_then_score_is_evaluate(run: Path, tmp_path: Path, command: Command) -> None:
    data = RunFolder(run).data()
    codes, real = (
        {m: encoded(command, run, m, tmp_path / f"{m}{len(more)}.npy", *more) for m in data.modalities}
        for more in ((), ("--real",))
    )
    for modality in data.modalities:
        assert np.array_equal(unpack(codes[modality]) > 0, real[modality] > 0)
    if data.label is None:
        return
    ranked = real if "cca-cosine" in RUNS[run.name][1] else codes
    held = {
        f"{side}_{name}": array[data.splits[side]]
        for side in ("query", "retrieval")
        for name, array in {**ranked, "label": data.label}.items()
    }
    np.savez(tmp_path / "codes.npz", **held)
    assert close(told(command, "score", tmp_path / "codes.npz")["map"], told(command, "evaluate", run)["map"])


def test_the_index_holds_what_encode_makes(place: Path, run: Path, tmp_path: Path, command: Command) -> None:
    data, rows = RunFolder(run).data(), RunFolder(run).splits["retrieval"]
    indexed(place, run.name)
    done(command, "index", run, "--check")
    for modality in data.modalities:
        with open_index(index_path(run / "index", modality), read_only=True) as index:
            stored = np.stack([index[id_][0] for id_ in ids_of(data, rows).tolist()])
            assert len(index) == len(rows)
        assert np.array_equal(stored, encoded(command, run, modality, tmp_path / f"{modality}.npy")[rows])
    unchanged = f"{0 if data.path is None else len(data.splits['query'])} added, 0 changed, {len(rows)} unchanged"
    if data.path is not None:
        copied = tmp_path / "copy"
        done(command, "index", run, "--uri", copied)
        assert done(command, "add", run, source(run), "--uri", copied).count(unchanged) == len(data.modalities)
        done(command, "index", run, "--uri", copied, "--check")


@pytest.mark.parametrize("name", chosen())
def test_an_exported_run_finds_the_same(place: Path, name: str, tmp_path: Path, command: Command) -> None:
    run, taken = indexed(place, name), tmp_path / "taken"
    assert done(command, "export", run, "--out", taken).count(" 0 bytes differ") == 2
    data = RunFolder(run).data()
    item = str(ids_of(data, data.splits["retrieval"])[0])
    hits, same = (told(command, "search", folder, "--item", item)["hits"] for folder in (run, taken))
    assert [(hit["id"], hit["distance"]) for each in hits.values() for hit in each] == [
        (hit["id"], hit["distance"]) for each in same.values() for hit in each
    ]
    assert close(*(told(command, "evaluate", folder, "--data", source(run))["map"] for folder in (run, taken)))
    assert done(command, "add", taken, source(run)).count(" 0 changed") == len(hits)
    done(command, "index", taken, "--check")


@pytest.mark.parametrize("name", UNLABELLED)
def test_without_labels_an_audit_is_refused_in_one_line(
    place: Path, name: str, tmp_path: Path, command: Command
) -> None:
    run = trained(place, name)
    for words in ((), ("--html", tmp_path / "sheet.html"), ("--accept-above", "0.9", "--out", tmp_path / "l.csv")):
        assert "no labels" in refused(command, "audit", run, *words)


@pytest.mark.parametrize("name", AUDITED)
def test_an_audit_says_the_same_in_every_form(place: Path, name: str, tmp_path: Path, command: Command) -> None:
    run = trained(place, name)
    as_json = told(command, "audit", run, "--top", "1000")
    out = done(command, "audit", run, "--csv", tmp_path / "rows.csv", "--html", tmp_path / "sheet.html")
    rows = entries(as_json["file"])
    with open(tmp_path / "rows.csv", newline="", encoding="utf-8") as lines:
        assert [int(line["row"]) for line in csv.DictReader(lines)] == [row["row"] for row in rows]
    suspects = [one["row"] for one in as_json["suspects"]]
    assert suspects == [row["row"] for row in rows][: len(suspects)] and len(suspects) == as_json["suspects_in_all"]
    assert f"{len(suspects)} rows' labels" in out or "no row's labels" in out
    assert (tmp_path / "sheet.html").read_text(encoding="utf-8").count('"pair_reason":') >= len(suspects)


@pytest.mark.parametrize("name", REPAIRED)
def test_repaired_labels_are_trained_on(place: Path, name: str, tmp_path: Path, command: Command) -> None:
    """A decision on two rows, applied, written into a copy of the table, trained on, evaluated and audited."""
    run = trained(place, name)
    data = RunFolder(run).data()
    found = told(command, "audit", run)
    first, second = [row for row in entries(found["file"]) if row["probability"] is not None][:2]
    other = next(label for label in label_names(data) if label not in first["observed"])
    about = {"data": config(run)["fingerprint"]}
    decisions = [
        about | {"row": first["row"], "decision": "other", "labels": [other], "observed": first["observed"]},
        about
        | {"row": second["row"], "decision": "keep", "labels": second["observed"], "observed": second["observed"]},
    ]
    (tmp_path / "decisions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in decisions))
    out = tmp_path / f"labels{ending(source(run))}"
    ran = done(command, "audit", run, "--apply", tmp_path / "decisions.jsonl", "--out", out)
    same = [first["row"]] if data.path is None else np.flatnonzero(data.path == data.path[first["row"]])
    assert "0 accept, 1 keep, 1 other" in ran and f"\n{len(same)} of {found['labelled']} labelled" in ran
    again = tmp_path / "again"
    seeing = ("--method", "classifier", "--bits", "16", "--epochs", "1", "--quiet", "--labels", out)
    done(command, "train", source(run), *columns_of(name), "--out", again, *seeing)
    assert config(again)["labels"]["changed"] == len(same)
    seen = RunFolder(again).observed()
    assert isinstance(seen, np.ndarray) and all(names_of(data, seen[row]) == [other] for row in same)
    told(command, "evaluate", again)
    told(command, "audit", again)


def entries(file: str) -> list[dict[str, Any]]:
    """The rows of audit.parquet, the first of the ranking before the others."""
    with duckdb.connect() as connection:
        rows = connection.read_parquet(file).order("rank")
        return [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]


def names_of(data: PairedData, label: np.ndarray) -> list[str]:
    return [label_names(data)[c] for c in (np.flatnonzero(label) if np.ndim(label) else [label])]


def ending(place: Path) -> str:
    """Of the table that a collection has; those that have none get CSV."""
    tables = [file for file in place.iterdir() if file.is_file()] if place.is_dir() else []
    return tables[0].suffix if tables else ".csv"


def test_a_run_is_used_from_anywhere(place: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    """Data, and weights of features, are found again from another folder."""
    run = indexed(place, "named")
    before = told(command, "evaluate", run)
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    assert told(command, "evaluate", Path("..") / "runs" / "named")["map"] == before["map"]
    assert made(place, "named").is_dir()
