"""Wide runs beside narrow ones: which narrow figures are taken, and the order, on figures made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks.studies import wide

CODES = "mAP@all(ties=expected, empty=skip)"
VECTORS = "mAP@all(ties=expected, empty=skip, metric=cosine)"


def test_narrow_figures_are_those_of_the_same_cell_as_the_method_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide, "RESULTS", tmp_path)
    cell = ("mrl", "toy", 64, "flip", 0.5, False, False, "", "query")
    lines = [(*cell, seed, VECTORS, value) for seed, value in ((0, 0.5), (0, 0.7), (1, 0.8))]
    lines += [(*cell, 0, CODES, 0.1), (*cell[:3], "none", *cell[4:], 0, VECTORS, 0.0)]
    lines += [(*cell[:7], "a part missing", "query", 2, VECTORS, 0.0), (*cell[:8], "retrieval", 0, VECTORS, 0.0)]
    lines += [(*cell[:6], True, "", "query", 0, VECTORS, 0.0), (*cell[:5], True, False, "", "query", 0, VECTORS, 0.0)]
    names = "method varchar, data varchar, bits int, noise varchar, rate double, each boolean, grouped boolean"
    names += ", variant varchar, database varchar"
    with duckdb.connect() as db:
        db.execute(f"create table t ({names}, seed int, measure varchar, value double)")
        db.executemany("insert into t values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", lines)
        db.execute(f"copy t to '{tmp_path / 'look.parquet'}' (format parquet)")

    class Run:
        method, data, bits, noise, rate, each, grouped = cell[:7]

    told = wide.narrow(Run, "query")
    assert (told["mean"], told["n"]) == (pytest.approx(0.7), 2)
    Run.bits = 32
    assert wide.narrow(Run, "query") is None


def test_the_order_is_told_where_all_four_are_there() -> None:
    def row(method: str, noise: str, high: float, low: float, data: str = "glyphs") -> dict[str, Any]:
        both = "retrieval", "query"
        return {
            "data": data,
            "noise": noise,
            "method": method,
            "width": 8192,
            "epochs": 2,
            "minutes": 1.5,
            "wide": dict.fromkeys(both, high),
            "narrow": {database: {"mean": low, "sd": None, "n": 1} for database in both},
        }

    rows = [
        row(m, "clean", h, 0.1 * k)
        for k, (m, h) in enumerate([("mrl", 0.9), ("nrch", 0.4), ("ssah", 0.5), ("ucch", 0.2)])
    ]
    rows += [row("mrl", "flip 0.5", 0.9, 0.8), row("look", "clean", 1.0, 1.0)]
    rows += [row(m, "flip 0.2", 0.9, 0.8) for m in ("mrl", "nrch", "ssah", "ucch")]
    rows[-1]["narrow"] = dict.fromkeys(rows[-1]["narrow"])  # no narrow run of it
    rows += [row(m, "flip 0.8", 0.9, 0.8, "toy") for m in ("mrl", "nrch")]  # four rows of one noise, on two sets
    rows += [row(m, "flip 0.8", 0.9, 0.8) for m in ("ssah", "ucch")]
    found = wide.orders(rows)
    assert [(one["noise"], one["database"]) for one in found] == [("clean", "retrieval"), ("clean", "query")]
    assert found[0]["wide"] == ["mrl", "ssah", "nrch", "ucch"]
    assert found[0]["narrow"] == ["ucch", "ssah", "nrch", "mrl"]
    text = wide.section({"rows": rows, "orders": found})
    assert "| glyphs, clean | mrl | 8,192 | 2 | 2 | 0.9000 | 0.0000 (1) | 0.9000 | 0.0000 (1) |" in text
    assert "wide mrl, ssah, nrch, ucch; narrow ucch, ssah, nrch, mrl." in text
