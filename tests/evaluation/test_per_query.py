"""What a report says of single queries: how many have nothing to find, and each one's values."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import crossbit
from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.evaluation import P_radius, average_precision, score_codes, score_file, score_model
from tiny import runner, vectors

RNG = np.random.default_rng(0)
LABEL = (RNG.random((30, 3)) < 0.5).astype(int)
LABEL[:25] = 0
DATABASE = (RNG.random((50, 3)) < 0.5).astype(int) | [1, 0, 0]
QUERY, ITEMS = ({m: RNG.integers(0, 256, (n, 2), dtype=np.uint8) for m in ("image", "text")} for n in (30, 50))
EMPTY = int((LABEL @ DATABASE.T == 0).all(axis=1).sum())


@pytest.mark.parametrize(("empty", "words"), [("skip", "they are left out of the mean"), ("zero", "they count as 0")])
def test_queries_with_nothing_to_find_are_counted(empty: str, words: str) -> None:
    report = score_codes(QUERY, ITEMS, LABEL, DATABASE, empty=empty)
    assert EMPTY >= 25 and report.to_dict()["empty_queries"] == {"image->text": EMPTY, "text->image": EMPTY}
    assert f"queries without a relevant item in the database: {EMPTY} of 30; {words}" in str(report)
    assert "without a relevant item" not in str(score_codes(QUERY, ITEMS, LABEL * 0 + 1, DATABASE))


def test_each_direction_has_its_own_count() -> None:
    labels = {"image": LABEL, "text": LABEL * 0 + 1}
    report = score_codes(QUERY, ITEMS, labels, {"image": DATABASE, "text": DATABASE})
    assert report.empty_queries == {"image->text": EMPTY, "text->image": 0}
    assert f"in the database: image->text {EMPTY} of 30; they" in str(report)


def silent(query: np.ndarray, items: np.ndarray, radius: int) -> int:
    """How many queries have no item within the radius."""
    apart = np.unpackbits(query[:, None] ^ items[None], axis=2).sum(axis=2)
    return int((apart.min(axis=1) > radius).sum())


@pytest.mark.parametrize(("empty", "words"), [("skip", "they are left out of the mean"), ("zero", "they count as 0")])
def test_queries_that_retrieve_nothing_are_counted(empty: str, words: str) -> None:
    measure = P_radius(empty=empty) @ 2
    report = score_codes(QUERY, ITEMS, LABEL, DATABASE, measures=[measure, "P@5", "P@radius16"])
    counts = {f"{a}->{b}": silent(QUERY[a], ITEMS[b], 2) for a, b in (("image", "text"), ("text", "image"))}
    assert all(0 < count < 30 for count in counts.values()) and len(set(counts.values())) == 2
    told = report.to_dict()["figures_empty_queries"]
    assert told[str(measure)] == counts
    assert told["P@5(ties=expected, empty=zero)"] == {"image->text": EMPTY, "text->image": EMPTY}
    assert told["P@radius16(empty=zero)"] == {"image->text": 0, "text->image": 0}
    ways = "; ".join(f"{way} {count} of 30" for way, count in counts.items())
    line = f"{measure}: queries that retrieve nothing within the radius: {ways}; {words}"
    assert report.said_empty[1:] == [line] and line in str(report) and line in report._repr_html_().replace("&gt;", ">")


def test_queries_whose_signs_retrieve_nothing_are_counted() -> None:
    class Model:
        metric = "cosine"

        def embed(self, modality: str, rows: np.ndarray) -> np.ndarray:
            return rows

    query, items = ({m: RNG.normal(size=(n, 8)) for m in ("image", "text")} for n in (30, 50))
    report = score_model(Model(), query, items, LABEL, DATABASE, measures=["P@radius0"])
    name, ways = "P@radius0(empty=zero)", (("image", "text"), ("text", "image"))
    counts = {f"{a}->{b}": silent(pack(query[a]), pack(items[b]), 0) for a, b in ways}
    assert report.codes_figures_empty_queries == {name: counts} and 0 < min(counts.values())
    assert report.figures_empty_queries == {name: {"image->text": 30, "text->image": 30}}  # no two point one way
    assert f"\n{name}: queries that retrieve nothing within the radius: 30 of 30; they count as 0" in str(report)
    assert f"\nas codes, {name}: queries that retrieve nothing within the radius: " in str(report)


def test_a_report_is_whole_as_json() -> None:
    report = score_codes(QUERY, ITEMS, LABEL, DATABASE, measures=["P@5", "hit@1"], per_query=True)
    held = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    own = average_precision(QUERY["image"], ITEMS["text"], LABEL, DATABASE)
    assert held["per_query"]["image->text"] == [None if np.isnan(value) else value for value in own]
    assert set(held["figures_per_query"]) == set(held["figures"])
    for name, of in report.figures_per_query.items():
        assert report.figures[name] == pytest.approx({way: np.nanmean(values) for way, values in of.items()})


def test_a_notebook_shows_a_table() -> None:
    shown = score_codes(QUERY, ITEMS, LABEL, DATABASE, measures=["P@5"], data="<b>")._repr_html_()
    assert shown.startswith("<table>") and "&lt;b&gt;" in shown and "image-&gt;text" in shown and "P@5(" in shown


def test_the_command_writes_each_querys_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    arrays = {f"query_{m}": a for m, a in QUERY.items()} | {f"retrieval_{m}": a for m, a in ITEMS.items()}
    np.savez(tmp_path / "codes.npz", **arrays, query_label=LABEL, retrieval_label=DATABASE)
    out, run = tmp_path / "each.csv", runner(capsys)
    shown = run("score", tmp_path / "codes.npz", "--measure", "P@5", "--per-query", out)
    assert f"{EMPTY} of 30" in shown.out
    rows = list(csv.DictReader(out.open()))
    report = score_file(tmp_path / "codes.npz", measures=["P@5"], per_query=True)
    assert list(rows[0]) == ["query", "direction", "measure", "value"]
    assert len(rows) == 30 * 2 * len({report.measure, *report.figures})
    for name, of in {report.measure: report.per_query, **report.figures_per_query}.items():
        for way, values in of.items():
            written = [row["value"] for row in rows if (row["measure"], row["direction"]) == (name, way)]
            assert written == ["" if np.isnan(value) else repr(float(value)) for value in values]
    assert "exists already" in run("score", tmp_path / "codes.npz", "--per-query", out).errors[-1]


def test_a_run_and_data_by_their_paths(tmp_path: Path) -> None:
    np.savez(tmp_path / "toy.npz", **vectors())
    data = crossbit.load_data(tmp_path / "toy.npz")
    model = crossbit.train(data, method="cca-sign", bits=8, out=tmp_path / "run", progress=False)
    expected = crossbit.evaluate(model, data).map
    assert crossbit.evaluate(tmp_path / "run", str(tmp_path / "toy.npz")).map == expected
    assert crossbit.evaluate(str(tmp_path / "run"), data).map == expected
    with pytest.raises(UserError, match="evaluate takes a model and then data, got PairedData and Model"):
        crossbit.evaluate(data, model)


def test_evaluate_in_the_wrong_order_is_one_line() -> None:
    from crossbit.evaluation import evaluate

    class Model:
        method = "x"

        def encode(self, modality: str, rows: np.ndarray) -> np.ndarray:
            raise AssertionError

    splits = {"train": [1, 2], "query": [0], "retrieval": [1, 2]}
    data = crossbit.PairedData("toy", {"image": np.eye(3)}, np.array([0, 1, 1]), splits)
    with pytest.raises(UserError, match=r"got PairedData and Model; write evaluate\(model, data\)"):
        evaluate(data, Model())
