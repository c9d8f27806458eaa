"""The queue: what counts at once, what is undone, what another process reads, and the way back into training."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from crossbit.audit import audit_run
from crossbit.audit.decisions import read_decisions, repair
from crossbit.audit.opening import STEPS
from crossbit.audit.queue import AuditQueue, Choice
from crossbit.audit.seen import read_seen
from crossbit.data.noise import corrupt
from crossbit.errors import UserError
from crossbit.posterior.regression import fit_exact
from test_audit import LOOK, NRCH, UCCH, run_of, toy
from tiny import Command, runner

pytestmark = pytest.mark.slow


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("queue")
    run_of(folder, "several", toy(several=True), LOOK, noise="swap-one:0.3")
    run_of(folder, "single", toy(), NRCH, noise="flip:0.3")
    return folder


@pytest.fixture(params=["several", "single"])
def run(request: pytest.FixtureRequest, place: Path) -> Path:
    """A run without decisions."""
    folder: Path = place / request.param
    (folder / "decisions.jsonl").unlink(missing_ok=True)
    return folder


def truth_of(run: Path) -> list[list[str]]:
    data = toy(several=run.name == "several")
    label = np.asarray(data.label)
    hot = label if label.ndim == 2 else np.eye(5)[label]
    assert data.label_names is not None
    return [[data.label_names[c] for c in np.flatnonzero(row)] for row in hot]


def told(queue: AuditQueue, top: int = 20) -> list[dict[str, Any]]:
    return list(queue.view(top)["queue"])


def answer(queue: AuditQueue, truth: list[list[str]], many: int) -> None:
    """A person who knows: accept where the proposal is right, keep where the labels are, else others."""
    for _ in range(many):
        (first,) = told(queue, 1)
        right = truth[first["row"]]
        kinds = {"accept": first["proposed"], "keep": first["given"]}
        kind = next((kind for kind, labels in kinds.items() if set(labels) == set(right)), "other")
        queue.decide([Choice(first["row"], kind, right if kind == "other" else ())])


def test_it_begins_with_the_suspects_of_the_audit(run: Path) -> None:
    queue, found = AuditQueue.open(run), audit_run(run)
    view = queue.view(1000)
    assert {one["row"] for one in view["queue"]} == {entry.row for entry in found.suspects}
    assert view["in_all"] == len(found.suspects) and not view["can_undo"] and view["decided"] == 0
    entries = {entry.row: entry for entry in found.suspects}
    for one in view["queue"]:
        entry = entries[one["row"]]
        assert (one["given"], one["proposed"], one["reason"]) == (entry.observed, entry.suggested, entry.reason)
        assert one["p"] == pytest.approx(entry.probability, abs=1e-5)
        assert [near["row"] for near in one["neighbours"]] == [near.row for near in entry.neighbours]
    order = [(set(one["given"]) != set(one["proposed"]), one["gain"]) for one in view["queue"]]
    assert order == sorted(order, reverse=True)
    by_evidence = [one["row"] for one in queue.view(1000, order="evidence")["queue"]]
    assert by_evidence[:10] == [entry.row for entry in found.suspects[:10]]


def test_an_opening_says_which_step_it_is_at(run: Path) -> None:
    lines: list[str] = []
    AuditQueue.open(run, progress=lines.append)
    assert [line.partition(": ")[0] for line in lines] == [f"step {n} of {STEPS}" for n in range(1, STEPS + 1)]


def test_a_decision_counts_at_once_and_another_process_reads_the_same_queue(run: Path) -> None:
    queue, truth = AuditQueue.open(run), truth_of(run)
    before = queue.wrong_left
    other = AuditQueue.open(run)
    answer(queue, truth, 12)
    rows = [decision.row for act in queue.log.acts for decision in act.decisions]
    assert queue.decided == 12 and queue.wrong_left < before
    assert not {one["row"] for one in told(queue, 1000)} & set(rows)
    fresh = AuditQueue.open(run)
    assert fresh.view(1000) == queue.view(1000) == other.view(1000)  # to the last digit


def test_undo_gives_back_the_queue_of_before(run: Path) -> None:
    queue, truth = AuditQueue.open(run), truth_of(run)
    views = [queue.view(1000)]
    for _ in range(3):
        answer(queue, truth, 1)
        views.append(queue.view(1000))
    for view in reversed(views[:-1]):
        queue.undo()
        assert queue.view(1000) == view
    with pytest.raises(UserError, match="there is no decision to undo"):
        queue.undo()
    assert AuditQueue.open(run).view(1000) == views[0]
    assert len((run / "decisions.jsonl").read_text().splitlines()) == 6  # nothing is taken out of the log


def test_corrected_labels_move_the_other_rows_as_estimating_does(run: Path) -> None:
    queue = AuditQueue.open(run)
    answer(queue, truth_of(run), 5)
    view, names = read_seen(run).view, queue.seen.names
    labels = view.observed().double()
    for act in queue.log.acts:
        for decision in act.decisions:
            row = view.rows.tolist().index(decision.row)
            labels[row] = torch.tensor([float(name in decision.labels) for name in names])
    labelled = labels.any(1)
    features = {modality: x[labelled].double() for modality, x in view.features.items()}
    first, model = queue._first.posterior, next(iter(queue._first.posterior.noise.values()))
    assert first.kernel is not None and first.ridge is not None
    fit = fit_exact(features, labels[labelled], first.kernel, first.ridge)
    wanted, corrupted, evidence = model.posterior(model.logits(fit.left_out), labels[labelled])
    wanted = model.prior(model.to_logits(wanted))
    found = torch.from_numpy(queue._source.of_rows(np.arange(len(wanted))))
    assert torch.allclose(found, wanted, rtol=0, atol=1e-9)
    assert torch.allclose(torch.from_numpy(queue._source.corrupted), corrupted, rtol=0, atol=1e-9)
    assert torch.allclose(torch.from_numpy(queue._source.evidence), evidence, rtol=1e-9, atol=1e-9)
    assert (evidence - next(iter(first.evidence.values()))).abs().max() > 1e-3


def test_a_range_is_one_decision_about_one_label(place: Path) -> None:
    run = place / "several"
    (run / "decisions.jsonl").unlink(missing_ok=True)
    queue = AuditQueue.open(run)
    first = queue.view()["ranges"][0]
    assert first["right"] == max(one["right"] for one in queue.view()["ranges"])
    shown = {one["row"]: one for one in queue.view(1000, label=first["label"])["queue"]}
    assert all(shown[row]["has"] == first["has"] and shown[row]["p"] >= 0.9 for row in first["rows"])
    before = {row: set(shown[row]["given"]) for row in first["rows"]}
    queue.decide([Choice(row, "accept", about=first["label"]) for row in first["rows"]])
    assert queue.decided == 1 and len((run / "decisions.jsonl").read_text().splitlines()) == 1
    shown = {one["row"]: one for one in queue.view(1000, label=first["label"])["queue"]}
    after = {row: set(shown[row]["given"]) if row in shown else before[row] - {first["label"]} for row in first["rows"]}
    assert all(before[row] ^ after[row] == {first["label"]} for row in first["rows"])
    assert all(
        one["label"] != first["label"] or one["has"] != first["has"] or not set(one["rows"]) & set(first["rows"])
        for one in queue.view()["ranges"]
    )
    assert queue.view()["trust"] == {"above": 0.9, "asked": len(first["rows"]), "right": len(first["rows"])}
    queue.undo()
    assert queue.decided == 0 and queue.view()["ranges"][0] == first


def test_a_kept_label_counts_as_right_and_the_others_stay_open(place: Path) -> None:
    run = place / "several"
    (run / "decisions.jsonl").unlink(missing_ok=True)
    queue = AuditQueue.open(run)
    first = queue.view()["ranges"][0]
    row = first["rows"][0]
    left = queue.wrong_left
    queue.decide([Choice(row, "keep", about=first["label"])])
    assert queue.wrong_left == pytest.approx(left - queue.log.acts[0].decisions[0].p, abs=1e-6)
    (one,) = [one for one in queue.view(1000, label=first["label"])["queue"] if one["row"] == row] or [None]
    assert one is None or (one["p"] == 0 and one["settled"])


def test_the_log_is_what_apply_reads_and_export_writes_the_same(run: Path, command: Command, tmp_path: Path) -> None:
    queue, truth = AuditQueue.open(run), truth_of(run)
    answer(queue, truth, 4)
    queue.undo()
    ranges = queue.view()["ranges"]
    queue.decide([Choice(row, "accept", about=ranges[0]["label"]) for row in ranges[0]["rows"]])
    exported, applied, again = tmp_path / "exported.csv", tmp_path / "applied.csv", tmp_path / "again"
    changed = queue.export(exported)
    with open(run / "decisions.jsonl", "a") as file:
        file.write('{"data": "torn')  # a program was killed
    done = command("audit", run, "--apply", run / "decisions.jsonl", "--out", applied)
    assert done.code == 0 and any("torn and left out" in line for line in done.errors)
    assert exported.read_text() == applied.read_text() and f"{changed:,} of " in done.out
    found = audit_run(run)
    assert repair(found, read_decisions(run / "decisions.jsonl", found)).changed == changed
    with pytest.raises(UserError, match="exists already"):
        queue.export(exported)
    with pytest.raises(UserError, match=r"must end in \.csv"):
        queue.export(tmp_path / "labels.parquet")
    small = ("--method", "nrch", "--epochs", "1", "--set", "width=8", "--bits", "8", "--quiet")
    trained = command("train", f"{run}.npz", "--labels", exported, *small, "--out", again)
    assert trained.code == 0, trained.errors
    with open(exported, newline="") as file:
        lines = list(csv.DictReader(file))
    held = {int(line["row"]): line["labels"].split("; ") for line in lines}
    marked = [line for line in lines if line["changed"] == "yes"]
    assert len(marked) == changed and all(line["labels"] != line["given"] for line in marked)
    assert all(line["labels"] == line["given"] for line in lines if not line["changed"])
    rows = [decision for act in queue.log.acts for decision in act.decisions]
    assert all(set(held[one.row]) == set(one.labels) for one in rows)
    assert {int(line["row"]): line["decided"] for line in lines if line["decided"]} == {
        one.row: one.kind for one in rows
    }


def test_a_label_that_is_new_is_logged_undone_and_exported(run: Path, command: Command, tmp_path: Path) -> None:
    queue = AuditQueue.open(run)
    first, second = (row["row"] for row in told(queue, 2))
    with pytest.raises(UserError, match="unknown label 'klingon'"):
        queue.decide([Choice(first, "other", ["klingon"])])
    queue.decide([Choice(first, "other", ["klingon"], new=["klingon"])])
    queue.decide([Choice(second, "other", ["klingon"])])  # by now it is known
    assert queue.view(0)["new"] == ["klingon"] and queue.view(0)["names"] == queue.seen.names
    again = AuditQueue.open(run)
    for each in (queue, again):
        row = each.row(first)
        assert (row["given"], row["proposed"]) == (["klingon"], ["klingon"])
        assert {first, second}.isdisjoint(one["row"] for one in told(each, 1000))
    again.decide([Choice(first, "keep", ["klingon"])])  # as it was seen
    queue.undo()
    lines = [json.loads(line) for line in (run / "decisions.jsonl").read_text().splitlines()]
    assert [line.get("new") for line in lines] == [["klingon"], ["klingon"], ["klingon"], None]
    exported, applied = tmp_path / "exported.csv", tmp_path / "applied.csv"
    queue.export(exported)
    with open(exported, newline="") as file:
        held = {int(line["row"]): line["labels"] for line in csv.DictReader(file)}
    assert held[first] == held[second] == "klingon"
    assert command("audit", run, "--apply", run / "decisions.jsonl", "--out", applied).code == 0
    assert exported.read_text() == applied.read_text()
    small = ("--method", "look", "--epochs", "1", "--bits", "8")
    trained = command("train", f"{run}.npz", "--labels", exported, *small, "--out", tmp_path / "again")
    assert trained.code == 0 and any("left out: 'klingon' (2 rows)" in line for line in trained.errors)
    queue.undo()
    queue.undo()
    assert queue.view(0)["new"] == [] and queue.decided == 0
    with pytest.raises(UserError, match="unknown label 'klingon'"):
        queue.decide([Choice(second, "other", ["klingon"])])


def test_decisions_count_in_the_run_that_was_trained_on_them(run: Path, command: Command, tmp_path: Path) -> None:
    """Its folder is given the log of the run before."""
    queue, truth = AuditQueue.open(run), truth_of(run)
    first = told(queue, 1)[0]["row"]
    queue.decide([Choice(first, "keep")])
    queue.decide([Choice(first, "other", ["klingon"], new=["klingon"])])
    queue.decide([Choice(first, "other", truth[first])])  # decided three times
    answer(queue, truth, 5)
    decided = {one.row for act in queue.log.acts for one in act.decisions}
    queue.export(tmp_path / "labels.csv")
    again, small = tmp_path / "again", ("--method", "look", "--epochs", "1", "--bits", "8")
    assert command("train", f"{run}.npz", "--labels", tmp_path / "labels.csv", *small, "--out", again).code == 0
    before = AuditQueue.open(again)
    assert before.decided == 0
    (again / "decisions.jsonl").write_bytes((run / "decisions.jsonl").read_bytes())
    after = AuditQueue.open(again)
    assert after.decided == queue.decided and after.view(0)["settled"] == len(decided)
    assert decided.isdisjoint(one["row"] for one in told(after, 1000))
    assert all(set(after.row(row)["given"]) == set(truth[row]) for row in decided)
    after.export(tmp_path / "twice.csv")
    texts = [(tmp_path / f"{name}.csv").read_text().splitlines() for name in ("labels", "twice")]
    one, two = ({line["row"]: set(line["labels"].split("; ")) for line in csv.DictReader(text)} for text in texts)
    assert one == two
    found = audit_run(again)
    assert {one.row for one in read_decisions(again / "decisions.jsonl", found)} == decided


@pytest.mark.parametrize(
    ("choices", "wrong"),
    [
        ([], "nothing to decide"),
        ([Choice(0, "keep")], "row 0 is no labelled training row"),
        ([Choice(30, "keep"), Choice(30, "accept")], "row 30 is named twice"),
        ([Choice(30, "agree")], "unknown kind of decision 'agree'"),
        ([Choice(30, "other", ["hebrw"])], "did you mean 'hebrew'"),
        ([Choice(30, "other", [])], "row 30 would have no label"),
        ([Choice(30, "other", ["Hebrew"], new=["Hebrew"])], "only by case; take 'hebrew'"),
        ([Choice(30, "other", [" "], new=[" "])], "a new label is a line of text"),
        ([Choice(30, "accept", about="klingon")], "unknown label 'klingon'"),
    ],
)
def test_what_cannot_be_decided_is_refused_and_not_written(run: Path, choices: list[Choice], wrong: str) -> None:
    queue = opened(run)
    with pytest.raises(UserError, match=wrong):
        queue.decide([Choice(31, "keep"), *choices] if choices else [])
    assert queue.decided == 0 and not (run / "decisions.jsonl").exists()


HELD: dict[Path, AuditQueue] = {}


def opened(run: Path) -> AuditQueue:
    """One queue for all that is refused."""
    if run not in HELD:
        HELD[run] = AuditQueue.open(run)
    return HELD[run]


def test_several_labels_where_rows_have_one_are_refused(place: Path) -> None:
    with pytest.raises(UserError, match="row 30 gets 2 labels; each row has one class"):
        opened(place / "single").decide([Choice(30, "other", ["greek", "latin"])])


@pytest.mark.parametrize(
    ("more", "wrong"),
    [({"top": -1}, "top is -1"), ({"label": "klingon"}, "unknown label"), ({"order": "p"}, "unknown order")],
)
def test_views_that_are_not_there(place: Path, more: dict[str, Any], wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        opened(place / "single").view(**more)


def test_decisions_about_other_data_are_refused(run: Path) -> None:
    line = {"data": "another", "row": 30, "decision": "keep", "observed": ["greek"], "labels": ["greek"]}
    (run / "decisions.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(UserError, match="it is about other data"):
        AuditQueue.open(run)


def test_near_duplicates_with_the_same_labels_are_settled_together(tmp_path: Path) -> None:
    data = toy(several=True)
    held = {m: x.copy() for m, x in data.modalities.items()}
    label = np.asarray(data.label).copy()
    copies = np.arange(40, 44)
    for x in held.values():
        x[copies] = x[40]
    label[copies] = label[40]
    given, group = label.copy(), np.arange(data.n)
    given[[*copies, 60]] = 1 - label[[*copies, 60]]  # the copies have all the same wrong labels
    group[copies] = 40
    changed = data.replace(modalities=held, label=label, observed_label=given, group=group)
    run = run_of(tmp_path, "copies", changed, UCCH)
    queue = AuditQueue.open(run)
    first = next(one for one in told(queue, 1000) if one["row"] in copies)
    assert {first["row"], *first["alike"]} == set(copies.tolist()) and first["family"] == 3
    alone = next(one for one in told(queue, 1000) if one["row"] == 60)
    assert first["gain"] > 2 * alone["gain"]


def test_one_modality_and_no_labels_and_labels_of_each_modality(tmp_path: Path) -> None:
    data = toy()
    given, _ = corrupt(np.asarray(data.label), "flip:0.3", 0, classes=5)
    one = data.replace(modalities={"image": data["image"]}, observed_label=given)
    queue = AuditQueue.open(run_of(tmp_path, "one", one, {"method": "random"}))
    assert len(told(queue)) == 20 and told(queue)[0]["reason"].count("nearest by") == 1
    each = run_of(tmp_path, "each", toy(), NRCH | {"method": "mrl", "settings": {}}, noise="flip:0.3:each")
    with pytest.raises(UserError, match="labels for each modality"):
        AuditQueue.open(each)
    none = run_of(tmp_path, "none", toy(label=None), UCCH)
    with pytest.raises(UserError, match="has no labels"):
        AuditQueue.open(none)
