"""From an audit to corrected labels and back into training: decisions, proposals, tables of every form, the sheet."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from crossbit.audit import Audit, alike, audit_run
from crossbit.audit.acts import Asked
from crossbit.audit.alike import heaviest, regression
from crossbit.audit.decisions import Decision, proposal, read_decisions, repair, write_labels
from crossbit.audit.sheet import build_sheet
from crossbit.data import load_data
from crossbit.data.collection import Columns, look_through
from crossbit.data.collection.relabel import has_column_each, labels_by_picture, write_corrected
from crossbit.data.neutral import save_neutral
from crossbit.data.noise import corrupt
from crossbit.data.relabelled import label_matrix, label_names, names_in, relabelled
from crossbit.errors import UserError
from crossbit.posterior import estimate_posterior
from crossbit.posterior.regression import RbfKernel, fit_exact, fit_landmarks
from crossbit.training import train
from shape_collection import make_collection
from test_audit import LOOK, NRCH, UCCH, run_of, toy
from tiny import Command, runner

KINDS = ["csv", "tsv", "semicolons", "jsonl", "parquet", "folders"]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repair")
    run_of(folder, "several", toy(several=True), LOOK, noise="swap-one:0.3")
    return folder


@pytest.fixture(scope="module")
def found(place: Path) -> Audit:
    return audit_run(place / "several")


def decided(found: Audit, file: Path, made: list[tuple[int, str, list[str]]], **changes: Any) -> Path:
    """A file of decisions (number of the suspect, kind, labels), as the sheet saves it."""
    lines = []
    for number, kind, labels in made:
        entry = found.suspects[number]
        line = {"data": found.fingerprint, "row": entry.row, "decision": kind, "observed": entry.observed}
        lines.append(json.dumps({**line, "labels": labels, **changes}) + "\n")
    file.write_text("".join(lines))
    return file


# --- order and neighbours -----------------------------------------------------------------------------------------


def test_evidence_is_the_log_odds_of_the_probability() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(4, size=300)
    x = np.eye(4)[kind] + 0.45 * rng.normal(size=(300, 4))
    given = np.eye(4)[np.where(rng.random(300) < 0.2, rng.integers(4, size=300), kind)]
    found = estimate_posterior({"x": torch.from_numpy(x)}, {"x": torch.from_numpy(given)})
    p, evidence = found.corrupted["x"].numpy(), found.evidence["x"].numpy()
    doubtful = (p > 1e-6) & (p < 1 - 1e-6)
    assert doubtful.sum() > 100
    assert evidence[doubtful] == pytest.approx(np.log(p / (1 - p))[doubtful], rel=1e-6, abs=1e-6)


def test_evidence_tells_rows_apart_that_are_certain(found: Audit) -> None:
    certain = [
        entry.evidence for entry in found.suspects if entry.probability is not None and entry.probability > 0.9999
    ]
    assert len(certain) > 20 and len(set(certain)) == len(certain)


@pytest.mark.slow
def test_near_duplicates_stand_together_and_count_once(tmp_path: Path) -> None:
    data = toy(200)
    x = {modality: array.copy() for modality, array in data.modalities.items()}
    labels, _ = corrupt(np.asarray(data.label), "flip:0.3", 0, classes=5)
    copies = np.arange(30, 42)
    for array in x.values():
        array[copies] = array[30]
    labels[copies] = (np.asarray(data.label)[30] + 1) % 5  # twelve copies with the same wrong label
    group = np.arange(200)
    group[copies] = 30
    run = run_of(tmp_path, "copies", data.replace(modalities=x, observed_label=labels, group=group), UCCH)
    found = audit_run(run)
    family = next(family for family in found.families if family[0].row in copies)
    assert {entry.row for entry in family} == set(copies)
    ranks = [entry.rank for entry in family]
    assert ranks == list(range(ranks[0], ranks[0] + 12))
    assert sum(family[0].row in copies for family in found.families) == 1


@pytest.mark.parametrize("left_together", [True, False])
def test_neighbours_are_those_whose_labels_move_the_prediction_most(left_together: bool) -> None:
    rng = np.random.default_rng(0)
    x = {m: torch.from_numpy(rng.normal(size=(40, 3))) for m in ("image", "text")}
    families, labelled = np.arange(40) // 2, np.arange(5, 40)
    own, others = ({m: each[rows] for m, each in x.items()} for rows in (slice(5, 40), slice(5)))
    kernel, groups = RbfKernel({"image": 0.3, "text": 0.7}, 0.5, {"image": 5.0, "text": 4.0}), None
    if left_together:
        groups = torch.from_numpy(families[labelled])
    moves = np.zeros((40, 40))  # what a row's label adds to the prediction of another
    for place, row in enumerate(labelled):
        label = torch.zeros(35, 1)
        label[place] = 1
        fit = fit_exact(own, label, kernel, 0.1, groups)
        moves[5:, row], moves[:5, row] = fit.left_out[:, 0], fit.predict(others)[:, 0]
    smoother = regression(own, label, kernel, 0.1, groups, 0)
    near, weight = heaviest(smoother, x, labelled, np.arange(40), families)
    for row in range(40):
        sums = {family: moves[row][families == family].sum() for family in range(2, 20)}
        wanted = sorted(sums, key=lambda family: -abs(sums[family]))[:5]
        assert families[near[row]].tolist() == wanted
        assert weight[row] == pytest.approx([sums[family] for family in wanted], rel=1e-9)
        assert all(abs(moves[row, one]) >= abs(moves[row, families == families[one]]).max() for one in near[row])
        assert not left_together or row < 5 or families[row] not in families[near[row]]


def test_neighbours_of_landmarks_are_those_of_their_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x = {"image": torch.from_numpy(rng.normal(size=(30, 3)))}
    kernel, labels = RbfKernel({"image": 1.0}, 0.5, {"image": 5.0}), torch.eye(30)
    drawn = torch.randperm(30, generator=torch.Generator().manual_seed(7))[:8]
    wanted = fit_landmarks(x, labels, kernel, [0.1], drawn).left_out.numpy()
    monkeypatch.setattr(alike, "EXACT", 20)
    monkeypatch.setattr(alike, "LANDMARKS", 8)
    smoother = regression(x, labels, kernel, 0.1, None, 7)
    near, weight = heaviest(smoother, x, np.arange(30), np.arange(30), np.arange(30))
    for row in range(30):
        first = np.argsort(-np.abs(wanted[row]))[:5]
        assert near[row].tolist() == first.tolist()
        assert weight[row] == pytest.approx(wanted[row][first], abs=1e-9)


def test_neighbours_have_names_and_given_labels(found: Audit) -> None:
    data = toy(several=True)
    observed = {entry.row: entry.observed for entry in found.entries}
    for entry in found.suspects:
        assert len(entry.neighbours) == 5
        assert all(one.name == str(data.caption[one.row]) for one in entry.neighbours)  # type: ignore[index]
        assert all(one.labels == observed[one.row] for one in entry.neighbours)
        weights = [abs(one.weight) for one in entry.neighbours]
        assert weights == sorted(weights, reverse=True)


def test_rows_of_a_class(found: Audit, place: Path, command: Command) -> None:
    one = found.classes[0]
    rows = found.of_class(one)
    assert rows and all(one.label in dict([*entry.wrong, *entry.missing]) for entry in rows)
    told = command("audit", place / "several", "--by-class", "--top", "2")
    assert told.code == 0 and len(re.findall(r"^\w+: .*rows lack it$", told.out, re.M)) == 5


# --- decisions and proposals --------------------------------------------------------------------------------------


def test_what_was_decided_is_done_and_the_last_decision_counts(found: Audit, tmp_path: Path) -> None:
    first, second, third = found.suspects[:3]
    made = [(0, "keep", first.observed), (1, "accept", second.suggested), (2, "other", ["digit"])]
    file = decided(found, tmp_path / "d.jsonl", [*made, (0, "other", ["greek", "latin"])])
    done = repair(found, read_decisions(file, found))
    wanted = {first.row: ["greek", "latin"], second.row: second.suggested, third.row: ["digit"]}
    assert done.labels == wanted and done.decided == {"accept": 1, "keep": 0, "other": 2} and done.taken == 0


def test_proposals_change_labels_that_are_sure_enough(found: Audit) -> None:
    done = repair(found, [Decision(found.suspects[0].row, "keep", found.suspects[0].observed)], above=0.9)
    assert done.labels[found.suspects[0].row] == found.suspects[0].observed
    assert done.taken == len(done.labels) - 1 > 20
    for entry in found.suspects[1:]:
        wanted = {name for name in entry.observed if dict(entry.wrong).get(name, 0) < 0.9}
        wanted |= {name for name, p in entry.missing if p >= 0.9}
        assert set(done.labels.get(entry.row, entry.observed)) == wanted


def test_a_single_label_is_only_exchanged() -> None:
    entry: Any = type("Row", (), {"observed": ["a"], "wrong": [("a", 0.95)], "missing": [("b", 0.85)]})
    assert proposal(entry, 0.9, single=True) == ["a"] and proposal(entry, 0.8, single=True) == ["b"]
    assert proposal(entry, 0.9, single=False) == []


@pytest.mark.slow
def test_corrected_labels_are_trained_on(place: Path, found: Audit, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "labels.csv"
    before = (place / "several.npz").read_bytes()
    told = command("audit", place / "several", "--accept-above", "0.9", "--out", out)
    assert told.code == 0 and f"{repair(found, above=0.9).changed} of" in told.out
    assert (place / "several.npz").read_bytes() == before
    small = ("--method", "look", "--epochs", "1", "--set", "width=8", "--set", "steps=1", "--bits", "8")
    again = command("train", place / "several.npz", "--labels", out, *small, "--out", tmp_path / "again")
    assert again.code == 0
    stored = np.load(tmp_path / "again" / "data.npz")["observed_label"]
    data = toy(several=True)
    truth, train_rows = np.asarray(data.label), data.splits["train"]
    wrong = int((stored != truth)[train_rows].any(1).sum())
    assert any(f"{wrong} of {len(train_rows)} training rows" in line for line in again.errors)
    noisy = np.load(place / "several" / "data.npz")["observed_label"]
    assert wrong < 0.3 * (noisy != truth)[train_rows].any(1).sum()  # most of what was injected is mended
    assert (stored != noisy)[train_rows].any(1).sum() == repair(found, above=0.9).changed
    others = np.setdiff1d(np.arange(data.n), train_rows)
    assert np.array_equal(stored[others], truth[others])
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert config["labels"]["changed"] == wrong
    assert command("evaluate", tmp_path / "again").code == 0  # by the data as they are
    anew = audit_run(tmp_path / "again")  # of the labels that it saw
    assert {e.row: e.observed for e in anew.entries} != {e.row: e.observed for e in found.entries}


def test_a_table_of_labels_gives_them_back(found: Audit, tmp_path: Path) -> None:
    write_labels(found, repair(found, above=0.9), tmp_path / "l.csv")
    rows = list(csv.DictReader((tmp_path / "l.csv").open(encoding="utf-8")))
    assert list(rows[0]) == ["row", "caption", "labels", "given", "changed", "decided"] and len(rows) == found.labelled
    again = relabelled(found.seen.data, tmp_path / "l.csv")
    assert again.changed == repair(found, above=0.9).changed
    write_labels(found, repair(found), tmp_path / "same.csv")
    assert relabelled(found.seen.data, tmp_path / "same.csv").changed == 0


def test_labels_of_a_table_in_another_normal_form() -> None:
    apart = unicodedata.normalize("NFD", "île; chêne")
    assert names_in(apart) == names_in(json.dumps(apart.split("; "))) == ["île", "chêne"] != apart.split("; ")


def test_a_run_goes_on_with_the_same_labels_alone(place: Path, found: Audit, tmp_path: Path) -> None:
    write_labels(found, repair(found, above=0.9), tmp_path / "a.csv")
    write_labels(found, repair(found, [Decision(found.suspects[0].row, "other", ["digit"])], 0.9), tmp_path / "b.csv")
    data = load_data(place / "several.npz")
    train(data, **NRCH, bits=8, labels=tmp_path / "a.csv", out=tmp_path / "run", progress=False)
    train(data, **NRCH, bits=8, labels=tmp_path / "a.csv", out=tmp_path / "run", resume=True, progress=False)
    with pytest.raises(UserError, match="labels"):
        train(data, **NRCH, bits=8, labels=tmp_path / "b.csv", out=tmp_path / "run", resume=True, progress=False)


# --- tables of collections ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_collections_table_is_copied_with_other_labels_alone(tmp_path: Path, kind: Any) -> None:
    photos = tmp_path / "photos"
    make_collection(photos, 20, table=kind, captions=2 if kind != "folders" else 1)
    data = look_through(photos).data()
    files = {file: file.read_bytes() for file in photos.rglob("*") if file.is_file()}
    table = next((file for file in files if file.name.startswith("table")), photos / "table.csv")
    held = labels_of(photos)
    wanted = dict(held)
    first, second, third, *_ = held
    wanted |= {first: ["river", "cross"], second: [held[second][0]], third: []}
    out = tmp_path / f"labels{table.suffix}"
    write_corrected(photos, Columns(), wanted, out)
    assert {file: file.read_bytes() for file in files} == files
    found = labels_by_picture(out, photos, Columns())
    assert {path: set(names) for path, names in found.items()} == {path: set(names) for path, names in wanted.items()}
    if kind in ("csv", "tsv", "semicolons", "jsonl"):
        before, after = (file.read_text().splitlines() for file in (table, out))
        differ = {a for a, b in zip(before, after, strict=True) if a != b}
        assert 0 < len(differ) <= 6 and all("0000" in line or "0001" in line or "0002" in line for line in differ)
    assert data.n >= 20


def labels_of(photos: Path) -> dict[str, list[str]]:
    return {picture.path: picture.labels for picture in look_through(photos).pictures}


def test_a_spreadsheets_encoding_and_quotes_stay(tmp_path: Path) -> None:
    rows = make_collection(tmp_path, 6, table="csv")
    (tmp_path / "table.csv").unlink()
    lines = ['sep=;\r\n"file_name";"Stichwörter";"note"\r\n']
    lines += [f'"{row["file_name"]}";"{", ".join(row["labels"])}";"say ""ü""\nand more"\r\n' for row in rows]
    (tmp_path / "liste.csv").write_bytes(b"\xff\xfe" + "".join(lines).encode("utf-16-le"))
    asked = Columns(label="Stichwörter", caption="none")
    picture = str(tmp_path / rows[3]["file_name"])
    write_corrected(tmp_path, asked, {picture: ["blau", "cross"]}, tmp_path / "neu.csv")
    lines[4] = f'"{rows[3]["file_name"]}";"blau, cross";"say ""ü""\nand more"\r\n'
    data = (tmp_path / "neu.csv").read_bytes()
    assert data[:2] == b"\xff\xfe" and data[2:].decode("utf-16-le") == "".join(lines)


def test_lines_of_json_keep_their_endings(tmp_path: Path) -> None:
    rows = make_collection(tmp_path, 3, table="csv")
    (tmp_path / "table.csv").unlink()
    lines = [json.dumps({"file_name": row["file_name"], "labels": row["labels"]}) for row in rows]
    (tmp_path / "table.jsonl").write_bytes("\r\n".join(lines).encode())
    write_corrected(tmp_path, Columns(), {str(tmp_path / rows[1]["file_name"]): ["blue"]}, tmp_path / "new.jsonl")
    lines[1] = json.dumps({"file_name": rows[1]["file_name"], "labels": ["blue"]})
    assert (tmp_path / "new.jsonl").read_bytes() == "\r\n".join(lines).encode()


@pytest.mark.parametrize(("no", "yes"), [("0", "1"), ("FALSE", "TRUE"), ("0.0", "1.0")])
def test_columns_of_bits(tmp_path: Path, no: str, yes: str) -> None:
    rows = make_collection(tmp_path, 6, table="csv")
    text = "file_name,caption,is_red,is_green\n"
    text += "".join(f"{row['file_name']},c {n},{[no, yes][n % 2]},{[no, yes][n == 5]}\n" for n, row in enumerate(rows))
    (tmp_path / "table.csv").write_text(text)
    assert has_column_each(tmp_path, Columns())
    write_corrected(tmp_path, Columns(), {str(tmp_path / rows[0]["file_name"]): ["green"]}, tmp_path / "new.csv")
    assert (tmp_path / "new.csv").read_text() == text.replace(f"c 0,{no},{no}", f"c 0,{no},{yes}")


def test_a_table_with_a_column_for_each_label_takes_no_new_one(found: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(found.seen, {}, False, lambda row: [row])
    new = Decision(30, "other", ["rune"], new=["rune"])
    asked.check_labels(new)
    monkeypatch.setattr("crossbit.audit.acts.has_label_columns", lambda data: True)
    with pytest.raises(UserError, match="has a column for each label, and none for 'rune'"):
        Asked(found.seen, {}, False, lambda row: [row]).check_labels(new)


def test_folders_whose_names_hold_what_parts_labels(tmp_path: Path) -> None:
    names = ["black, white", "a;b", "[red]"]
    for number, name in enumerate([*names, names[0]]):
        (tmp_path / "c" / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "c" / name / f"{number}.png")
    wanted = labels_of(tmp_path / "c") | {str(tmp_path / "c" / names[0] / "3.png"): [names[1]]}
    write_corrected(tmp_path / "c", Columns(), wanted, tmp_path / "new.csv")
    assert labels_by_picture(tmp_path / "new.csv", tmp_path / "c", Columns()) == wanted


@pytest.mark.slow
def test_from_a_collection_to_its_table_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    make_collection(Path("photos"), 80, captions=2, table="jsonl")
    small = ("--bits", "16", "--epochs", "1", "--set", "width=8", "--set", "steps=1")
    assert command("train", "photos", "--noise", "swap-one:0.2", *small, "--out", "run").code == 0
    told = command("audit", "run", "--accept-above", "0.8", "--out", "labels.jsonl", "--data", "photos")
    assert told.code == 0, told.errors
    again = command("train", "photos", "--labels", "labels.jsonl", *small, "--out", "again")
    assert again.code == 0 and any("in labels.jsonl have other labels" in line for line in again.errors)
    wrong = command("audit", "run", "--accept-above", "0.8", "--out", "labels.csv")
    assert wrong.code == 2 and "must end in .jsonl" in wrong.errors[-1]


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": "other"}, "other data"),
        ({"row": 3}, "row 3 is no labelled training row"),
        ({"observed": ["digit", "greek", "latin", "hebrew"]}, "had the labels digit, greek, latin, hebrew and has"),
        ({"labels": ["greec"]}, "did you mean 'greek'?"),
        ({"decision": "yes"}, "no decision of an audit"),
        ({"labels": "greek"}, "no decision of an audit"),
    ],
)
def test_decisions_that_do_not_fit(found: Audit, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    file = decided(found, tmp_path / "d.jsonl", [(0, "accept", found.suspects[0].suggested)], **changes)
    with pytest.raises(UserError, match=re.escape(words)) as refused:
        read_decisions(file, found)
    assert "d.jsonl: line 1" in str(refused.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("row,labels\n500,greek\n", "row 500 is not in data"),
        ("row,labels\n-1,greek\n", "row -1 is not in data"),
        ("row,labels\n30,greec\n", "did you mean 'greek'?"),
        ("line,labels\n30,greek\n", "no column 'row'"),
        ("row,label\n30,greek\n", "no column 'labels'"),
    ],
)
def test_tables_of_labels_that_do_not_fit(tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "l.csv").write_text(table)
    with pytest.raises(UserError, match=re.escape(words)):
        relabelled(toy(several=True), tmp_path / "l.csv")


def test_a_label_that_the_data_do_not_have_is_left_out_and_told(tmp_path: Path) -> None:
    data = toy(several=True)
    rows = data.splits["train"][:3]
    text = "row,labels\n{},greek; klingon\n{},klingon\n{},greec; latin\n".format(*rows)
    (tmp_path / "l.csv").write_text(text)
    made = relabelled(data, tmp_path / "l.csv")
    names, after = label_names(data), label_matrix(made.data)
    held = [[name for name, has in zip(names, after[row], strict=True) if has] for row in rows]
    before = [name for name, has in zip(names, label_matrix(data)[rows[1]], strict=True) if has]
    assert held == [["greek"], before, ["latin"]]  # of which none is known the labels stay
    assert dict(made.strangers) == {"klingon": 2, "greec": 1}
    told = "labels that the data do not have are left out: 'klingon' (2 rows), 'greec' (1 row; did you mean 'greek'?)"
    assert made.left_out(names) == told


def test_labels_that_would_change_nothing_or_cannot(place: Path, tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("row,labels\n30,greek; latin\n")
    with pytest.raises(UserError, match="sees no labels"):
        train(toy(), **UCCH, bits=8, labels=tmp_path / "l.csv", progress=False)
    with pytest.raises(UserError, match="gets 2 labels"):
        relabelled(toy(), tmp_path / "l.csv")
    with pytest.raises(UserError, match="have no labels"):
        relabelled(toy(label=None, label_names=None), tmp_path / "l.csv")
    with pytest.raises(UserError, match="no table of labels at"):
        relabelled(toy(), tmp_path / "gone.csv")
    apart = toy(label=None, modality_label={m: toy().label for m in ("image", "text")})
    with pytest.raises(UserError, match="for each modality"):
        label_matrix(apart)


def test_options_that_do_not_go_together(place: Path, tmp_path: Path, command: Command) -> None:
    run = place / "several"
    for words, said in (
        (("--out", tmp_path / "l.csv"), "take both"),
        (("--accept-above", "0.9"), "take both"),
        (("--accept-above", "0.2", "--out", tmp_path / "l.csv"), "--accept-above is 0.2"),
        (("--accept-above", "0.9", "--out", tmp_path / "l.csv", "--json"), "nothing else"),
        (("--apply", tmp_path / "gone.jsonl", "--out", tmp_path / "l.csv"), "cannot read"),
        (("--accept-above", "0.9", "--out", tmp_path / "l.txt"), "must end in .csv"),
    ):
        told = command("audit", run, *words)
        assert told.code == 2 and said in told.errors[-1], told.errors
        assert len(told.errors) == 1  # before any work
    assert not list(tmp_path.iterdir())


def test_what_is_no_run_is_said_to_be_none(tmp_path: Path, command: Command) -> None:
    for verb in ("audit", "evaluate"):
        told = command(verb, tmp_path / "gone")
        assert told.code == 2 and told.errors[-1].startswith("crossbit: error: no run folder at"), told.errors


# --- the sheet ----------------------------------------------------------------------------------------------------


class Sheet(HTMLParser):
    """Scripts and ids of a page, and what it would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag == "script"
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts.append(data)


@pytest.mark.slow
def test_a_sheet_holds_all_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    monkeypatch.chdir(tmp_path)
    make_collection(Path("photos"), 80)
    run = ("--bits", "16", "--epochs", "1", "--set", "width=8", "--set", "steps=1", "--out", "run")
    assert command("train", "photos", "--noise", "swap-one:0.2", *run).code == 0
    assert command("audit", "run", "--html", "sheet.html", "--top", "5").code == 0
    sheet = Sheet(Path("sheet.html").read_text(encoding="utf-8"))
    held = json.loads(sheet.scripts[0])
    assert sheet.fetched == [] and len(held["items"]) == 5 and len(set(sheet.ids)) == len(sheet.ids)
    assert set(re.findall(r'\$\("([\w-]+)"\)', sheet.scripts[1])) <= set(sheet.ids)
    shown = {item["row"] for item in held["items"]} | {n["row"] for i in held["items"] for n in i["neighbours"]}
    assert set(held["pictures"]) == {str(row) for row in shown}
    assert all(value.startswith("data:image/png;base64,") for value in held["pictures"].values())


def test_what_stands_in_a_caption_is_no_markup(found: Audit) -> None:
    import dataclasses

    bad = "</script><script>alert(1)</script>"
    entries = [dataclasses.replace(entry, caption=bad) for entry in found.entries]
    sheet = Sheet(build_sheet(dataclasses.replace(found, entries=entries, data=bad)))
    assert len(sheet.scripts) == 2 and json.loads(sheet.scripts[0])["items"][0]["caption"] == bad


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_decisions_of_the_sheet_are_applied(found: Audit, place: Path, tmp_path: Path, command: Command) -> None:
    held = json.loads(Sheet(build_sheet(found, 4)).scripts[0])
    source = Path(audit_run.__code__.co_filename).parent / "templates" / "decisions.js"
    steps = """
const [a, b, c, d] = held.items;
const first = new Decisions(held, null);
first.decide(a, "accept"); first.decide(b, "keep"); first.decide(c, "accept"); first.decide(d, "accept");
if (first.undo() !== d.row || first.count !== 3) throw new Error("undo");
first.decide(c, "other", ["latin"]);
const again = new Decisions(held, JSON.parse(JSON.stringify(first.made)));
if (again.count !== 3 || new Decisions({ ...held, data: "other" }, first.made).count !== 0) throw new Error("stored");
process.stdout.write(again.lines());
"""
    script = tmp_path / "steps.js"
    script.write_text(f"{source.read_text()}\nconst held = {json.dumps(held)};\n{steps}")
    done = subprocess.run(["node", str(script)], capture_output=True, text=True, check=True)
    (tmp_path / "decisions.jsonl").write_text(done.stdout)
    first, second, third = found.suspects[:3]
    wanted = {first.row: first.suggested, second.row: second.observed, third.row: ["latin"]}
    assert repair(found, read_decisions(tmp_path / "decisions.jsonl", found)).labels == wanted
    told = command(
        "audit", place / "several", "--apply", tmp_path / "decisions.jsonl", "--out", tmp_path / "labels.csv"
    )
    assert told.code == 0 and "decisions: 1 accept, 1 keep, 1 other" in told.out


def test_a_single_class_stays_one(tmp_path: Path) -> None:
    data = toy()
    save_neutral(data, tmp_path / "one.npz")
    (tmp_path / "l.csv").write_text("row,labels\n30,arrow\n31,digit\n")
    made = relabelled(load_data(tmp_path / "one.npz"), tmp_path / "l.csv")
    assert made.told == 2 and made.data.label is not None and made.data.label.ndim == 1
    assert [data.label_names[c] for c in made.data.label[30:32]] == ["arrow", "digit"]  # type: ignore[index]
