"""The speed comparisons run at tiny sizes, agree with what they are compared to, and print one JSON object."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import crossbit
from benchmarks.speed import milvus, relabel, unlearned
from tiny import arrays

ROOT = Path(__file__).resolve().parents[2]


def alone(script: str, *arguments: str) -> dict[str, Any]:
    """What a script prints that must be a process of its own: it goes into another network, or bounds memory."""
    command = [sys.executable, "-m", f"benchmarks.speed.{script}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    return dict(json.loads(done.stdout))


Results = Callable[..., dict[str, Any]]


@pytest.fixture
def results(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Results:
    """`results("search", "--codes", "9")`: what `python -m benchmarks.speed.search --codes 9` prints."""

    def run(script: str, *arguments: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        monkeypatch.delitem(sys.modules, f"benchmarks.speed.{script}", raising=False)  # else `runpy` warns
        capfd.readouterr()
        with patch.dict(os.environ):
            runpy.run_module(f"benchmarks.speed.{script}", run_name="__main__")
        return dict(json.loads(capfd.readouterr().out))

    return run


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The made collection of two scripts, who makes it first."""
    return str(tmp_path_factory.mktemp("collection"))


@pytest.mark.slow
def test_search_beside_faiss(results: Results, need: Callable[[str], ModuleType], tmp_path: Path) -> None:
    need("faiss")
    sizes = ["--codes", "3000", "--queries", "20", "--k", "10", "--one-codes", "4000", "--one-queries", "2"]
    printed = results("search", *sizes, "--rounds", "2", "--out", str(tmp_path / "search.json"))
    assert printed == json.loads((tmp_path / "search.json").read_text())
    assert len(printed["results"]) == 2
    for row in printed["results"].values():
        assert row["same_distances"] and row["ratio_range"][0] <= row["ratio"] <= row["ratio_range"][1]


@pytest.mark.slow
def test_mean_average_precision_beside_the_usual_script(results: Results) -> None:
    sizes = ["--queries", "12", "--codes", "3000", "--usual-queries", "4", "--checked-queries", "4"]
    printed = results("mean_average_precision", *sizes, "--rounds", "2")
    assert len(printed["results"]) == 2
    for row in printed["results"].values():
        assert row["largest_difference_from_oracle"] < 1e-12
        assert row["seconds"] > 0 and row["other_seconds"] > 0


@pytest.mark.slow
def test_look_as_pairs_grow(results: Results) -> None:
    printed = results("look", "growth", "--sizes", "200", "300", "--set", "epochs=1", "steps=2", "width=16")
    assert [row["pairs"] for row in printed["sizes"]] == [200, 300]
    for row in printed["sizes"]:
        assert row["posterior"] > 0 and row["training"] > 0 and row["data_gib"] > 0


@pytest.mark.slow
def test_look_beside_nrch(results: Results) -> None:
    few = ["--labelled", "160", "--unlabelled", "20", "--rounds", "1", "--set", "epochs=1", "steps=2", "width=16"]
    printed = results("look", "beside", *few)
    assert printed["width"] == 16 and printed["paper_width"] == 8192 and printed["look"] > 0
    assert printed["nrch"].keys() == {"narrow", "wide"}


@pytest.mark.slow
def test_conversions_are_checked_and_stay_under_the_limit() -> None:
    sizes = ["--coco-rows", "15100", "--nus-rows", "12700", "--width", "12"]
    printed = alone("convert", *sizes)
    assert {name: row["rows"] for name, row in printed["results"].items()} == {"MS-COCO": 15_100, "NUS-WIDE": 12_700}
    for row in printed["results"].values():
        assert row["last_row_same"] and row["peak_mib"] < 1024 * printed["settings"]["limit_gib"]


@pytest.mark.slow
def test_an_open_searcher(results: Results, collection: str) -> None:
    printed = results("searcher", "--codes", "3000", "--rounds", "2", "--folder", collection)["results"]
    assert printed["searcher"]["search"] > 0 and printed["searcher"]["beside a slow filter"]["searches"] > 0
    assert printed["shell"].keys() == {"crossbit search", "import torch"}


@pytest.mark.slow
def test_an_own_collection_from_a_folder_to_a_search(results: Results) -> None:
    printed = results("collection", "--pictures", "64", "--side", "32")
    assert list(printed["commands"]) == ["data show", "data show, again", "train", "index", "search"]
    assert all(held["gigabytes"] > 0 for held in printed["commands"].values())


@pytest.mark.slow
def test_adding_to_a_collection(results: Results) -> None:
    printed = results("add", "--pictures", "64", "--new", "16", "--side", "32")["collections"]["64"]
    assert list(printed) == ["nothing new", "16 new"] and all(held["seconds"] > 0 for held in printed.values())


@pytest.mark.slow
def test_corrections(results: Results) -> None:
    printed = results("relabel", "--labelled", "120", "--unlabelled", "0", "30", "--rounds", "2")
    assert [one["unlabelled"] for one in printed["sizes"]] == [0, 30]
    for one in printed["sizes"]:
        assert one["relabel"].keys() == {"1", "5"} and min(one["relabel"].values()) > 0 and one["regression"] > 0
    assert relabel.section(printed).count("\n") == 7  # a line, a table of four rows


@pytest.mark.slow
def test_an_exported_folder_beside_its_run(results: Results, collection: str) -> None:
    printed = results("export", "--codes", "3000", "--rounds", "1", "--folder", collection)["results"]
    assert len(printed["seconds"]) == 4 and all(each["clock"] > 0 for each in printed["seconds"].values())
    assert {each["bytes_that_differ"] for each in printed["compared"].values()} == {0}


@pytest.mark.slow
@pytest.mark.usefixtures("milvus_here")
def test_milvus_beside_a_local_index() -> None:
    printed = alone("milvus", "--rows", "3000", "--queries", "5", "--repeats", "1")
    assert printed["same hits"] is True
    assert printed["load seconds"].keys() == {"local file", "Milvus"}
    assert "3,000 codes of 64 bits" in milvus.section(printed)


@pytest.mark.slow
def test_ways_to_compare_a_part_of_the_codes(results: Results, need: Callable[[str], ModuleType]) -> None:
    need("faiss")
    printed = results("approximate", "--codes", "5000", "--queries", "20", "--flipped", "0.05", "--rounds", "1")
    (rows,) = printed["results"].values()
    assert list(rows) == ["exact", "cells", "faiss IVF", "faiss multi-index hashing"]
    assert rows["cells"]["recall"] >= 0.99 <= rows["faiss IVF"]["recall"]


@pytest.mark.slow
def test_a_large_index(results: Results, need: Callable[[str], ModuleType]) -> None:
    need("faiss")
    sizes = ["--codes", "5000", "--file-codes", "7000", "--queries", "8", "--lists", "16", "--rounds", "1"]
    printed = results("large", *sizes)
    assert printed["in memory"]["same distances"] is True and printed["file"]["same distances"] is True
    assert printed["file"]["seconds"].keys() >= {"opening", "the first answer", "an answer"}


@pytest.mark.slow
def test_rotations_beside_learned_codes(tmp_path: Path) -> None:
    np.savez(tmp_path / "toy.npz", **arrays())
    data = crossbit.load_data(tmp_path / "toy.npz")
    crossbit.train(data, method="cca-sign", bits=8, out=tmp_path / "run", progress=False)
    found = unlearned.measured(tmp_path / "run", 2)["results"]
    assert list(found) == ["image->image", "text->text", "image->text", "text->image"]
    exact, *rotated, learned = found["text->text"].values()
    assert exact["bytes"] > rotated[-1]["bytes"] > learned["bytes"] == 1
    assert rotated[-1]["mAP"] == pytest.approx(exact["mAP"], abs=0.15)  # as many signs as columns say nearly as much


def test_a_rotation_estimates_products() -> None:
    rng = np.random.default_rng(0)
    query, database = rng.normal(size=(20, 256)), rng.normal(size=(300, 256))
    asked, held = unlearned.rotated(query, database, 4096, rng)
    assert np.ptp((held**2).sum(axis=1)) < 1e-9  # so that cosines rank as products
    centre = database.mean(axis=0)
    q, o = ((rows - centre) / np.linalg.norm(rows - centre, axis=1, keepdims=True) for rows in (query, database))
    assert np.corrcoef((asked @ held.T).ravel(), (q @ o.T).ravel())[0, 1] > 0.97
