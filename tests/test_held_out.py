"""The figures at the end of training: those of evaluation, beside untrained features and chance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossbit
import oracles
from crossbit.data import PairedData
from crossbit.evaluation import chance_level
from crossbit.training import held_out as module
from crossbit.training.floor import Floor
from crossbit.training.held_out import OVERLAP, PAIR, held_out
from tiny import TRAIN, Command, arrays, runner, vectors


def paired(**changes: Any) -> PairedData:
    held = arrays() | changes
    splits = {name: held[name] for name in ("train", "query", "retrieval")}
    return PairedData("toy", {m: held[m] for m in ("image", "text")}, held["label"], splits)


def trained(data: PairedData, **more: Any) -> Any:
    return crossbit.train(data, method="nrch", bits=16, epochs=1, settings={"width": 16}, progress=False, **more)


def test_the_runs_figures_are_those_of_evaluation() -> None:
    data = paired()
    model = trained(data)
    found = held_out(model, data)
    report = crossbit.evaluate(model, data, measures=[OVERLAP])
    assert found.run["mAP@all"] == report.map and [found.run[OVERLAP]] == list(report.figures.values())
    assert [found.run[PAIR]] == list(crossbit.evaluate(model, data, database="query", measures=[PAIR]).figures.values())
    query, items = data.label[data.splits["query"]], data.label[data.splits["retrieval"]]  # type: ignore[index]
    for way in report.map:
        assert found.chance["mAP@all"][way] == chance_level(query, items)
        alike = [np.mean([oracles.overlap(one, other) for other in items]) for one in query if (one @ items.T).any()]
        assert found.chance[OVERLAP][way] == pytest.approx(np.mean(alike), abs=1e-12)
        assert found.chance[PAIR][way] == 10 / 15
    assert found.floor.keys() == found.run.keys() and found.floor["mAP@all"].keys() == report.map.keys()
    assert found.protocol.startswith("15 held-out queries against 75 of the database")


def test_without_labels_own_pairs_are_left() -> None:
    data = paired(label=None)
    model = crossbit.train(data, method="ucch", bits=16, epochs=1, settings={"width": 16}, progress=False)
    found = held_out(model, data)
    assert list(found.run) == list(found.floor) == list(found.chance) == [PAIR]


def test_of_many_rows_some_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SIZES", {"query": 5, "retrieval": 20, "train": 30})
    data = paired()
    found = held_out(trained(data), data)
    assert "5 held-out queries against 20 of the database" in found.protocol and "on 30 pairs" in found.protocol
    assert found.chance[PAIR] == {"image->text": 1.0, "text->image": 1.0}  # ten first of five


def test_the_floor_is_the_method_of_its_name_on_the_same_features() -> None:
    held = vectors()
    data = paired(label=None, **{name: held[name] for name in ("image", "text", *module._SIZES)})
    as_is = {"image": "as-is", "text": "as-is"}
    model = crossbit.train(data, method="cca-itq", bits=16, features=as_is, progress=False)
    rows = data.splits["retrieval"]
    floor = Floor.fit({m: data[m][rows].astype(np.float32) for m in data.modalities}, 16, "hamming")
    one, other = ([each.embed(m, data[m].astype(np.float32)) for m in data.modalities] for each in (model, floor))
    for a in range(2):
        for b in range(2):  # equal but for a rotation of the space
            assert one[a] @ one[b].T == pytest.approx(other[a] @ other[b].T, abs=1e-4)


def test_more_features_than_pairs() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(40, 3))
    features = {m: (shared @ rng.normal(size=(3, 500))).astype(np.float32) for m in ("a", "b")}
    floor = Floor.fit({m: rows[:30] for m, rows in features.items()}, 16, "hamming")
    a, b = (floor.embed(m, rows[30:]) for m, rows in features.items())
    assert (np.argmax(a @ b.T / np.linalg.norm(b, axis=1), axis=1) == np.arange(10)).all()


@pytest.mark.slow
def test_train_prints_them_and_report_json_keeps_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command: Command = runner(capsys)
    np.savez(tmp_path / "toy.npz", **arrays())
    loud = [word for word in TRAIN if word != "--quiet"]
    ran = command("train", tmp_path / "toy.npz", "--out", tmp_path / "run", *loud)
    assert "floor" in ran.out and "held-out queries" in ran.out
    report = tmp_path / "run" / "report.json"
    kept = json.loads(report.read_text())["held_out"]
    assert set(kept["run"]) == {"mAP@all", OVERLAP, PAIR}
    assert command("evaluate", tmp_path / "run", "--ties", "index").code == 0
    assert json.loads(report.read_text())["held_out"] == kept
    quiet = command("train", tmp_path / "toy.npz", "--out", tmp_path / "quiet", *TRAIN)
    assert quiet.out == "" and json.loads((tmp_path / "quiet" / "report.json").read_text())["held_out"] == kept
