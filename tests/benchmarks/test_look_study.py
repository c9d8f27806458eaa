"""The study's table: means over cells and seeds, the best of the four, and the page, on results made by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.studies import comparison
from benchmarks.studies import look_study as study
from crossbit.bench.work.store import Result

CODES = "mAP@all(ties=expected, empty=skip)"


def result(
    method: str, noise: str, rate: float, seed: int, value: float, *, bits: int = 64, variant: str = ""
) -> Result:
    figures = [
        {"database": database, "direction": way, "measure": CODES, "value": value + side}
        for database in ("retrieval", "query")
        for way, side in (("image->text", 0.01), ("text->image", -0.01))
    ]
    told: dict[str, Any] = dict.fromkeys(("id", "reason", "selection"), "") | {"variant": variant}
    told |= {
        "status": "done",
        "data": "toy",
        "method": method,
        "settings": {},
        "bits": bits,
        "noise": noise,
        "rate": rate,
    }
    told |= {"each": False, "grouped": False, "seed": seed, "epochs": 1, "seconds": {}, "figures": figures}
    return Result(**told, history=[{"noise_rate": 0.25}], machine={})


def test_means_over_cells_and_the_best_of_the_four() -> None:
    results = [
        result(method, noise, rate, seed, value + 0.001 * seed * (method == "look"))
        for seed in (0, 1, 2)
        for method, values in (("look", (0.9, 0.8, 0.7)), ("nrch", (0.95, 0.6, 0.5)))
        for (noise, rate), value in zip((("none", 0.0), ("swap-one", 0.2), ("swap-one", 0.8)), values, strict=True)
    ]
    results += [result("ucch", "none", 0.0, seed, 0.58) for seed in (0, 1)]  # sees no labels: one figure for all
    results += [result("classifier", "swap-one", 0.2, 0, 1.0)]  # not one of the four, and a cell short
    scores = study.scores_of(results, "toy", "retrieval")
    cells = [cell for cell in scores["look"] if cell.noisy]
    told = study.beside(scores, cells)
    assert told["cells"] == 2
    assert told["methods"]["look"]["mean"] == pytest.approx(0.751)
    assert told["methods"]["ucch"] == {"mean": pytest.approx(0.58), "sd": 0.0, "n": 2}
    assert "classifier" not in told["methods"]
    assert told["best"] == "ucch"  # .58, nrch .55
    assert told["difference"] == pytest.approx(0.75 + 0.0005 - 0.58) and told["pairs"] == 2
    clean = study.beside(scores, [cell for cell in scores["look"] if not cell.noisy])
    assert clean["best"] == "nrch" and clean["difference"] == pytest.approx(-0.049)


def test_where_a_method_is_not_above_a_linear_baseline() -> None:
    values = {"nrch": 0.7, "ucch": 0.6, "cca-itq": 0.65, "look": 0.1}
    results = [result(method, "none", 0.0, seed, value) for method, value in values.items() for seed in (0, 1)]
    results += [result("cca-itq", "none", 0.0, 2, 0.0), result("cca-itq", "swap-one", 0.5, 0, 0.9)]  # not in common
    told = comparison.not_above(results)
    assert told["compared"] == ["cca-itq", "nrch", "ucch"]
    assert [(one["database"], one["method"], one["baseline"]) for one in told["found"]] == [
        ("retrieval", "ucch", "cca-itq"),
        ("query", "ucch", "cca-itq"),
    ]
    assert told["found"][0]["by"] == pytest.approx(0.05) and told["found"][0]["seeds"] == 2


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before <a> old <b> after")
    study.between(page, ("<a>", "<b>"), "new")
    assert page.read_text() == "before <a>\n\nnew\n\n<b> after"
    with pytest.raises(ValueError, match="has no marks"):
        study.between(page, ("<a>", "<c>"), "new")
    assert page.read_text() == "before <a>\n\nnew\n\n<b> after"


def test_the_page_has_every_cell(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()  # every run has this one's folder
    rows = np.arange(2, 10)
    np.savez(tmp_path / "runs/data.npz", rows=rows, train=rows[:4], noise_mask=rows < 3)
    results = [result(m, "none", 0.0, seed, v) for m, v in (("look", 0.6), ("mrl", 0.5)) for seed in range(5)]
    noisy = [result(m, "swap-one", 0.5, seed, v) for m, v in (("look", 0.6), ("mrl", 0.5)) for seed in range(5)]
    found = study.study([*results, result("look", "shuffle-pairs", 0.5, 0, 0.4)], tmp_path)
    assert found["parts"][0]["wrong labels"] == {"cells": 0, "methods": {}}
    assert [(r["noise"], r["true"]["mean"], r["off"]) for r in found["rates"]] == [("clean", 0.25, 0.0)]
    text = study.each_cell(found)
    assert "| clean | 0.6000 ± 0.0000 |" in text and "+0.1000 (mrl)" in text
    assert "toy, the database searched:" in text and "toy, the queries searched themselves:" in text
    assert "| shuffle-pairs 0.5 | 0.4000 (1) |" in text
    assert "paired t-test over seeds" in study.summary(study.study([*results, *noisy], tmp_path))  # the test is named


def test_the_baselines_beside_look(tmp_path: Path) -> None:
    cells = ("none", 0.0), ("swap-one", 0.5)
    results = [result("classifier", noise, rate, seed, 0.4 - rate / 10) for noise, rate in cells for seed in (0, 1)]
    results += [result("look", noise, rate, seed, 0.5 - rate / 2) for noise, rate in cells for seed in (0, 1)]
    results += [result("random", "none", 0.0, 0, 0.1)]
    cosine = result("cca-cosine", "none", 0.0, 0, 0.2)
    real = [
        {**figure, "measure": f"{CODES[:-1]}, metric=cosine)", "value": figure["value"] + 0.1}
        for figure in cosine.figures
    ]
    results.append(dataclasses.replace(cosine, figures=[*cosine.figures, *real]))  # it ranks by real values
    found = study.study([r for r in results if r.method != "look"], tmp_path)
    heads, _, clean, wrong, *_ = study.baselines(found).splitlines()
    assert heads.split(" | ")[1:4] == ["look", "classifier", "cca-itq"] and heads.endswith("| p, seeds |")
    assert clean.startswith("| toy, retrieval, clean |  | 0.4000 ± 0.0000 (2) |  |  |  | 0.3000 (1) |  | 0.1000 (1) |")
    assert "wrong labels |  | 0.3500 ± 0.0000 (2) |  |  |  | 0.3000 (1) |  | 0.1000 (1) |" in wrong
    (tmp_path / "runs").mkdir()
    np.savez(tmp_path / "runs/data.npz", rows=np.arange(4), train=np.arange(4), noise_mask=np.zeros(4, bool))
    text = study.baselines(study.study(results, tmp_path))
    assert "| toy, retrieval, clean | 0.5000 ± 0.0000 (2) |" in text and "+0.1000 (classifier)" in text
    assert text.count("| toy, query, swap-one 0.5 | 0.2500 ") == 1 and "-0.1000 (classifier)" in text  # a loss is shown


def test_code_lengths_have_the_same_seeds_in_every_column() -> None:
    results = [
        result("look", "swap-one", 0.5, seed, bits / 1000, bits=bits)
        for bits in (16, 64)
        for seed in range(5 - bits // 32)
    ]
    results += [result("nrch", "swap-one", 0.5, 0, 0.5)]  # one length only
    results += [result("mrl", "swap-one", 0.5, 1, 0.5, bits=bits) for bits in (16, 64, 128)]
    database, _ = study.lengths(results)
    assert database["columns"] == ["16 bits", "64 bits"] and set(database["rows"]) == {"look", "mrl"}
    assert [cell["n"] for cell in database["rows"]["look"].values()] == [3, 3]
    assert not list(study.lengths([r for r in results if r.bits == 64]))


def test_ablations_are_paired_with_what_lacks_nothing_else() -> None:
    whole = [result("look", "swap-one", 0.5, seed, 0.5 + seed / 10) for seed in range(3)]
    values = {"no base rate": 0.4, study.OWN: 0.3, "most likely labels, no probabilities": 0.25}
    less = [
        result("look", "swap-one", 0.5, seed, value + seed / 9, variant=variant)
        for variant, value in values.items()
        for seed in (0, 1)
    ]
    found = {entry["variant"]: entry for entry in study.without([*whole, *less]) if entry["database"] == "query"}
    assert {entry["pairs"] for entry in found.values()} == {2}
    assert found["no base rate"]["difference"] == pytest.approx((0.4 + 0.4 + 1 / 9 - 0.5 - 0.6) / 2)
    hard = found["most likely labels, no probabilities"]
    assert hard["difference"] == pytest.approx(-0.05) and np.isnan(hard["p"])  # less the one without own: no spread
    alone = study.paired_t({0: 0.3, 1: 0.3 + 1 / 9}, {0: 0.5, 1: 0.6}).p
    assert found[study.OWN]["p"] == pytest.approx(2 * alone)  # the smaller of two
    assert [entry["variant"] for entry in study.without(less)] == ["most likely labels, no probabilities"] * 2
    text = study.ablations(list(found.values()))
    assert "| no base rate | -0.0944 (" in text and "| most likely labels, no probabilities* | -0.0500 (" in text


def test_the_page_has_code_lengths_and_ablations(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    np.savez(tmp_path / "runs/data.npz", rows=np.arange(4), train=np.arange(4), noise_mask=np.zeros(4, bool))
    results = [result("look", "swap-one", 0.5, seed, 0.5, bits=bits) for bits in (16, 64) for seed in range(5)]
    results += [result("look", "swap-one", 0.5, seed, 0.4, variant="no base rate") for seed in range(5)]
    results += [dataclasses.replace(results[-1], grouped=True)]  # another noise
    text = study.further(study.study(results, tmp_path))
    assert "toy, swap-one 0.5, the database searched, by code length:" in text
    assert "| look | 0.5000 ± 0.0000 | 0.5000 ± 0.0000 |" in text
    assert "| no base rate | -0.1000 (5) | -0.1000 (5) |" in text
