"""Codes whose shortlist is ordered by vectors: against every order that ties allow, and against the search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
from crossbit.bits import SHORTLIST, pack
from crossbit.errors import UserError
from crossbit.evaluation import parse_measure
from crossbit.evaluation.rankings import HammingRanking
from crossbit.evaluation.reranked import Ordered, RerankedRanking
from crossbit.index import embeddings

TIES = ["expected", "index", "best", "worst"]
Loop = Callable[[list[int], list[float], int | None], float]


def relevant(of: Callable[[list[bool], int], float]) -> Loop:
    def loop(shared: list[int], alike: list[float], k: int | None) -> float:
        return of([g > 0 for g in shared], k or len(shared)) if any(shared) else float("nan")

    return loop


def mean_overlap(shared: list[int], alike: list[float], k: int | None) -> float:
    return float(np.mean(alike[:k])) if any(alike) else float("nan")


LOOPS: dict[str, Loop] = {
    "mAP@{}": relevant(oracles.average_precision),
    "mAP@{}(cutoff=topk)": relevant(lambda ranked, k: oracles.average_precision(ranked, k, "topk")),
    "P@{}": relevant(oracles.precision_at),
    "recall@{}": relevant(oracles.recall_at),
    "hit@{}": relevant(oracles.hit_at),
    "overlap@{}": mean_overlap,
    "NDCG@{}": lambda shared, alike, k: oracles.normalised_gain(shared, k),
    "NDCG@{}(gain=overlap)": lambda shared, alike, k: oracles.normalised_overlap(alike, k),
}


def toy(seed: int, classes: bool, m: int = 3, n: int = 6) -> dict[str, Any]:
    """Codes that differ in three bits and vectors of few values, so that ties are many in both."""
    rng = np.random.default_rng(seed)
    codes = np.ones((m + n, 8), np.int64)
    codes[:, :3] = rng.choice([-1, 1], (m + n, 3))
    labels = rng.integers(0, 3, m + n) if classes else (rng.random((m + n, 4)) < 0.4).astype(np.uint8)
    return {"codes": codes, "vectors": rng.integers(-1, 2, (m + n, 2)).astype(float), "labels": labels, "m": m}


def ranking(toy: dict[str, Any]) -> RerankedRanking:
    m = toy["m"]
    sides = [Ordered(pack(toy["codes"][some]), toy["vectors"][some]) for some in (slice(m), slice(m, None))]
    return RerankedRanking.of(*sides, toy["labels"][:m], toy["labels"][m:])


def by_loops(toy: dict[str, Any], loop: Loop, k: int | None, ties: str, shortlist: int) -> list[float]:
    m, found = toy["m"], []
    distances = oracles.hamming(toy["codes"][:m], toy["codes"][m:])
    for row, vector, label in zip(distances, toy["vectors"][:m], toy["labels"][:m], strict=True):
        lengths = [np.linalg.norm(vector) * np.linalg.norm(other) for other in toy["vectors"][m:]]
        cosines = [
            round(float(vector @ other) / length, 9) if length else 0.0
            for other, length in zip(toy["vectors"][m:], lengths, strict=True)
        ]
        places = oracles.reranked(row, cosines, shortlist)
        grades = [(oracles.shared_labels(label, o), oracles.overlap(label, o)) for o in toy["labels"][m:]]

        def cut(ranked: Any) -> float:
            return loop([shared for shared, _ in ranked], [alike for _, alike in ranked], k)

        found.append(oracles.over_items(places, grades, cut, ties))  # type: ignore[arg-type]
    return found


def values(name: str, ranked: Any) -> np.ndarray:
    measure = parse_measure(name)
    return np.concatenate([measure.values(block) for block in ranked.blocks()])


@pytest.mark.slow
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("name", LOOPS)
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 8), shortlist=st.integers(1, 7), classes=st.booleans())
def test_every_order_of_ties_is_enumerated(
    name: str, ties: str, seed: int, k: int, shortlist: int, classes: bool
) -> None:
    """The shortlist ends before, at and behind the cut, and may be the whole database."""
    made = toy(seed, classes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crossbit.evaluation.reranked.SHORTLIST", shortlist)
        known = name.format(k)
        asked = f"{known[:-1]}, ties={ties})" if known.endswith(")") else f"{known}(ties={ties})"
        found = values(asked, ranking(made))
    np.testing.assert_allclose(found, by_loops(made, LOOPS[name], k, ties, shortlist), atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("name", ["mAP@all", "NDCG@all(gain=overlap)"])
def test_the_whole_ranking(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossbit.evaluation.reranked.SHORTLIST", 3)
    made, loop = toy(4, False), LOOPS[name.replace("all", "{}")]
    np.testing.assert_allclose(values(name, ranking(made)), by_loops(made, loop, None, "expected", 3), atol=1e-12)


def far(m: int = 20, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vectors and labels of so many rows that most are on no shortlist."""
    rng = np.random.default_rng(0)
    vectors, labels = rng.normal(size=(m + n, 16)), (rng.random((m + n, 5)) < 0.3).astype(np.uint8)
    return vectors[:m], vectors[m:], labels[:m], labels[m:]


def test_it_is_the_order_of_the_search() -> None:
    query, database, labels, other = far()
    ranked = RerankedRanking.of(Ordered(pack(query), query), Ordered(pack(database), database), labels, other)
    found = []
    for vector, label in zip(query, labels, strict=True):
        distances = ((database >= 0) != (vector >= 0)).sum(axis=1)
        near = np.argsort(distances, kind="stable")
        near = near[: embeddings.shortlist(distances[near].astype(np.int32), 10)]
        order = near[np.lexsort((near, distances[near], -embeddings.cosines(database[near], vector)))]
        found.append((other[order[:10]] & label).any(axis=1).mean())
    some = labels.any(axis=1)
    assert SHORTLIST < ranked.items and some.any()
    np.testing.assert_allclose(values("P@10(empty=zero)", ranked)[some], np.array(found)[some])


def test_what_orders_may_have_another_width_and_moves_nothing_behind_the_shortlist() -> None:
    query, database, labels, other = far()
    codes, wide = HammingRanking.of(pack(query), pack(database), labels, other), np.hstack([database, -database[:, :3]])
    asked = np.hstack([query, query[:, :3]])
    ranked = RerankedRanking.of(Ordered(pack(query), asked), Ordered(pack(database), wide), labels, other)
    assert (values("P@10", ranked) != values("P@10", codes)).any()
    for name in ("P@400", "recall@399", "P@radius3"):
        np.testing.assert_array_equal(values(name, ranked), values(name, codes))


def test_equal_vectors_leave_the_order_of_the_codes() -> None:
    query, database, labels, other = far()
    same = np.ones((len(query), 1)), np.ones((len(database), 1))
    ranked = RerankedRanking.of(Ordered(pack(query), same[0]), Ordered(pack(database), same[1]), labels, other)
    codes = HammingRanking.of(pack(query), pack(database), labels, other)
    for name in ("mAP@all", "NDCG@10(gain=overlap)", "overlap@10(ties=index)", "mAP@50(ties=best)", "NDCG@200"):
        np.testing.assert_allclose(values(name, ranked), values(name, codes), atol=1e-12)


def test_queries_in_parts_have_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    query, database, labels, other = far()
    ranked = RerankedRanking.of(Ordered(pack(query), query), Ordered(pack(database), database), labels, other)
    whole = {name: values(name, ranked) for name in ("mAP@all", "NDCG@10", "overlap@200(ties=best)")}
    monkeypatch.setattr("crossbit.evaluation.reranked._PAIRS", 3 * len(database))
    monkeypatch.setattr("crossbit.evaluation.rankings._COUNTS", 7 * 17)
    for name, found in whole.items():
        np.testing.assert_allclose(values(name, ranked), found, atol=1e-13)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query": Ordered(np.zeros((2, 1), np.uint8), np.ones((3, 4)))}, "query_codes has 2 codes but 3 vectors"),
        ({"database": Ordered(np.zeros((2, 1), np.uint8), np.ones((2, 5)))}, "vectors of length 4 but db_codes of 5"),
        ({"query": Ordered(np.zeros((2, 1), np.uint8), np.full((2, 4), np.nan))}, "query_codes holds NaN"),
    ],
)
def test_vectors_that_do_not_fit_are_named(changes: dict[str, Any], message: str) -> None:
    good = {"query": Ordered(np.zeros((2, 1), np.uint8), np.ones((2, 4)))}
    sides = {**good, "database": good["query"], **changes}
    with pytest.raises(UserError, match=message):
        RerankedRanking.of(sides["query"], sides["database"], [0, 1], [0, 1])
