"""Audits of small runs: what was injected is found, reasons tell true counts, all ways out say the same."""

from __future__ import annotations

import codecs
import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import crossbit.audit as audits
from crossbit.audit import COLUMNS, Audit, audit_run
from crossbit.audit.kept import kept_posterior
from crossbit.audit.neighbours import count_neighbours
from crossbit.audit.neighbours import nearest as nearest_rows
from crossbit.audit.seen import read_seen
from crossbit.data import PairedData, load_data
from crossbit.data.neutral import save_neutral
from crossbit.data.noise import corrupt
from crossbit.model import load_model
from crossbit.training import train
from tiny import Command, Ran, runner

CLASSES, QUERIES = 5, 20
NRCH: dict[str, Any] = {"method": "nrch", "epochs": 1, "settings": {"width": 8}}
LOOK: dict[str, Any] = {"method": "look", "epochs": 1, "settings": {"width": 8, "steps": 1}}
UCCH: dict[str, Any] = {"method": "ucch", "epochs": 1, "settings": {"width": 8, "negatives": 16}}


def toy(n: int = 240, *, several: bool = False, seed: int = 0, **changes: Any) -> PairedData:
    """Two modalities of vectors that show the labels, one a row or several; a fifth of the database is not labelled."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(CLASSES, size=n)
    label = np.eye(CLASSES, dtype=np.uint8)[kind]
    if several:
        label = np.maximum(label, (rng.random(label.shape) < 0.25).astype(np.uint8))
        label[label.all(1), 0] = 0
    held = {
        m: (label @ rng.normal(size=(CLASSES, dim)) + 0.4 * rng.normal(size=(n, dim))).astype(np.float32)
        for m, dim in (("image", 8), ("text", 6))
    }
    labelled = np.arange(QUERIES, n - n // 5)
    splits = {"query": np.arange(QUERIES), "train": labelled, "retrieval": np.arange(QUERIES, n)}
    names = ["greek", "hebrew", "latin", "arrow", "digit"]
    caption = np.array([f"number {row}" for row in range(n)])
    given = {"label": label if several else kind, "label_names": names, "caption": caption, **changes}
    return PairedData("toy", held, splits=splits, **given)


def run_of(folder: Path, name: str, data: PairedData, settings: dict[str, Any], **more: Any) -> Path:
    """A run of data that lie beside it."""
    save_neutral(data, folder / f"{name}.npz")
    found = load_data(str(folder / f"{name}.npz")).replace(name=str(folder / f"{name}.npz"))
    train(found, **settings, **more, bits=8, out=folder / name, progress=False)
    return folder / name


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs; tests only add to it."""
    folder = tmp_path_factory.mktemp("audit")
    run_of(folder, "single", toy(), NRCH, noise="flip:0.3")
    run_of(folder, "several", toy(several=True), LOOK, noise="swap-one:0.3")
    return folder


@pytest.fixture(scope="module")
def single(place: Path) -> Audit:
    return audit_run(place / "single")


@pytest.fixture(scope="module")
def several(place: Path) -> Audit:
    return audit_run(place / "several")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


def judged(found: Audit) -> list[Any]:
    return [entry for entry in found.entries if entry.probability is not None]


def area(found: Audit) -> float:
    """Of the probability, against the noise that the run injected."""
    entries = judged(found)
    return float(roc_auc_score([entry.injected for entry in entries], [entry.probability for entry in entries]))


# --- what is found --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_injected_noise_is_ranked_first(single: Audit) -> None:
    data = toy()
    rows = [entry.row for entry in single.entries]
    assert sorted(rows) == data.splits["train"].tolist()
    assert [entry.rank for entry in single.entries] == list(range(1, len(rows) + 1))
    evidence = [entry.evidence for entry in single.entries]
    assert evidence == sorted(evidence, reverse=True)  # no two rows are alike
    assert area(single) > 0.97
    assert single.kind == "flip" and abs(single.rate - np.mean([e.injected for e in single.entries])) < 0.07


def test_injected_is_what_differs_from_the_truth(single: Audit) -> None:
    data = toy()
    for entry in single.entries:
        truth = data.label_names[data.label[entry.row]]  # type: ignore[index]
        assert entry.injected == (entry.observed != [truth])
        assert entry.caption == f"number {entry.row}"


def test_suggested_labels_are_mostly_the_true_ones(single: Audit) -> None:
    data = toy()
    wrong = [entry for entry in single.entries if entry.injected]
    right = [entry.suggested == [data.label_names[data.label[entry.row]]] for entry in wrong]  # type: ignore[index]
    assert len(wrong) > 20 and np.mean(right) > 0.9


def test_labels_in_doubt_are_those_that_the_posterior_speaks_against(single: Audit) -> None:
    for entry in single.entries:
        if entry.wrong:
            ((label, probability),) = entry.wrong
            assert [label] == entry.observed and probability == pytest.approx(entry.probability, abs=1e-6)
            assert probability > 0.5
        for label, probability in entry.missing:
            assert label not in entry.observed and [label] == entry.suggested and probability > 0.5
    assert any(entry.missing for entry in single.entries)


def test_classes_add_up(single: Audit) -> None:
    given = {one.label: one.given for one in single.classes}
    assert given == {name: sum(entry.observed == [name] for entry in single.entries) for name in given}
    expected = sum(entry.probability for entry in judged(single))
    assert sum(one.given * (one.wrong or 0) for one in single.classes) == pytest.approx(expected)
    assert sum(one.missing for one in single.classes) == pytest.approx(expected)
    shares = [one.wrong for one in single.classes]
    assert shares == sorted(shares, reverse=True)


def test_several_labels_a_row(several: Audit) -> None:
    assert area(several) > 0.9
    data = toy(several=True)
    names = np.array(data.label_names)
    found = lost = 0
    for entry in several.entries:
        truth = set(names[data.label[entry.row] > 0])  # type: ignore[index]
        found += sum(label not in truth for label, _ in entry.wrong) + sum(label in truth for label, _ in entry.missing)
        lost += len(entry.wrong) + len(entry.missing)
    assert lost > 30 and found / lost > 0.9


@pytest.mark.slow
def test_what_a_run_kept_is_used_and_is_what_would_be_computed(
    place: Path, several: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kept_posterior(read_seen(place / "several")) is not None
    monkeypatch.setattr(audits, "kept_posterior", lambda seen: None)
    anew = audit_run(place / "several")
    assert anew.words == several.words and anew.kind == several.kind
    kept = {entry.row: entry for entry in several.entries}
    for entry in anew.entries:
        assert entry.probability == pytest.approx(kept[entry.row].probability, abs=1e-6)
        assert (entry.suggested, entry.reason) == (kept[entry.row].suggested, kept[entry.row].reason)
        near, other = entry.neighbours, kept[entry.row].neighbours
        assert [one.row for one in near] == [one.row for one in other]
        assert [one.weight for one in near] == pytest.approx([one.weight for one in other], abs=1e-9)


def test_a_run_that_kept_no_scales_has_them_from_its_rows(place: Path) -> None:
    seen = read_seen(place / "several")
    scales = seen.model.history[0].pop("scales")
    held = kept_posterior(seen)
    assert held is not None and held.kernel is not None
    assert held.kernel.scales == pytest.approx(scales, rel=1e-9)  # of few rows all are drawn


@pytest.mark.slow
def test_another_posterior_is_not_taken_for_it(tmp_path: Path) -> None:
    settings = LOOK | {"settings": LOOK["settings"] | {"kernel": "text"}}
    run = run_of(tmp_path, "text", toy(), settings)
    assert "probability" in load_model(run).rows and kept_posterior(read_seen(run)) is None
    run = run_of(tmp_path, "cut", toy(), LOOK, validation=0.2)
    seen = read_seen(run)
    assert kept_posterior(seen) is None
    assert sorted(seen.view.rows) == toy().splits["retrieval"].tolist()  # validation rows are judged, too
    assert set(np.flatnonzero(seen.view.observed().any(1))) == set(
        np.flatnonzero(np.isin(seen.view.rows, toy().splits["train"]))
    )


@pytest.mark.slow
def test_a_method_without_labels_is_audited_by_those_of_the_data(tmp_path: Path) -> None:
    data = toy()
    observed, mask = corrupt(np.asarray(data.label), "flip:0.3", 3)
    found = audit_run(run_of(tmp_path, "blind", data.replace(observed_label=observed), UCCH))
    entries = judged(found)
    assert {entry.injected for entry in entries} == {None}  # the run changed nothing
    assert roc_auc_score([mask[e.row] for e in entries], [e.probability for e in entries]) > 0.95


@pytest.mark.slow
def test_labels_of_each_modality(tmp_path: Path) -> None:
    settings = {"method": "mrl", "epochs": 1, "settings": {"width": 8}}
    found = audit_run(run_of(tmp_path, "each", toy(), settings, noise="flip:0.3:each"))
    stored = np.load(tmp_path / "each" / "data.npz")
    assert len(found.entries) == 2 * len(toy().splits["train"])
    for modality in ("image", "text"):
        entries = [entry for entry in found.entries if entry.modality == modality]
        assert [e.injected for e in entries] == [stored[f"changed_label_{modality}"][e.row] for e in entries]
        assert roc_auc_score([e.injected for e in entries], [e.probability for e in entries]) > 0.97
    assert {one.modality for one in found.classes} == {"image", "text"}


@pytest.mark.slow
def test_wrong_pairs(tmp_path: Path) -> None:
    found = audit_run(run_of(tmp_path, "pairs", toy(400), LOOK, noise="shuffle-pairs:0.3"))
    stored = np.load(tmp_path / "pairs" / "data.npz")
    partner = dict(zip(stored["rows"], stored["rows"][stored["pairing"]], strict=True))
    assert all(entry.partner == partner[entry.row] for entry in found.entries)
    wrong = [entry.partner != entry.row for entry in found.entries]
    assert roc_auc_score(wrong, [entry.wrong_pair for entry in found.entries]) > 0.85
    worst = found.pairs[:30]
    assert np.mean([entry.partner != entry.row for entry in worst]) > 0.9
    assert any(entry.probability is None for entry in found.pairs)  # rows without labels have pairs, too
    assert abs(found.wrong_pairs - np.mean(stored["pairing"] != np.arange(len(stored["rows"])))) < 0.1
    assert all(re.fullmatch(r"(of its 10 nearest by \w+ \d+ (has|have) `\w+`(; )?){2}", e.pair_reason) for e in worst)


# --- reasons --------------------------------------------------------------------------------------------------------


def nearest(x: np.ndarray, row: int, others: list[int]) -> list[int]:
    """The ten nearest, by loops."""
    return sorted(others, key=lambda other: sum((a - b) ** 2 for a, b in zip(x[row], x[other], strict=True)))[:10]


def scaled(data: PairedData, modality: str) -> np.ndarray:
    """What training takes of vectors: each column with mean 0 and deviation 1 over the rows that are no queries."""
    x, rows = data[modality].astype(np.float64), np.union1d(data.splits["train"], data.splits["retrieval"])
    return (x - x[rows].mean(0)) / x[rows].std(0)


def test_reasons_tell_what_the_neighbours_carry(place: Path, single: Audit) -> None:
    data, observed = toy(), np.load(place / "single" / "data.npz")["observed_label"]
    names = data.label_names or []
    told = [entry for entry in single.entries if entry.reason]
    assert len(told) >= len(single.suspects) > 20
    form = r"given `(\w+)`; of its 10 nearest by image (\d+) ha(?:s|ve) it, (\d+) ha(?:s|ve) `(\w+)`; "
    form += r"by text (\d+) and (\d+)"
    for entry in told[:10] + told[-3:]:
        match = re.fullmatch(form, entry.reason)
        assert match, entry.reason
        given, other = match[1], match[4]
        assert [given] == entry.observed
        for modality, numbers in (("image", (match[2], match[3])), ("text", (match[5], match[6]))):
            others = [row for row in data.splits["train"].tolist() if row != entry.row]
            carried = [names[observed[row]] for row in nearest(scaled(data, modality), entry.row, others)]
            assert tuple(map(int, numbers)) == (carried.count(given), carried.count(other))


def test_near_duplicates_are_no_neighbours_of_each_other() -> None:
    rng = np.random.default_rng(0)
    x, label, groups = rng.normal(size=(40, 2)), rng.integers(2, size=(40, 3)), rng.integers(12, size=40)
    label[:4] = 0
    rows = np.arange(20)
    found = count_neighbours(nearest_rows(x, np.flatnonzero(label.any(1)), rows, groups), label)
    for row in rows:
        others = [r for r in range(40) if groups[r] != groups[row] and label[r].any()]
        near = nearest(x, row, others)
        assert found.of[row] == 10
        assert found.carry[row].tolist() == label[near].sum(0).tolist()


def test_fewer_neighbours_than_ten_are_all_counted() -> None:
    near = nearest_rows(np.arange(4.0)[:, None], np.arange(4), np.arange(4))
    found = count_neighbours(near, np.eye(2)[[0, 1, 1, 0]])
    assert found.of.tolist() == [3] * 4 and found.carry.tolist() == [[1, 2], [2, 1], [2, 1], [1, 2]]


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_table_json_csv_and_parquet_say_the_same(place: Path, single: Audit, command: Command) -> None:
    told = command("audit", place / "single", "--top", "3", "--csv", place / "rows.csv")
    assert told.code == 0 and "look wrong" in told.out
    assert single.suspects[0].reason.split("; ")[1] in told.out
    as_json = command("audit", place / "single", "--top", "3", "--json")
    value = json.loads(as_json.out)
    assert as_json.code == 0 and len(value["suspects"]) == 3 and value["labelled"] == len(single.entries)
    assert value["suspects_in_all"] == len(single.suspects) and value["rate"] == pytest.approx(single.rate)
    with duckdb.connect() as connection:
        table = connection.read_parquet(value["file"])
        assert table.columns == list(COLUMNS)
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in table.order("rank").fetchall()]
    assert rows[:3] == value["suspects"] and len(rows) == len(single.entries)
    assert (place / "rows.csv").read_bytes().startswith(codecs.BOM_UTF8)  # else Excel takes it for another encoding
    with open(place / "rows.csv", newline="", encoding="utf-8-sig") as file:
        written = list(csv.DictReader(file))
    for row, line, entry in zip(rows, written, single.entries, strict=True):
        assert (line["row"], line["reason"], line["observed"]) == (str(row["row"]), row["reason"], row["observed"][0])
        assert float(line["probability"]) == row["probability"] == entry.probability
        doubts = [f"{one['label']} {one['probability']:.4f}" for one in row["wrong"]]
        assert line["wrong"].split("; ") == (doubts or [""])
    assert sorted(p.name for p in (place / "single").iterdir() if p.name.startswith((".", "audit"))) == [
        "audit.parquet"
    ]


@pytest.mark.slow
def test_an_audit_is_made_again_over_the_old_one(place: Path, command: Command) -> None:
    (place / "single" / "audit.parquet").write_text("old")
    assert command("audit", place / "single").code == 0
    with duckdb.connect() as connection:
        assert connection.read_parquet(str(place / "single" / "audit.parquet")).columns == list(COLUMNS)


@pytest.mark.slow
def test_a_run_that_cannot_be_written_is_audited_all_the_same(place: Path, tmp_path: Path, command: Command) -> None:
    shutil.copytree(place / "single", tmp_path / "run")
    (tmp_path / "run" / "audit.parquet").unlink(missing_ok=True)
    (tmp_path / "run" / "audit.parquet").mkdir()  # in the file's place, so that root cannot write it either
    told = command("audit", tmp_path / "run", "--csv", tmp_path / "rows.csv")
    assert told.code == 0 and "look wrong" in told.out and f"rows: {tmp_path / 'rows.csv'}" in told.out
    assert any("audit.parquet" in line and "cannot write" in line for line in told.errors)
    assert json.loads(command("audit", tmp_path / "run", "--json").out)["file"] is None


def test_too_few_labels_are_taken_as_they_are(tmp_path: Path, command: Command) -> None:
    data = toy()
    splits = data.splits | {"train": data.splits["train"][:6]}
    told = command("audit", run_of(tmp_path, "few", data.replace(splits=splits), LOOK))
    assert told.code == 0 and "too few" in told.out and "no row's labels are worth a look" in told.out


def refused(told: Ran, words: str) -> None:
    assert told.code == 2 and told.out == ""
    mistakes = [line for line in told.errors if line.startswith("crossbit: error: ")]
    assert len(mistakes) == 1 and mistakes[0] == told.errors[-1] and words in mistakes[0]


def test_mistakes_end_in_one_line(place: Path, tmp_path: Path, command: Command) -> None:
    refused(command("audit", place / "nothing"), "no run folder")
    refused(command("audit", place / "single", "--top", "0"), "--top is 0")
    refused(command("audit", place / "single", "--json", "--csv", tmp_path / "x.csv"), "one of them")
    (tmp_path / "there.csv").write_text("kept")
    refused(command("audit", place / "single", "--csv", tmp_path / "there.csv"), "exists already")
    load_model(place / "single").save(tmp_path / "alone")
    refused(command("audit", tmp_path / "alone"), "saved model")
    np.savez(tmp_path / "alone" / "data.npz", train=np.arange(3))
    refused(command("audit", tmp_path / "alone"), "lacks rows, pairing, query, retrieval")
    save_neutral(toy(300), tmp_path / "other.npz")
    refused(command("audit", place / "single", "--data", tmp_path / "other.npz"), "other splits")


@pytest.mark.slow
def test_a_modality_that_the_run_does_not_take_needs_no_labels(tmp_path: Path) -> None:
    data = toy()
    data = data.replace(label=None, modality_label=dict.fromkeys(data.modalities, data.label))
    train(data, **UCCH, bits=8, out=tmp_path / "run", progress=False)
    more = data.replace(modalities=data.modalities | {"sound": np.zeros((data.n, 2), np.float32)})
    assert len(audit_run(tmp_path / "run", more).entries) == len(audit_run(tmp_path / "run", data).entries)


def test_without_labels_there_is_nothing_to_audit(tmp_path: Path, command: Command) -> None:
    data = toy(label=None, label_names=None)
    refused(command("audit", run_of(tmp_path, "none", data, UCCH)), "has no labels")
    label = np.zeros((240, 3), np.uint8)
    label[:QUERIES, 0] = 1
    data = toy(label=label, label_names=None)
    refused(command("audit", run_of(tmp_path, "bare", data, UCCH)), "no labels in its training rows")
    (tmp_path / "bare.npz").unlink()
    refused(command("audit", tmp_path / "bare"), "--data DATA")
