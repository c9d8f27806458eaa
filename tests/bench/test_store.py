"""What a bench's folder holds, written and read back."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from crossbit.bench.work.store import (
    Result,
    drop_weights,
    load_curves,
    load_per_query,
    load_results,
    read_result,
    run_folder,
    write_figures,
    write_per_query,
    write_result,
)
from crossbit.errors import UserError
from crossbit.storage.files import read_json, write_json

MEASURE = "mAP@all(ties=expected, empty=skip)"
FIGURES = [
    {"database": "retrieval", "direction": way, "measure": MEASURE, "value": value}
    for way, value in (("image->text", 0.1 + 0.2), ("text->image", 1e-17))
]
DONE = Result(
    id="toy-nrch-64-swap-one_0.5-s0-0",
    status="done",
    reason="",
    data="toy",
    method="nrch",
    variant="",
    settings={"width": 16, "form": "paper"},
    bits=64,
    noise="swap-one",
    rate=0.5,
    each=False,
    seed=2**40,
    epochs=3,
    selection='last epoch, "as, it" is',
    seconds={"train": 1.5, "encode": 0.5, "search": 0.25, "evaluate": 2.0},
    figures=FIGURES,
    history=[{"epoch": 1, "loss": 0.5, "seconds": 0.5}],
    machine={"threads": 1},
)
FAILED = replace(
    DONE, id="toy-nrch-64-none-s1-1", status="failed", reason="no\nmemory", epochs=None, seconds={}, figures=[]
)


def write_plan(out: Path, *ids: str) -> None:
    write_json(out / "plan.json", {"runs": [{"id": each} for each in ids]})


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    write_result(tmp_path, DONE, {"measures": ["P@5"]})
    assert read_result(tmp_path, DONE.id) == (DONE, {"measures": ["P@5"]})
    assert read_result(tmp_path, "another") is None
    path = run_folder(tmp_path, DONE.id) / "result.json"
    held = read_json(path)
    assert held.pop("grouped") is False
    write_json(path, held)  # as it was written before noise could be drawn per group
    assert read_result(tmp_path, DONE.id) == (DONE, {"measures": ["P@5"]})


def test_results_are_those_of_the_plan_that_are_finished_in_its_order(tmp_path: Path) -> None:
    for result in (DONE, FAILED, replace(DONE, id="of an earlier recipe")):
        write_result(tmp_path, result, {})
    (run_folder(tmp_path, "begun")).mkdir()
    write_plan(tmp_path, FAILED.id, "begun", DONE.id, "not begun")
    assert load_results(tmp_path) == [FAILED, DONE]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"asked": {}, "id": "x"}'])
def test_a_damaged_result_is_told_of(content: str, tmp_path: Path) -> None:
    run_folder(tmp_path, "x").mkdir(parents=True)
    (run_folder(tmp_path, "x") / "result.json").write_text(content)
    with pytest.raises(UserError, match=r"result\.json(, which must be JSON, is damaged| is no result)"):
        read_result(tmp_path, "x")


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not the folder of a bench"):
        load_results(tmp_path)


def test_curves_and_single_queries_come_back(tmp_path: Path) -> None:
    arrays = {("query", "image->text"): np.array([0.5, np.nan]), ("retrieval", "a b->c"): np.array([1.0])}
    assert (load_curves(tmp_path, DONE), load_per_query(tmp_path, DONE)) == ({}, {})
    write_per_query(tmp_path, DONE.id, arrays)
    back = load_per_query(tmp_path, DONE)
    assert back.keys() == arrays.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(back[key], array)


def test_every_figure_is_in_both_tables_to_the_last_digit(tmp_path: Path) -> None:
    linked = replace(DONE, id="toy-ucch", machine={**DONE.machine, "same_training_as": "toy-ucch-clean"})
    paths = write_figures(tmp_path, [DONE, FAILED, linked])
    assert [path.name for path in paths] == ["results.csv", "results.parquet"]
    with open(paths[0], newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    read = rows(paths[1])
    assert [float(row["value"]) for row in written[:2]] == [figure["value"] for figure in FIGURES]
    assert [row["value"] for row in read] == [FIGURES[0]["value"], FIGURES[1]["value"], None] + [
        figure["value"] for figure in FIGURES
    ]
    assert [row["same_training_as"] for row in written] == [row["same_training_as"] for row in read]
    assert [row["same_training_as"] for row in read] == ["", "", "", "toy-ucch-clean", "toy-ucch-clean"]
    first, _, last, *_ = read
    assert (first["seed"], first["each"], first["train_seconds"], first["epochs"]) == (2**40, False, 1.5, 3)
    assert (first["variant"], first["reason"], first["measure"], first["selection"]) == (
        "",
        "",
        MEASURE,
        DONE.selection,
    )
    assert (last["status"], last["reason"], last["measure"], last["epochs"]) == ("failed", "no\nmemory", "", None)


def rows(path: Path) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        table = connection.read_parquet(str(path))
        return [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]


def test_weights_can_go_and_the_rest_stays(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "x")
    for name in ("model.safetensors", "checkpoint/state.safetensors", "codes.npz", "history.jsonl"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    drop_weights(tmp_path, "x")
    assert sorted(path.name for path in folder.iterdir()) == ["codes.npz", "history.jsonl"]
