"""Further measures, curves, single queries and code quality in a report; what ties move in a stranger's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oracles
from crossbit.bits import pack
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.evaluation import (
    average_precision,
    code_quality,
    evaluate,
    figure,
    precision_at,
    precision_recall_by_radius,
    precision_recall_by_rank,
    score_codes,
    score_file,
    score_vectors,
)

rng = np.random.default_rng(0)
SIGNS = dict(zip(("image", "text"), rng.choice([-1, 1], (2, 90, 16)), strict=True))
LABEL = (rng.random((90, 4)) < 0.3).astype(np.uint8)
QUERY, REST = np.arange(20), np.arange(20, 90)
LABEL[3] = 0  # a query with nothing to find
NAMES = ["mAP@9(cutoff=topk, ties=index)", "P@9", "recall@9", "hit@2", "NDCG@9", "P@radius5"]


class Coder:
    """Ranks by codes: packs the signs of what it is given."""

    method, bits = "signs", 16

    def encode(self, modality: str, x: np.ndarray) -> np.ndarray:
        return pack(x)


class Embedder(Coder):
    """Ranks by real vectors."""

    metric = "cosine"

    def embed(self, modality: str, x: np.ndarray) -> np.ndarray:
        return x * np.linspace(0.5, 1.5, 16)


def paired() -> PairedData:
    vectors = {name: signs.astype(float) for name, signs in SIGNS.items()}
    splits = {"train": REST[:9], "query": QUERY, "retrieval": REST}
    return PairedData(name="toy", modalities=vectors, label=LABEL, splits=splits)


def codes(rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: pack(signs[rows]) for name, signs in SIGNS.items()}


def arrays(query: np.ndarray = QUERY, rest: np.ndarray = REST) -> dict[str, np.ndarray]:
    """A stranger's file: codes of -1 and +1."""
    made = {}
    for side, rows in (("query", query), ("retrieval", rest)):
        made |= {f"{side}_{name}": signs[rows] for name, signs in SIGNS.items()} | {f"{side}_label": LABEL[rows]}
    return made


def saved(folder: Path, given: dict[str, np.ndarray]) -> Path:
    np.savez(folder / "mine.npz", **given)
    return folder / "mine.npz"


SIDES = codes(QUERY), codes(REST), LABEL[QUERY], LABEL[REST]


@pytest.mark.slow
def test_further_measures_stand_under_their_whole_names() -> None:
    report = evaluate(Coder(), paired(), measures=NAMES)
    assert list(report.figures) == [
        "mAP@9(cutoff=topk, ties=index, empty=skip)",
        "P@9(ties=expected, empty=zero)",
        "recall@9(ties=expected, empty=skip)",
        "hit@2(correct=label, ties=expected, empty=zero)",
        "NDCG@9(ties=expected, empty=zero)",
        "P@radius5(empty=zero)",
    ]
    for name, values in report.figures.items():
        for way, value in values.items():
            a, b = way.split("->")
            assert value == figure(name, SIDES[0][a], SIDES[1][b], *SIDES[2:])
    assert evaluate(Coder(), paired()).figures == {}


def test_a_method_of_real_vectors_gives_both() -> None:
    report = evaluate(Embedder(), paired(), measures=["P@9", "P@5(metric=cosine)", "P@5(metric=hamming)"], curves=True)
    expected, other = "P@9(ties=expected, empty=zero)", "P@5(ties=expected, empty=zero, metric={})"
    assert list(report.figures) == [expected, other.format("cosine")]
    assert list(report.codes_figures) == [expected, other.format("hamming")]
    by_codes = evaluate(Coder(), paired(), measures=["P@9", "P@5(metric=hamming)"], curves=True)
    assert report.codes_figures == by_codes.figures
    assert report.figures[expected] != by_codes.figures[expected]
    vectors = {name: signs * np.linspace(0.5, 1.5, 16) for name, signs in SIGNS.items()}
    sides = vectors["image"][QUERY], vectors["text"][REST], LABEL[QUERY], LABEL[REST]
    assert report.figures[expected]["image->text"] == figure("P@9", *sides)
    assert report.curves["PR by radius"].keys() == report.map.keys()
    assert report.quality["text"] == pytest.approx(code_quality(vectors["text"][REST]))


def test_own_pairs_only_where_the_queries_are_searched() -> None:
    report = evaluate(Coder(), paired(), database="query", measures=["hit@3(correct=pair)"])
    value = report.figures["hit@3(correct=pair, ties=expected, empty=zero)"]["image->text"]
    own = np.arange(20)
    assert value == figure("hit@3", SIDES[0]["image"], SIDES[0]["text"], own, own)
    with pytest.raises(UserError, match="own pair in the database; search the queries"):
        evaluate(Coder(), paired(), measures=["hit@3(correct=pair)"])


def test_every_query_has_its_average_precision() -> None:
    report = evaluate(Coder(), paired(), per_query=True)
    assert np.isnan(report.per_query["image->text"][3])
    for way, values in report.per_query.items():
        a, b = way.split("->")
        np.testing.assert_array_equal(values, average_precision(SIDES[0][a], SIDES[1][b], *SIDES[2:]))
        assert report.map[way] == pytest.approx(np.nanmean(values), rel=1e-14)
    assert evaluate(Coder(), paired(), per_query=True, empty="zero").per_query["image->text"][3] == 0
    assert report.to_dict()["per_query"]["image->text"][3] is None
    assert evaluate(Coder(), paired()).per_query == {}


@pytest.mark.parametrize("ties", ["expected", "index"])
def test_curves_are_those_of_the_functions(ties: str) -> None:
    report = score_codes(*SIDES, curves=True, ties=ties)
    assert set(report.curves) == {"PR by radius", "PR by radius (micro)", "PR by rank", "precision@N"}
    image, text = SIDES[0]["image"], SIDES[1]["text"]
    for title, average in (("PR by radius", "macro"), ("PR by radius (micro)", "micro")):
        points = report.curves[title]["image->text"]
        precision, recall = precision_recall_by_radius(image, text, *SIDES[2:], average=average)
        assert (points["radius"], points["precision"], points["recall"]) == (
            list(range(17)),
            precision.tolist(),
            recall.tolist(),
        )
    points = report.curves["PR by rank"]["image->text"]
    assert (points["n"][0], points["n"][-1]) == (1, 70)
    precision, recall = precision_recall_by_rank(image, text, *SIDES[2:], points["n"], ties=ties)
    assert (points["precision"], points["recall"]) == (precision.tolist(), recall.tolist())
    points = report.curves["precision@N"]["image->text"]
    assert points["n"] == [1, 5, 10, 20, 50]
    assert points["precision"] == pytest.approx(precision_at(image, text, *SIDES[2:], points["n"], ties=ties))
    assert json.loads(json.dumps(report.to_dict()))["curves"] == report.curves


def test_every_curve_tells_its_protocol() -> None:
    report = score_codes(*SIDES, curves=True, ties="index")
    assert {title: of["text->image"]["name"] for title, of in report.curves.items()} == {
        "PR by radius": "PR by radius(average=macro, empty=zero)",
        "PR by radius (micro)": "PR by radius(average=micro)",
        "PR by rank": "PR by rank(average=macro, ties=index)",
        "precision@N": "precision@N(ties=index, empty=zero)",
    }
    assert score_codes(*SIDES).curves == {}


def test_vectors_have_the_curves_of_their_signs() -> None:
    report = score_codes(*SIDES, curves=True)
    query, rest = ({name: signs[rows].astype(float) for name, signs in SIGNS.items()} for rows in (QUERY, REST))
    of_vectors = score_vectors(query, rest, *SIDES[2:], curves=True)
    for title, by_way in report.curves.items():
        for way, points in by_way.items():
            for key, values in points.items():
                other = of_vectors.curves[title][way][key]
                assert values == (other if key == "name" else pytest.approx(other, abs=1e-13))


@pytest.mark.parametrize("ties", ["expected", "index", "best", "worst"])
def test_curve_by_rank_against_loops(ties: str) -> None:
    signs = np.ones((12, 8), np.int64)
    signs[:, :3] = np.random.default_rng(1).choice([-1, 1], (12, 3))
    label = np.random.default_rng(2).integers(0, 2, 12)
    query, database, labels, other = signs[:4], signs[4:], label[:4], label[4:]
    labels[3] = 7
    cuts = [1, 2, 3, 5, 8]
    rows = oracles.hamming(query, database)
    precisions, recalls = [], []
    for row, own in zip(rows, labels, strict=True):
        gains = [int(own == item) for item in other]
        precisions.append(
            [oracles.over_items(row, gains, lambda r, n=n: oracles.precision_at(r, n), ties) for n in cuts]
        )
        if sum(gains):
            recalls.append([oracles.over_items(row, gains, lambda r, n=n: oracles.recall_at(r, n), ties) for n in cuts])
    found = precision_recall_by_rank(pack(query), pack(database), labels, other, cuts, ties=ties)
    np.testing.assert_allclose(found[0], np.mean(precisions, axis=0), atol=1e-14)
    np.testing.assert_allclose(found[1], np.mean(recalls, axis=0), atol=1e-14)


def test_bad_cuts_of_a_curve_by_rank() -> None:
    sides = SIDES[0]["image"], SIDES[1]["text"], *SIDES[2:]
    with pytest.raises(UserError, match="n is 71; the database has 70 items"):
        precision_recall_by_rank(*sides, [1, 71])
    with pytest.raises(UserError, match="n is 0"):
        precision_recall_by_rank(*sides, [0])
    with pytest.raises(UserError, match="no query has a relevant item, so there is no recall"):
        precision_recall_by_rank(*sides[:2], 0 * LABEL[QUERY], LABEL[REST], [1])


# --- code quality ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "bits"), [(1, 8), (2, 16), (50, 24), (40_000, 8)])
def test_quality_of_codes_against_loops(rows: int, bits: int) -> None:
    signs = np.random.default_rng(rows).choice([-1, 1], (rows, bits), p=[0.3, 0.7])
    signs[:, 1] = signs[:, 0]
    signs[:, 2] = 1
    found = code_quality(pack(signs))
    assert (found["rows"], found["bits"]) == (rows, bits)
    for key, value in oracles.code_quality(signs).items():
        assert found[key] == pytest.approx(value, abs=1e-9), key
    assert "distance_to_signs" not in found


def test_quality_of_vectors_is_that_of_their_signs() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 13))
    vectors[0, 0] = 0  # counts as +1
    found = code_quality(vectors)
    assert found.pop("distance_to_signs") == pytest.approx(np.mean([abs(abs(x) - 1) for x in vectors.ravel()]))
    signs = np.where(vectors >= 0, 1, -1)
    assert found == code_quality(pack(np.pad(signs, ((0, 0), (0, 3)), constant_values=1)), bits=13)
    assert found == pytest.approx({"rows": 30, "bits": 13, **oracles.code_quality(signs)})


def test_collapsed_and_ideal_codes() -> None:
    assert code_quality(np.zeros((9, 2), np.uint8))["constant"] == 16
    corners = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])
    ideal = code_quality(corners)
    assert (ideal["imbalance"], ideal["correlation"], ideal["distinct"], ideal["distance_to_signs"]) == (0, 0, 8, 0)


def test_codes_without_quality() -> None:
    for bad in (np.zeros((0, 2), np.uint8), np.zeros((0, 2)), [[np.nan]], [["a"]], np.zeros(3)):
        with pytest.raises(UserError):
            code_quality(bad)


# --- a stranger's codes ---------------------------------------------------------------------------------------------


def usual_script(
    query: np.ndarray, database: np.ndarray, labels: np.ndarray, other: np.ndarray, k: int | None
) -> float:
    """mAP as it is commonly computed on -1/+1 codes; cut at k and divided by what was found there."""
    found = []
    for code, label in zip(query, labels, strict=True):
        relevant = (other @ label > 0)[np.argsort(0.5 * (query.shape[1] - database @ code), kind="stable")][:k]
        if (other @ label > 0).any():
            ranks = np.flatnonzero(relevant) + 1
            found.append(np.mean(np.arange(1, len(ranks) + 1) / ranks) if len(ranks) else 0.0)
    return float(np.mean(found))


@pytest.mark.slow
@pytest.mark.parametrize("k", [None, 15])
def test_the_usual_script_and_the_tie_aware_figure_side_by_side(tmp_path: Path, k: int | None) -> None:
    given = arrays()
    report = score_file(saved(tmp_path, given), k=k, cutoff="topk", measures=["P@7"])
    cut = "all(" if k is None else "15(cutoff=topk, "
    for a, b in (("image", "text"), ("text", "image")):
        way, sides = f"{a}->{b}", (f"query_{a}", f"retrieval_{b}", "query_label", "retrieval_label")
        index = report.figures[f"mAP@{cut}ties=index, empty=skip)"][way]
        expected = report.figures[f"mAP@{cut}ties=expected, empty=skip)"][way]
        assert index == pytest.approx(usual_script(*(given[name] for name in sides), k), rel=1e-12)
        assert report.map[way] == expected != pytest.approx(index, abs=1e-4)
        assert report.spread[way]["worst"] < min(index, expected) <= max(index, expected) < report.spread[way]["best"]
    assert [name for name in report.figures if name.startswith("P@7")] == [
        "P@7(ties=index, empty=zero)",
        "P@7(ties=expected, empty=zero)",
    ]


@pytest.mark.parametrize("bits", [4, 12, 15, 16])
def test_codes_of_any_length(tmp_path: Path, bits: int) -> None:
    """Bits that fill the last byte are equal in all codes, and no measure sees them."""
    given = {name: array if "label" in name else array[:, :bits] for name, array in arrays().items()}
    report = score_file(saved(tmp_path, given), ties="index", curves=True)
    assert report.bits == bits
    sides = given["query_image"], given["retrieval_text"], LABEL[QUERY], LABEL[REST]
    assert report.map["image->text"] == pytest.approx(usual_script(*sides, None), rel=1e-12)
    points = report.curves["PR by radius"]["image->text"]
    assert points["radius"] == list(range(bits + 1))
    assert points["precision"] == pytest.approx(oracles.precision_recall(*sides, "macro", "zero")[0])
    assert len(points["precision"]) == len(points["recall"]) == bits + 1
    assert len(report.curves["PR by rank"]["image->text"]["n"]) > 30
    expected = oracles.code_quality(given["retrieval_text"])
    assert {key: report.quality["text"][key] for key in expected} == pytest.approx(expected)


def test_a_file_of_the_same_rows_twice_searches_the_queries(tmp_path: Path) -> None:
    report = score_file(saved(tmp_path, arrays(QUERY, QUERY)), measures=["hit@1(correct=pair)"])
    assert report.protocol["database"] == "query"
    own = np.arange(20)
    sides = pack(SIGNS["image"][QUERY]), pack(SIGNS["text"][QUERY]), own, own
    assert report.figures["hit@1(correct=pair, ties=expected, empty=zero)"]["image->text"] == figure("hit@1", *sides)
    other_items = arrays(QUERY, QUERY) | {"retrieval_label": LABEL[QUERY][::-1]}  # collapsed codes look the same, too
    assert score_file(saved(tmp_path, other_items)).protocol["database"] == "retrieval"
    path = saved(tmp_path, arrays(QUERY, QUERY[::-1]))
    assert score_file(path).protocol["database"] == "retrieval"
    with pytest.raises(UserError, match="give the same rows as queries and as database"):
        score_file(path, measures=["hit@1(correct=pair)"])


def test_single_queries_of_a_file(tmp_path: Path) -> None:
    report = score_file(saved(tmp_path, arrays()), per_query=True)
    values: Any = average_precision(SIDES[0]["text"], SIDES[1]["image"], *SIDES[2:])
    np.testing.assert_array_equal(report.per_query["text->image"], values)
