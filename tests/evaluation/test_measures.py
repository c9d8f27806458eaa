"""Every measure by its name: against all orders that ties allow, the specification's values and other libraries."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

import oracles
from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.evaluation import chance_level, figure, mean_average_precision, parse_measure
from crossbit.evaluation.cosine import CosineRanking
from crossbit.evaluation.measure import MEASURES, Measure
from crossbit.evaluation.rankings import HammingRanking

TIES = ["expected", "index", "best", "worst"]
Sides = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def sides(seed: int, m: int = 4, n: int = 7, *, classes: bool = False, bits: int = 8, vary: int = 3) -> Sides:
    """Queries and a database of -1/+1 codes that differ in few bits, so that ties are many; the last query is empty."""
    rng = np.random.default_rng(seed)
    codes = np.ones((m + n, bits), np.int64)
    codes[:, :vary] = rng.choice([-1, 1], (m + n, vary))
    if classes:
        labels = rng.integers(0, 3, m + n)
        labels[m - 1] = 9
    else:
        labels = (rng.random((m + n, 4)) < 0.4).astype(np.uint8)
        labels[m - 1] = 0
    return codes[:m], codes[m:], labels[:m], labels[m:]


def values(measure: Measure | str, query: Any, database: Any, labels: Any, other: Any) -> np.ndarray:
    """A measure's figure of every query: of packed codes by Hamming distance, of vectors by cosine."""
    measure = parse_measure(measure) if isinstance(measure, str) else measure
    ranking = (HammingRanking if query.dtype == np.uint8 else CosineRanking).of(query, database, labels, other)
    return np.concatenate([measure.fill(measure.values(block)) for block in ranking.blocks()])


def both_ways(codes: Sides) -> list[Sides]:
    """The same ranking as packed codes, and as real vectors."""
    query, database, *labels = codes
    return [(pack(query), pack(database), *labels), (1.5 * query, 0.1 * database, *labels)]


def overlaps(codes: Sides, k: int | None, ties: str) -> list[float]:
    query, database, labels, other = codes
    found = []
    for row, label in zip(oracles.hamming(query, database), labels, strict=True):
        alike: list[Any] = [oracles.overlap(label, item) for item in other]
        mean = oracles.over_items(row, alike, lambda ranked: np.mean(ranked[:k]), ties)
        found.append(mean if any(alike) else float("nan"))
    return found


def of_ranks(cut: Callable[[list[int], int | None], float]) -> Callable[..., list[float]]:
    """Every query's value by loops, of a function of (labels shared at each rank, k)."""

    def loop(codes: Sides, k: int | None, ties: str) -> list[float]:
        query, database, labels, other = codes
        found = []
        for row, label in zip(oracles.hamming(query, database), labels, strict=True):
            gains = [oracles.shared_labels(label, item) for item in other]
            found.append(oracles.over_items(row, gains, lambda ranked: cut(ranked, k), ties))
        return found

    return loop


def binary(of: Callable[[list[bool], int], float]) -> Callable[..., list[float]]:
    def cut(ranked: list[int], k: int | None) -> float:
        relevant = [g > 0 for g in ranked]
        return of(relevant, k or len(ranked)) if any(relevant) else float("nan")

    return of_ranks(cut)


ORACLES = {
    "mAP@": binary(oracles.average_precision),
    "P@": binary(oracles.precision_at),
    "recall@": binary(oracles.recall_at),
    "hit@": binary(oracles.hit_at),
    "NDCG@": of_ranks(oracles.normalised_gain),
    "overlap@": overlaps,
}


def test_every_measure_of_ranks_has_an_oracle() -> None:
    assert sorted(ORACLES) == sorted(name for name, kind in MEASURES.items() if "ties" in kind.__dataclass_fields__)


@pytest.mark.slow
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("name", ORACLES)
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 9), classes=st.booleans())
def test_every_order_of_ties_is_enumerated(name: str, ties: str, seed: int, k: int, classes: bool) -> None:
    codes = sides(seed, m=3, n=6, classes=classes)
    oracle = ORACLES[name](codes, k, ties)
    for given_codes in both_ways(codes):
        found = values(f"{name}{k}(ties={ties}, empty=skip)", *given_codes)
        np.testing.assert_allclose(found, oracle, atol=1e-13, equal_nan=True)
        filled = values(f"{name}{k}(ties={ties}, empty=zero)", *given_codes)
        np.testing.assert_allclose(filled, np.nan_to_num(oracle), atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("ties", TIES)
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), k=st.sampled_from([1, 2, 3, 5, 9, "all"]), classes=st.booleans())
def test_a_gain_may_be_how_alike_labels_are(ties: str, seed: int, k: int | str, classes: bool) -> None:
    codes = sides(seed, m=3, n=6, classes=classes)
    oracle = []
    for row, label in zip(oracles.hamming(*codes[:2]), codes[2], strict=True):
        alike: list[Any] = [oracles.overlap(label, item) for item in codes[3]]
        cut = None if k == "all" else k
        oracle.append(oracles.over_items(row, alike, lambda r, cut=cut: oracles.normalised_overlap(r, cut), ties))
    for given_codes in both_ways(codes):
        found = values(f"NDCG@{k}(gain=overlap, ties={ties}, empty=skip)", *given_codes)
        np.testing.assert_allclose(found, oracle, atol=1e-13, equal_nan=True)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("name", ["mAP@", "NDCG@"])
def test_the_whole_ranking(name: str, ties: str) -> None:
    codes = sides(5)
    for given_codes in both_ways(codes):
        whole = values(f"{name}all(ties={ties}, empty=skip)", *given_codes)
        np.testing.assert_allclose(whole, ORACLES[name](codes, None, ties), atol=1e-13)
        np.testing.assert_allclose(values(f"{name}7(ties={ties}, empty=skip)", *given_codes), whole, atol=1e-15)
        np.testing.assert_allclose(values(f"{name}999(ties={ties}, empty=skip)", *given_codes), whole, atol=1e-15)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize(
    "name",
    ["mAP@{}", "mAP@{}(cutoff=topk)", "P@{}", "recall@{}", "hit@{}", "NDCG@{}", "NDCG@{}(gain=overlap)", "overlap@{}"],
)
def test_a_cut_far_behind_the_end_is_at_the_end(name: str, ties: str) -> None:
    for given_codes in both_ways(sides(3)):
        far, near = (replace(parse_measure(name.format(k)), ties=ties) for k in (10**30, len(given_codes[1])))  # type: ignore[call-arg]
        np.testing.assert_array_equal(values(far, *given_codes), values(near, *given_codes))


@pytest.mark.parametrize("empty", ["skip", "zero"])
@given(seed=st.integers(0, 10_000), radius=st.integers(0, 8))
def test_precision_within_a_radius(empty: str, seed: int, radius: int) -> None:
    codes = sides(seed, vary=8)
    oracle = [
        oracles.precision_within(row, [oracles.is_relevant(label, item) for item in codes[3]], radius)
        for row, label in zip(oracles.hamming(*codes[:2]), codes[2], strict=True)
    ]
    expected = np.nan_to_num(oracle) if empty == "zero" else oracle
    for given_codes in both_ways(codes):
        np.testing.assert_allclose(values(f"P@radius{radius}(empty={empty})", *given_codes), expected, atol=1e-15)


def test_a_radius_of_real_vectors_is_the_hamming_distance_of_signs_at_any_length() -> None:
    rng = np.random.default_rng(0)
    for bits in (24, 1000):  # d (1 - cosine) / 2 is whole only up to rounding
        signs = rng.choice([-1.0, 1.0], (2, 40, bits))
        labels = rng.integers(0, 2, 40)
        near = int(np.median(bits - signs[0] @ signs[1].T) / 2)
        codes = figure(f"P@radius{near}", pack(signs[0]), pack(signs[1]), labels, labels)
        assert 0 < codes == pytest.approx(figure(f"P@radius{near}", *signs, labels, labels), abs=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 24, 32, 48, 1000])
def test_scaled_codes_are_tied_as_the_codes_are_at_any_length(bits: int) -> None:
    rng = np.random.default_rng(bits)
    signs, labels = rng.choice([-1.0, 1.0], (2, 60, bits)), rng.integers(0, 3, 60)
    codes, scaled = (pack(signs[0]), pack(signs[1]), labels, labels), (signs[0], 0.3 * signs[1], labels, labels)
    for name in ("mAP@all", "mAP@10(cutoff=topk)", "P@10", "hit@3", "NDCG@20"):
        for ties in TIES:
            asked = f"{name.rstrip(')')}{', ' if '(' in name else '('}ties={ties})"
            assert figure(asked, *scaled) == pytest.approx(figure(asked, *codes), abs=1e-12), asked


# --- the specification ----------------------------------------------------------------------------------------------

DEMO_QUERY = [[1, -1, 1, 1], [-1, -1, -1, 1], [1, 1, -1, 1], [1, 1, 1, -1]]
DEMO_DATABASE = [[1, -1, 1, -1], [-1, -1, 1, -1], [-1, -1, 1, -1], [1, 1, -1, -1], [-1, 1, -1, -1], [1, 1, -1, 1]]
DEMO_LABELS = [[0, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 1], [0, 1, 0, 1]]
DEMO_OTHER = [[1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 1, 0]]


def in_groups(*groups: tuple[int, int]) -> Sides:
    """One query and a database whose tie group t lies at distance t; the relevant items of each come first."""
    distance = np.repeat(range(len(groups)), [size for size, _ in groups])
    labels = np.concatenate([np.arange(size) < relevant for size, relevant in groups]).astype(np.int64)
    return pack(np.ones((1, 8))), pack(np.where(np.arange(8) < distance[:, None], -1, 1)), np.array([1]), labels


def test_check_values_of_the_specification() -> None:
    assert figure("P@3", *in_groups((1, 1), (3, 1), (2, 1))) == pytest.approx(5 / 9, abs=1e-15)
    assert figure("recall@3", *in_groups((1, 1), (3, 1), (2, 1))) == pytest.approx(5 / 9, abs=1e-15)  # N = R
    assert figure("mAP@all", *in_groups((4, 2))) == pytest.approx(49 / 72, abs=1e-15)
    n = 1000
    assert figure("mAP@all", *in_groups((n, 1))) == pytest.approx(sum(1 / i for i in range(1, n + 1)) / n, rel=1e-14)


def test_hit_probability_of_the_specification() -> None:
    """Miss = C(n - r, take) / C(n, take) where no earlier group has a hit."""
    for n, r, take in ((5, 2, 3), (40, 7, 11), (300, 90, 200), (100_000, 3, 50_000)):
        miss = math.comb(n - r, take) / math.comb(n, take) if n < 1000 else 1 / 8  # nearly
        measured = figure(f"hit@{4 + take}", *in_groups((4, 0), (n, r)))
        assert measured == pytest.approx(1 - miss, abs=1e-13 if n < 1000 else 1e-4)
        assert figure(f"hit@{5 + take}", *in_groups((4, 0), (1, 1), (n, r))) == 1
        assert figure("hit@4", *in_groups((4, 0), (n, r))) == 0


def test_worked_curve_of_the_specification_within_a_radius() -> None:
    query, database = (
        pack(np.pad(np.array(codes), ((0, 0), (0, 4)), constant_values=1)) for codes in (DEMO_QUERY, DEMO_DATABASE)
    )
    found = [figure(f"P@radius{radius}", query, database, DEMO_LABELS, DEMO_OTHER) for radius in range(5)]
    assert found == pytest.approx([0, 0.125, 0.5208333, 0.5166667, 0.5], abs=5e-8)
    assert figure("mAP@all", query, database, DEMO_LABELS, DEMO_OTHER) == pytest.approx(0.6013020833, abs=5e-11)
    stable = figure("mAP@all(ties=index)", query, database, DEMO_LABELS, DEMO_OTHER)
    assert stable == pytest.approx(0.7041667, abs=5e-8)


@pytest.mark.slow
def test_recorded_values(shared: Path) -> None:
    recorded = np.load(shared / "golden" / "metrics.npz")
    codes = recorded["query"], recorded["db"], recorded["query_labels"], recorded["db_labels"]
    for given_codes in both_ways(codes):  # no two distances are equal, so every rule for ties must give the same
        for ties in TIES:
            found = figure(f"mAP@all(ties={ties})", *given_codes)
            assert found == pytest.approx(float(recorded["map_all_scipy"]), rel=1e-12)
            for k in (5, 50):
                found = figure(f"mAP@{k}(cutoff=topk, ties={ties})", *given_codes)
                assert found == pytest.approx(float(recorded[f"topk{k}_map"]), rel=1e-12)
        found = figure("mAP@50(cutoff=first-k-relevant, ties=index)", *given_codes)
        assert found == pytest.approx(float(recorded["map_first_50_relevant"]), rel=1e-7)  # recorded in float32


# --- pitfalls -------------------------------------------------------------------------------------------------------

EXPECTED = [
    "mAP@all",
    "mAP@7",
    "mAP@7(cutoff=topk)",
    "P@7",
    "recall@7",
    "hit@2",
    "NDCG@7",
    "NDCG@all",
    "overlap@7",
    "P@radius2",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
@given(seed=st.integers(0, 10_000))
def test_no_expected_value_depends_on_the_order_of_the_database(name: str, seed: int) -> None:
    query, database, labels, other = sides(seed, 5, 60, vary=5)
    order = np.random.default_rng(seed).permutation(60)
    for given_codes in both_ways((query, database, labels, other)):
        moved = given_codes[0], given_codes[1][order], labels, other[order]
        np.testing.assert_allclose(values(name, *moved), values(name, *given_codes), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["mAP@all", "mAP@7(cutoff=first-k-relevant)", "P@7", "recall@7", "hit@1", "NDCG@7", "overlap@7"]
)
def test_values_by_index_depend_on_it(name: str) -> None:
    query, database, labels, other = sides(0, 5, 60, vary=5)
    name = (name[:-1] + ", " if name.endswith(")") else name + "(") + "ties=index)"
    for given_codes in both_ways((query, database, labels, other)):
        turned = given_codes[0], given_codes[1][::-1], labels, other[::-1]
        assert figure(name, *turned) != pytest.approx(figure(name, *given_codes), abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ORACLES])
@given(seed=st.integers(0, 10_000), k=st.integers(1, 70))
def test_every_kind_of_ties_lies_between_the_bounds(name: str, seed: int, k: int) -> None:
    codes = both_ways(sides(seed, 5, 60, vary=4))
    for given_codes in codes:
        low, high, *between = (
            values(f"{name}{k}(ties={ties}, empty=zero)", *given_codes)
            for ties in ("worst", "best", "index", "expected")
        )
        for value in between:
            assert (low - 1e-12 <= value).all()
            assert (value <= high + 1e-12).all()


def test_perfect_codes_give_one() -> None:
    classes = np.arange(9) % 3
    codes = pack(np.eye(8)[classes] * 2 - 1)
    for name, ties in itertools.product(["mAP@all", "P@3", "recall@3", "hit@1", "NDCG@5", "overlap@3"], TIES):
        assert figure(f"{name}(ties={ties})", codes, codes, classes, classes) == 1
    assert figure("P@radius0", codes, codes, classes, classes) == 1


def test_constant_codes_give_chance() -> None:
    labels = np.array([1, 0, 0, 1, 0, 0, 0, 0, 1, 0])
    codes = np.zeros((10, 1), np.uint8)
    assert figure("mAP@all", codes[:1], codes, [1], labels) == chance_level([1], labels)
    for name in ("P@1", "P@4", "P@10", "P@radius0"):
        assert figure(name, codes[:1], codes, [1], labels) == pytest.approx(0.3, abs=1e-15)
    assert figure("recall@4", codes[:1], codes, [1], labels) == pytest.approx(0.4, abs=1e-15)


@pytest.mark.parametrize("name", ["mAP@5", "P@5", "recall@5", "hit@2", "NDCG@5", "overlap@5", "P@radius2"])
def test_flipping_and_permuting_bits_of_all_codes_changes_nothing(name: str) -> None:
    query, database, labels, other = sides(3, 5, 40, vary=5)
    rng = np.random.default_rng(0)
    signs, order = rng.choice([-1, 1], 8), rng.permutation(8)
    moved = (pack((codes * signs)[:, order]) for codes in (query, database))
    assert figure(name, *moved, labels, other) == figure(name, pack(query), pack(database), labels, other)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_order_of_packed_bits_changes_nothing(name: str) -> None:
    query, database, labels, other = sides(4, 5, 40, bits=16, vary=11)
    little = [np.packbits(codes > 0, axis=1, bitorder="little") for codes in (query, database)]
    assert figure(name, *little, labels, other) == figure(name, pack(query), pack(database), labels, other)


def test_own_pairs_lift_the_score() -> None:
    """A database of the queries themselves holds each query's own pair, which a good model puts first."""
    rng = np.random.default_rng(0)
    codes, labels = rng.integers(0, 256, (60, 4), dtype=np.uint8), rng.integers(0, 20, 60)
    others = rng.integers(0, 256, (60, 4), dtype=np.uint8)
    assert mean_average_precision(codes, codes, labels, labels) > mean_average_precision(codes, others, labels, labels)


def test_batches_of_queries_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = both_ways(sides(8, 21, 80, vary=6))
    names = [f"{name}7(ties={ties}, empty=zero)" for name in ORACLES for ties in TIES] + ["P@radius2"]
    whole = [[values(name, *of) for name in names] for of in codes]
    for module, limit in (
        ("rankings._COUNTS", 4 * 9),
        ("ties.gains._COUNTS", 3 * 9 * 5),
        ("cosine._SIMILARITIES", 4 * 80),
    ):
        monkeypatch.setattr(f"crossbit.evaluation.{module}", limit)
    for of, before in zip(codes, whole, strict=True):
        for name, value in zip(names, before, strict=True):
            np.testing.assert_allclose(values(name, *of), value, rtol=1e-13)


# --- instances ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", TIES)
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 6))
def test_the_own_pair_is_the_one_correct_item(ties: str, seed: int, k: int) -> None:
    query, database, labels, other = sides(seed, m=6, n=6)
    rows = oracles.hamming(query, database)
    expected = [
        oracles.over_items(row, [int(i == own) for i in range(6)], lambda ranked: oracles.hit_at(ranked, k), ties)
        for own, row in enumerate(rows)
    ]
    for given_codes in both_ways((query, database, labels, other)):
        found = figure(f"hit@{k}(correct=pair, ties={ties})", *given_codes)
        assert found == pytest.approx(np.mean(expected), abs=1e-13)


def test_several_correct_items_of_an_instance_by_its_number_as_label() -> None:
    """Five captions a picture: labels that number the pictures make each of them correct."""
    pictures, captions = np.array([[0], [15]], np.uint8), np.array([[1], [14], [0], [15], [240]], np.uint8)
    number = [0, 0, 1, 1, 0]  # of each caption's picture; the first picture's nearest caption is the other's
    assert [figure(f"hit@{k}", pictures, captions, [0, 1], number) for k in (1, 2)] == [0.5, 1]


def test_own_pairs_need_as_many_items_as_queries() -> None:
    codes = np.zeros((3, 1), np.uint8)
    with pytest.raises(UserError, match="own pair: 2 queries, but 3 items"):
        figure("hit@1(correct=pair)", codes[:2], codes, [0, 1], [0, 1, 2])


# --- other libraries ------------------------------------------------------------------------------------------------


def tied_case(seed: int, m: int = 12, n: int = 150) -> tuple[Sides, np.ndarray, np.ndarray]:
    """Packed sides with many ties, the distances and the numbers of shared labels, (m, n)."""
    query, database, labels, other = sides(seed, m, n, bits=16, vary=9)
    labels[:, 0] = 1  # every query finds something
    shared = np.array([[oracles.shared_labels(a, b) for b in other] for a in labels])
    return (pack(query), pack(database), labels, other), np.array(oracles.hamming(query, database)), shared


@pytest.mark.parametrize("seed", range(3))
def test_agreement_with_ir_measures(need: Callable[[str], ModuleType], seed: int) -> None:
    """trec_eval ranks ties by descending document name, so names that descend make them stand by index."""
    theirs = need("ir_measures")
    codes, distance, shared = tied_case(seed)
    names = [f"{len(shared[0]) - item:04d}" for item in range(len(shared[0]))]
    run = {str(q): dict(zip(names, (-row).astype(float).tolist(), strict=True)) for q, row in enumerate(distance)}
    graded = {
        str(q): {name: 2 ** int(g) - 1 for name, g in zip(names, row, strict=True)} for q, row in enumerate(shared)
    }
    pairs = {
        "mAP@all": theirs.AP,
        "P@10": theirs.P @ 10,
        "P@100": theirs.P @ 100,
        "recall@10": theirs.R @ 10,
        "recall@100": theirs.R @ 100,
        "hit@1": theirs.Success @ 1,
        "hit@5": theirs.Success @ 5,
        "NDCG@all": theirs.nDCG,
        "NDCG@10": theirs.nDCG @ 10,
    }
    for name, measure in pairs.items():
        found = {int(row.query_id): row.value for row in theirs.iter_calc([measure], graded, run)}
        by_query = [found[q] for q in range(len(shared))]
        np.testing.assert_allclose(values(f"{name}(ties=index)", *codes), by_query, rtol=1e-9, err_msg=name)
    found = {int(row.query_id): row.value for row in theirs.iter_calc([theirs.AP @ 20], graded, run)}
    total = (shared > 0).sum(axis=1)  # theirs divides by all relevant items, also where 20 ranks cannot hold them
    expected = [found[q] * total[q] / min(20, total[q]) for q in range(len(shared))]
    np.testing.assert_allclose(values("mAP@20(ties=index)", *codes), expected, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_agreement_with_torchmetrics(need: Callable[[str], ModuleType], seed: int) -> None:
    """On vectors without ties, which it puts in any order, with scores above 0, as it takes others for no hits at all.

    Its average precision at k divides by what was found in the first k: "topk".
    """
    theirs, torch = need("torchmetrics.functional.retrieval"), need("torch")
    rng = np.random.default_rng(seed)
    query, database = rng.normal(size=(9, 8)), rng.normal(size=(60, 8))
    labels, other = ((rng.random((rows, 4)) < 0.3).astype(np.uint8) for rows in (9, 60))
    labels[:, 0] = 1  # every query finds something
    unit, others = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, database))
    score = torch.tensor(2 + unit @ others.T, dtype=torch.float32)
    assert all(len(row.unique()) == 60 for row in score)
    shared = torch.tensor([[oracles.shared_labels(a, b) for b in other] for a in labels])
    pairs = {
        "mAP@": ("retrieval_average_precision", "(cutoff=topk)"),
        "P@": ("retrieval_precision", ""),
        "recall@": ("retrieval_recall", ""),
        "hit@": ("retrieval_hit_rate", ""),
        "NDCG@": ("retrieval_normalized_dcg", ""),
    }
    for name, (function, option) in pairs.items():
        target = 2**shared - 1 if name == "NDCG@" else (shared > 0).long()
        for k in (1, 7, 60):
            found = [float(getattr(theirs, function)(*both, top_k=k)) for both in zip(score, target, strict=True)]
            ours = values(f"{name}{k}{option}", query, database, labels, other)
            np.testing.assert_allclose(ours, found, rtol=1e-5, err_msg=f"{name}{k}")


@pytest.mark.parametrize("k", [1, 10, 77, None])
def test_expected_gain_agrees_with_sklearn(k: int | None) -> None:
    codes, distance, shared = tied_case(7)
    theirs = ndcg_score(2.0**shared - 1, -distance, k=k)
    assert figure(f"NDCG@{k or 'all'}", *codes) == pytest.approx(theirs, rel=1e-12)


def test_gains_of_very_many_labels_do_not_overflow() -> None:
    labels = np.ones((3, 1100), np.uint8)
    labels[1, 1:], labels[2, 600:] = 0, 0
    codes = np.array([[0], [1], [3]], np.uint8)
    found = figure("NDCG@all", codes[:1], codes[::-1].copy(), labels[:1], labels)
    ratio = (1 / math.log2(4)) / 1  # 2^1100 - 1 at rank 3 instead of rank 1 drowns all the rest
    assert found == pytest.approx(ratio, rel=1e-12)


# --- what is refused ------------------------------------------------------------------------------------------------


def test_a_measure_with_another_metric_is_refused() -> None:
    codes = np.zeros((2, 1), np.uint8)
    assert figure("P@1(metric=hamming)", codes, codes, [0, 1], [0, 1]) == 0.5
    with pytest.raises(UserError, match="these are codes, ranked by hamming"):
        figure("P@1(metric=cosine)", codes, codes, [0, 1], [0, 1])
    with pytest.raises(UserError, match="these are real vectors, ranked by cosine"):
        figure("P@1(metric=hamming)", codes + 0.5, codes + 0.5, [0, 1], [0, 1])


def test_nothing_to_average() -> None:
    codes = np.zeros((2, 1), np.uint8)
    for name in ("mAP@all", "recall@1", "P@1(empty=skip)", "hit@1(empty=skip)", "NDCG@1(empty=skip)"):
        with pytest.raises(UserError, match="no query has a relevant item"):
            figure(name, codes, codes, [0, 1], [2, 3])
    for name in ("P@1", "hit@1", "NDCG@1"):
        assert figure(name, codes, codes, [0, 1], [2, 3]) == 0
    with pytest.raises(UserError, match="no query retrieves anything"):
        figure("P@radius2(empty=skip)", codes, codes + np.uint8(255), [0, 1], [0, 1])
    with pytest.raises(UserError, match="first-k-relevant' is not defined with ties='expected'"):
        figure("mAP@1(cutoff=first-k-relevant)", codes, codes, [0, 1], [0, 1])
