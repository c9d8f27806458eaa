"""What a person asks: every report answers it by every ranking that there is, with the level of chance."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from crossbit.bits import pack
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.evaluation import evaluate, figure, score_file, score_reranked

rng = np.random.default_rng(0)
VECTORS = dict(zip(("image", "text", "sound"), rng.normal(size=(3, 360, 16)), strict=True))
LABEL = (rng.random((360, 4)) < 0.3).astype(np.uint8)
QUERY, REST = np.arange(30), np.arange(30, 360)
FULL = ["mAP@all(ties=expected, empty=skip)", "overlap@10(ties=expected, empty=skip)"]
FULL += ["P@10(ties=expected, empty=zero)", "hit@10(correct=pair, ties=expected, empty=zero)"]


class Coder:
    """Codes alone."""

    method, bits = "signs", 16

    def encode(self, modality: str, rows: np.ndarray) -> np.ndarray:
        return pack(rows)


class Embedder(Coder):
    """Codes that are signs of vectors."""

    def embed(self, modality: str, rows: np.ndarray) -> np.ndarray:
        return rows


class Orderer(Embedder):
    """Another order of the shortlist, by vectors that have further columns."""

    bits = 16

    def ordering(self, modality: str, rows: np.ndarray) -> np.ndarray:
        return np.hstack([rows, 9 * rows[:, :3] ** 2])


def paired(**changes: Any) -> PairedData:
    splits = {"train": REST[:9], "query": QUERY, "retrieval": REST}
    return PairedData(**{"name": "toy", "modalities": VECTORS, "label": LABEL, "splits": splits, **changes})


def rows_of(some: np.ndarray) -> dict[str, np.ndarray]:
    return {name: vectors[some] for name, vectors in VECTORS.items()}


def packed(some: np.ndarray) -> dict[str, np.ndarray]:
    return {name: pack(vectors) for name, vectors in rows_of(some).items()}


def test_codes_answer_by_hamming_distance() -> None:
    report = evaluate(Coder(), paired())
    assert list(report.questions) == FULL and report.figures == {}
    for name in FULL[:3]:
        answer = report.questions[name]
        assert (answer["database"], answer["queries"], answer["database_size"]) == ("retrieval", 30, 330)
        assert list(answer["figures"]) == ["hamming"]
        for way, value in answer["figures"]["hamming"].items():
            a, b = way.split("->")
            assert value == figure(name, packed(QUERY)[a], packed(REST)[b], LABEL[QUERY], LABEL[REST])
    assert json.loads(json.dumps(report.to_dict()))["questions"] == report.questions


def test_own_pairs_are_looked_for_among_the_queries() -> None:
    answer = evaluate(Coder(), paired()).questions[FULL[3]]
    assert (answer["database"], answer["database_size"]) == ("query", 30)
    own = np.arange(30)
    assert answer["figures"]["hamming"]["text->sound"] == figure(
        "hit@10", packed(QUERY)["text"], packed(QUERY)["sound"], own, own
    )
    assert answer["chance"]["text->sound"] == pytest.approx(10 / 30)
    assert evaluate(Coder(), paired(), database="query").questions[FULL[3]] == answer


def test_chance_is_that_of_a_random_order() -> None:
    questions = evaluate(Coder(), paired()).questions
    shared = LABEL[QUERY].astype(int) @ LABEL[REST].T
    either = LABEL[QUERY].sum(axis=1)[:, None] + LABEL[REST].sum(axis=1) - shared
    some = LABEL[QUERY].any(axis=1)
    assert questions[FULL[1]]["chance"]["image->text"] == pytest.approx((shared / np.maximum(either, 1))[some].mean())
    assert questions[FULL[2]]["chance"]["image->text"] == pytest.approx((shared > 0).mean())
    assert questions[FULL[0]]["chance"] == pytest.approx(evaluate(Coder(), paired()).chance)


@pytest.mark.parametrize("model", [Embedder(), Orderer()])
def test_vectors_order_the_shortlist(model: Any) -> None:
    report = evaluate(model, paired(), measures=["P@5(metric=reranked)"], per_query=True)
    make = getattr(model, "ordering", model.embed)
    order = [{name: make(name, vectors) for name, vectors in rows_of(some).items()} for some in (QUERY, REST)]
    asked = [*FULL[:3], "P@5"]
    other = score_reranked(packed(QUERY), packed(REST), *order, LABEL[QUERY], LABEL[REST], measures=asked)
    for name in FULL[:3]:
        assert report.questions[name]["figures"]["reranked"] == other.figures[name]
        assert report.questions[name]["figures"]["reranked"] != report.questions[name]["figures"]["hamming"]
    only = "P@5(ties=expected, empty=zero, metric=reranked)"
    assert report.figures == {only: other.figures["P@5(ties=expected, empty=zero)"]}
    assert list(report.figures_per_query) == [only]
    assert report.map == evaluate(Coder(), paired()).map


def test_a_method_of_real_vectors_answers_by_three_rankings() -> None:
    class Ranker(Embedder):
        metric = "cosine"

    report = evaluate(Ranker(), paired())
    figures = report.questions[FULL[2]]["figures"]
    assert list(figures) == ["cosine", "hamming", "reranked"] and report.codes_figures == {}
    sides = rows_of(QUERY)["image"], rows_of(REST)["text"], LABEL[QUERY], LABEL[REST]
    assert figures["cosine"]["image->text"] == figure("P@10", *sides)


def test_without_labels_only_own_pairs_are_asked_for() -> None:
    report = evaluate(Embedder(), paired(label=None))
    assert list(report.questions) == FULL[3:]
    assert report.questions[FULL[3]]["figures"]["hamming"] == report.figures[FULL[3]]


def test_queries_with_nothing_to_find_count_as_asked() -> None:
    nothing = paired(label=np.vstack([0 * LABEL[QUERY], LABEL[REST]]))
    report = evaluate(Coder(), nothing, empty="zero")
    assert report.questions["mAP@all(ties=expected, empty=zero)"]["figures"]["hamming"]["image->text"] == 0
    assert report.questions["overlap@10(ties=expected, empty=zero)"]["asks"]


def test_a_strangers_codes_and_vectors(tmp_path: Any) -> None:
    for made, metric in (({m: v >= 0 for m, v in VECTORS.items()}, "hamming"), (VECTORS, "cosine")):
        arrays = {
            f"{side}_{m}": v[some] for side, some in (("query", QUERY), ("retrieval", REST)) for m, v in made.items()
        }
        np.savez(tmp_path / "mine.npz", query_label=LABEL[QUERY], retrieval_label=LABEL[REST], **arrays)
        report = score_file(tmp_path / "mine.npz")
        assert list(report.questions) == FULL
        assert {tuple(of["figures"]) for of in report.questions.values()} == {(metric,)}


def test_codes_alone_cannot_be_reranked() -> None:
    with pytest.raises(UserError, match="orders codes by vectors, but these are codes alone"):
        evaluate(Coder(), paired(), measures=["P@5(metric=reranked)"])
    order = {name: VECTORS[name][QUERY] for name in ("image", "text")}
    with pytest.raises(UserError, match="no vectors that order the codes of sound"):
        score_reranked(packed(QUERY), packed(QUERY), order, order, LABEL[QUERY], LABEL[QUERY])
