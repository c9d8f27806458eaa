"""A collection that grew, shrank, moved or got other labels since a run was trained: the run's rows are found in it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import crossbit
from crossbit.audit import audit_run
from crossbit.runs.folder import RunFolder
from tiny import Command, done, refused, runner

N = 40
Row = dict[str, str]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


def rows(n: int) -> list[Row]:
    """Rows of a table: a red or a blue picture each, labelled so."""
    colours = ("red", "blue")
    return [{"file_name": f"{i}.png", "caption": f"{colours[i % 2]} {i}", "labels": colours[i % 2]} for i in range(n)]


def write(folder: Path, table: list[Row]) -> None:
    """The table, and the pictures that are not there yet."""
    folder.mkdir(exist_ok=True)
    with open(folder / "table.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    for row in table:
        if not (path := folder / row["file_name"]).exists():
            number = int(path.stem)
            pixels = np.random.default_rng(number).integers(0, 120, (12, 12, 3), np.uint8)
            pixels[..., 0 if number % 2 == 0 else 2] += 120
            Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with a collection and a run."""
    place = tmp_path_factory.mktemp("again")
    write(place / "mine", rows(N))
    settings = {"width": 8, "steps": 4}
    crossbit.train(place / "mine", bits=8, epochs=1, settings=settings, out=place / "run", progress=False)
    return place


@pytest.fixture
def place(trained: Path) -> Iterator[Path]:
    """The same, with the collection as it was after the test."""
    yield trained
    write(trained / "mine", rows(N))


def change(place: Path, change: Callable[[list[Row]], list[Row]], n: int = N) -> None:
    write(place / "mine", change(rows(n)))


def pairs_of(place: Path, name: str) -> set[str]:
    """The captions of a split, as the run finds it."""
    data = RunFolder(place / "run").data()
    return set(np.asarray(data["text"])[data.splits[name]].tolist())


CHANGES: dict[str, tuple[int, Callable[[list[Row]], list[Row]], str]] = {
    "grown": (N + 9, lambda table: table, "pairs new and left out: 9"),
    "grown at the front": (N + 3, lambda table: table[N:] + table[:N], "pairs new and left out: 3"),
    "shrunk": (N, lambda table: table[4:], "pairs gone: 4"),
    "both": (N + 2, lambda table: table[5:], "pairs new and left out: 2; gone: 5"),
    "another order": (N, lambda table: table[::-1], "the same pairs in another order"),
    "another caption": (
        N,
        lambda table: [table[0] | {"caption": "none"}, *table[1:]],
        "pairs new and left out: 1; gone: 1",
    ),
    "another label": (N, lambda table: [table[0] | {"labels": "green"}, *table[1:]], "other labels"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_collection_is_evaluated_and_audited_on_the_rows_of_then(
    place: Path, command: Command, kind: str
) -> None:
    before = {name: pairs_of(place, name) for name in ("train", "query", "retrieval")}
    n, how, said = CHANGES[kind]
    change(place, how, n)
    there = {row["caption"] for row in how(rows(n))}
    for name, captions in before.items():
        assert pairs_of(place, name) == captions & there
    ran = command("evaluate", place / "run", "--json")
    assert ran.code == 0 and len([line for line in ran.errors if said in line]) == 1
    assert json.loads(ran.out)["protocol"]["queries"] == len(before["query"] & there)
    ran = command("audit", place / "run", "--json")
    assert ran.code == 0 and len([line for line in ran.errors if said in line]) == 1
    assert json.loads(ran.out)["labelled"] == len(before["train"] & there)


@pytest.mark.slow
def test_a_collection_that_only_grew_has_the_figures_of_then(place: Path, command: Command) -> None:
    def figures() -> Any:
        held = json.loads(done(command, "evaluate", place / "run", "--json"))
        audited = audit_run(place / "run")
        paths = [(entry.path, entry.observed, entry.suggested, entry.reason) for entry in audited.entries]
        return held["map"], paths, [entry.probability for entry in audited.entries]

    figure, told, probability = figures()
    change(place, lambda table: [row | {"labels": "green"} for row in table[N:]] + table[:N], N + 9)
    assert figures() == (figure, told, pytest.approx(probability, abs=1e-5))  # there is one more class


@pytest.mark.slow
def test_an_audit_after_a_change_never_undoes_a_label(place: Path, command: Command) -> None:
    change(place, lambda table: [table[0] | {"labels": "green"}, *table[1:]], N + 4)
    out = place / "labels.csv"
    done(command, "audit", place / "run", "--accept-above", "1", "--out", out)
    with open(out, newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    out.unlink()
    assert written[0]["labels"] == "green" and [row["file_name"] for row in written[N:]] == [
        "40.png",
        "41.png",
        "42.png",
        "43.png",
    ]


@pytest.mark.slow
def test_decisions_of_before_a_change_are_about_the_same_pictures(place: Path, command: Command) -> None:
    audited = audit_run(place / "run")
    entry = audited.entries[0]
    other = "blue" if entry.observed == ["red"] else "red"
    line = {"data": audited.fingerprint, "row": entry.row, "decision": "other", "observed": entry.observed}
    decisions, out = place / "decisions.jsonl", place / "labels.csv"
    decisions.write_text(json.dumps(line | {"labels": [other]}) + "\n")
    change(place, lambda table: table[::-1], N + 2)
    done(command, "audit", place / "run", "--apply", decisions, "--out", out)
    with open(out, newline="", encoding="utf-8") as file:
        written = {row["caption"]: row["labels"] for row in csv.DictReader(file)}
    out.unlink()
    assert {caption for caption, label in written.items() if label != caption.split()[0]} == {entry.caption}
    assert audit_run(place / "run").fingerprint != audited.fingerprint


@pytest.mark.slow
def test_a_collection_most_of_which_is_gone_is_another(place: Path, command: Command) -> None:
    change(place, lambda table: table[25:], 80)
    assert "are not those that" in refused(command, "evaluate", place / "run")
