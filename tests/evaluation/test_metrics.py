"""The measures against worked values of the specification, recorded values, loops, and the laws they must keep."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from crossbit.bits import pack, unpack
from crossbit.errors import UserError
from crossbit.evaluation import (
    average_precision,
    chance_level,
    mean_average_precision,
    precision_at,
    precision_recall_by_radius,
)
from crossbit.evaluation.ties.counts import average_precision_of_counts

CUTOFFS = ["topk-R", "topk", "first-k-relevant"]
TIES = ["expected", "best", "worst", "index"]

# evaluation.md, section 2: groups (items, relevant items), expected AP, lowest, highest
TABLE = [
    ([(1, 1), (3, 1), (2, 1)], "409/540", "2/3", "13/15"),
    ([(4, 2)], "49/72", "5/12", "1"),
    ([(2, 1), (2, 2)], "13/18", "23/36", "29/36"),
    ([(1, 0), (3, 2), (1, 1)], "8/15", "43/90", "53/90"),
    ([(3, 0), (2, 1)], "9/40", "1/5", "1/4"),
    ([(5, 5)], "1", "1", "1"),
]

# evaluation.md, section 2: the worked example; its codes have 4 bits, so equal bits fill the byte
DEMO_QUERY = [[1, -1, 1, 1], [-1, -1, -1, 1], [1, 1, -1, 1], [1, 1, 1, -1]]
DEMO_DATABASE = [[1, -1, 1, -1], [-1, -1, 1, -1], [-1, -1, 1, -1], [1, 1, -1, -1], [-1, 1, -1, -1], [1, 1, -1, 1]]
DEMO_QUERY_LABELS = np.array([[0, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 1], [0, 1, 0, 1]])
DEMO_LABELS = np.array([[1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 1, 0]])


def packed(codes: list[list[int]]) -> np.ndarray:
    return pack(np.pad(np.array(codes), ((0, 0), (0, 4)), constant_values=1))


DEMO = packed(DEMO_QUERY), packed(DEMO_DATABASE), DEMO_QUERY_LABELS, DEMO_LABELS


def coded(groups: list[tuple[int, int]]) -> tuple[np.ndarray, ...]:
    """One query and a database whose tie group t lies at distance t; in each, the relevant items come first."""
    distances = np.repeat(range(len(groups)), [size for size, _ in groups])
    labels = np.concatenate([np.arange(size) < relevant for size, relevant in groups]).astype(np.int64)
    database = np.where(np.arange(8) < distances[:, None], -1, 1)
    return pack(np.ones((1, 8))), pack(database), np.array([1]), labels


def random_sides(seed: int, m: int, n: int, bits: int, classes: int = 3, share: float = 0.4) -> tuple[np.ndarray, ...]:
    """Queries and a database of -1/+1 codes that differ in few bits, so that ties are many, with 0/1 labels."""
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random((m + n, bits)) < 0.5, 1, -1)
    codes[:, min(4, bits) :] = 1
    labels = (rng.random((m + n, classes)) < share).astype(np.uint8)
    return codes[:m], codes[m:], labels[:m], labels[m:]


def pack_sides(sides: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    return pack(sides[0]), pack(sides[1]), sides[2], sides[3]


@st.composite
def groups_and_cut(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int]:
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    groups = [(size, draw(st.integers(0, size))) for size in sizes]
    groups[-1] = (groups[-1][0], max(1, groups[-1][1]))  # something is relevant
    return groups, draw(st.integers(1, sum(sizes) + 1))


@pytest.mark.parametrize(("groups", "expected", "lowest", "highest"), TABLE)
def test_tie_table_of_the_specification(groups, expected, lowest, highest):
    for ties, value in (("expected", expected), ("worst", lowest), ("best", highest)):
        assert mean_average_precision(*coded(groups), ties=ties) == pytest.approx(float(Fraction(value)), abs=1e-14)


def test_expected_precision_of_the_specification():
    assert precision_at(*coded(TABLE[0][0]), [3])[0] == pytest.approx(5 / 9, abs=1e-15)


def test_worked_example():
    stable = average_precision(*DEMO, ties="index")
    assert stable == pytest.approx([0.5833333, 0.95, 0.4777778, 0.8055556], abs=5e-8)
    assert mean_average_precision(*DEMO, ties="index") == pytest.approx(0.7041667, abs=5e-8)
    assert average_precision(*DEMO) == pytest.approx([1 / 2, 781 / 960, 83 / 180, 227 / 360], abs=1e-14)
    assert mean_average_precision(*DEMO) == pytest.approx(0.6013020833, abs=5e-11)


def test_worked_curve_by_radius():
    precision, recall = precision_recall_by_radius(*DEMO, average="micro")
    assert precision[:5] == pytest.approx([0, 1 / 5, 9 / 17, 11 / 21, 12 / 24], abs=1e-15)
    assert recall[:5] == pytest.approx([0, 1 / 12, 9 / 12, 11 / 12, 12 / 12], abs=1e-15)
    precision, recall = precision_recall_by_radius(*DEMO, average="macro")
    assert precision[:5] == pytest.approx([0, 0.125, 0.5208333, 0.5166667, 0.5], abs=5e-8)
    assert recall[:5] == pytest.approx([0, 0.0833333, 0.7708333, 0.9166667, 1], abs=5e-8)


def test_recorded_values(shared: Path):
    recorded = np.load(shared / "golden" / "metrics.npz")
    sides = pack(recorded["query"]), pack(recorded["db"]), recorded["query_labels"], recorded["db_labels"]
    for ties in TIES:  # no two distances are equal
        assert mean_average_precision(*sides, ties=ties) == pytest.approx(float(recorded["map_all_scipy"]), rel=1e-12)
        for k in (5, 50):
            value = mean_average_precision(*sides, k=k, cutoff="topk", ties=ties)
            assert value == pytest.approx(float(recorded[f"topk{k}_map"]), rel=1e-12)
    value = mean_average_precision(*sides, k=50, cutoff="first-k-relevant", ties="index")
    assert value == pytest.approx(float(recorded["map_first_50_relevant"]), rel=1e-7)  # recorded in float32
    assert value == pytest.approx(float(recorded["map_all"]), rel=1e-7)  # neither query has more than 50


@pytest.mark.slow
@given(groups_and_cut())
def test_every_order_of_ties_is_enumerated(drawn):
    groups, k = drawn
    sides = coded(groups)
    check_all_orders(groups, k, lambda **options: mean_average_precision(*sides, k=k, **options))
    for ties in ("expected", "best", "worst"):
        oracle = oracles.over_orders(groups, lambda ranking: oracles.precision_at(ranking, k), ties)
        assert precision_at(*sides, [k], ties=ties)[0] == pytest.approx(oracle, abs=1e-14)


@pytest.mark.slow
def test_every_order_of_every_two_small_groups():
    group = [(size, relevant) for size in range(1, 5) for relevant in range(size + 1)]
    for pair in itertools.product(group, repeat=2):
        size, relevant = np.array(pair).T
        for k in range(1, size.sum() if relevant.any() else 1):
            counts = size[None], relevant[None]
            check_all_orders(pair, k, lambda c=counts, k=k, **o: average_precision_of_counts(*c, k=k, **o)[0])


def check_all_orders(groups: Sequence[tuple[int, int]], k: int, value: Callable[..., float]) -> None:
    for cutoff, ties in itertools.product(CUTOFFS, ("expected", "best", "worst")):
        if (cutoff, ties) == ("first-k-relevant", "expected") and k < sum(size for size, _ in groups):
            continue
        oracle = oracles.over_orders(groups, lambda ranking, c=cutoff: oracles.average_precision(ranking, k, c), ties)
        assert abs(value(cutoff=cutoff, ties=ties) - oracle) < 1e-13, (groups, k, cutoff, ties)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 24, 64, 72, 128])
@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_order_of_the_database_is_a_stable_sort(cutoff, bits):
    sides = random_sides(bits, 6, 90, bits)
    for k in (None, 1, 7, 90, 1000):
        values = average_precision(*pack_sides(sides), k=k, cutoff=cutoff, ties="index")
        oracle = oracles.average_precisions(*sides, k=k, cutoff=cutoff, ties="index")
        np.testing.assert_allclose(values, oracle, rtol=1e-13)
    ranks = [oracles.stable(row, [oracles.is_relevant(label, other) for other in sides[3]])
             for row, label in zip(oracles.hamming(sides[0], sides[1]), sides[2], strict=True)]  # fmt: skip
    expected = [np.mean([oracles.precision_at(ranking, n) for ranking in ranks]) for n in (1, 10, 1000)]
    assert precision_at(*pack_sides(sides), [1, 10, 1000], ties="index") == pytest.approx(expected, abs=1e-14)


@pytest.mark.slow
def test_order_of_the_database_across_tiles_and_tasks():
    query, database, labels, other = random_sides(5, 70, 5000, 16, classes=70, share=0.03)
    rng = np.random.default_rng(6)
    database[:, 4:] = np.where(rng.random((5000, 12)) < 0.1, -1, 1)
    oracle = oracles.stable_average_precisions(query, database, labels, other)
    assert np.isnan(oracle).any()  # some queries have no label
    values = average_precision(pack(query), pack(database), labels, other, ties="index")
    np.testing.assert_allclose(values, oracle, rtol=1e-12)


def test_large_groups_against_the_double_sum():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 20_000, 9)
    sizes[[1, 4]] = 1
    groups = [(int(size), int(rng.binomial(size, 0.2))) for size in sizes]
    value = mean_average_precision(*coded(groups))
    assert value == pytest.approx(oracles.expected_average_precision(groups), rel=1e-12)


def test_without_ties_there_is_nothing_to_expect():
    """Every item a group of its own, deep in a long ranking, where H_n - H_(n-1) would drown in rounding."""
    relevant = np.random.default_rng(0).random(200_000) < 0.3
    relevant[:150_000] = False
    oracle = oracles.average_precision(relevant.tolist())
    counts = np.ones((1, 200_000), np.int64), relevant.astype(np.int64)[None]
    for ties in ("expected", "best", "worst"):
        assert average_precision_of_counts(*counts, ties=ties)[0] == pytest.approx(oracle, rel=1e-13)


@pytest.mark.parametrize("k", [31, 200, 900, 1029])
def test_large_straddling_group(k):
    """Too many orders to enumerate; the oracle sums over the exact hypergeometric probabilities."""
    groups = [(30, 3), (1000, 300), (50, 50)]
    value = mean_average_precision(*coded(groups), k=k, cutoff="topk")
    assert value == pytest.approx(oracles.expected_mean_of_found(groups, k), rel=1e-12)
    value = mean_average_precision(*coded(groups), k=k, cutoff="topk-R")
    assert value == pytest.approx(oracles.expected_average_precision(groups, k), rel=1e-12)


def test_cut_inside_a_huge_group():
    """In a single group the mean over x hits is linear in x, so only E[x] = k r/n matters; binomials of it overflow."""
    n, r, k = 200_000, 60_000, 100_000
    q = (k * r / n - 1) / (k - 1)
    expected = ((1 - q) * sum(1 / i for i in range(1, k + 1)) + q * k) / k
    value = average_precision_of_counts(np.array([[n]]), np.array([[r]]), k=k, cutoff="topk")
    assert value == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("empty_set", ["zero", "skip"])
def test_curves_against_loops(average, empty_set):
    sides = random_sides(3, 7, 40, 8)
    sides[2][0] = 0  # a query without relevant items
    sides[0][:, 4:] = -1  # nothing lies nearer than 4
    curves = precision_recall_by_radius(*pack_sides(sides), average=average, empty_set=empty_set)
    assert np.isnan(curves[0][0]) == (empty_set == "skip")
    for curve, oracle in zip(curves, oracles.precision_recall(*sides, average, empty_set), strict=True):
        np.testing.assert_allclose(curve, oracle, atol=1e-14)


def test_curves_end_at_the_base_rate():
    sides = pack_sides(random_sides(4, 9, 50, 16))
    relevance = (sides[2].astype(int) @ sides[3].T > 0).mean()
    precision, recall = precision_recall_by_radius(*sides)
    assert precision[-1] == pytest.approx(relevance)
    assert recall[-1] == 1


@pytest.mark.slow
@given(st.integers(0, 10_000), st.sampled_from([8, 16, 72]))
def test_shuffling_the_database_changes_nothing_expected(seed, bits):
    query, database, labels, other = pack_sides(random_sides(seed, 5, 60, bits))
    other[0] = labels[0] = 1
    order = np.random.default_rng(seed).permutation(60)
    for k in (None, 7):
        for ties in ("expected", "best", "worst"):
            value = mean_average_precision(query, database, labels, other, k=k, cutoff="topk", ties=ties)
            shuffled = mean_average_precision(
                query, database[order], labels, other[order], k=k, cutoff="topk", ties=ties
            )
            assert abs(value - shuffled) < 1e-12


def test_shuffling_the_database_changes_the_stable_order():
    query, database, labels, other = pack_sides(random_sides(0, 5, 60, 8))
    order = np.random.default_rng(0).permutation(60)
    value = mean_average_precision(query, database, labels, other, ties="index")
    assert value != pytest.approx(
        mean_average_precision(query, database[order], labels, other[order], ties="index"), abs=1e-3
    )


@given(st.integers(0, 10_000), st.sampled_from([8, 24, 64]))
def test_flipping_and_permuting_bits_of_all_codes_changes_nothing(seed, bits):
    query, database, labels, other = random_sides(seed, 4, 30, bits)
    other[0] = labels[0] = 1
    rng = np.random.default_rng(seed)
    signs, order = rng.choice([-1, 1], bits), rng.permutation(bits)
    for ties in TIES:
        value = mean_average_precision(pack(query), pack(database), labels, other, ties=ties)
        moved = (pack((codes * signs)[:, order]) for codes in (query, database))
        assert mean_average_precision(*moved, labels, other, ties=ties) == value


@given(st.integers(0, 10_000), st.integers(1, 70), st.sampled_from(CUTOFFS))
def test_every_kind_of_ties_lies_between_the_bounds(seed, k, cutoff):
    query, database, labels, other = pack_sides(random_sides(seed, 5, 60, 8))
    worst, best = (
        average_precision(query, database, labels, other, k=k, cutoff=cutoff, ties=ties) for ties in ("worst", "best")
    )
    for ties in ("index", "expected"):
        if ties == "expected" and cutoff == "first-k-relevant" and k < 60:
            continue
        between = average_precision(query, database, labels, other, k=k, cutoff=cutoff, ties=ties)
        some = ~np.isnan(between)
        assert (worst[some] <= between[some] + 1e-12).all()
        assert (between[some] <= best[some] + 1e-12).all()


def test_swapping_queries_and_database_is_another_question():
    query, database, labels, other = pack_sides(random_sides(0, 20, 30, 8))
    there = mean_average_precision(query, database, labels, other)
    assert there != pytest.approx(mean_average_precision(database, query, other, labels), abs=1e-4)


def test_perfect_codes_give_one():
    classes = np.arange(6) % 3
    codes = pack(np.eye(8)[classes] * 2 - 1)
    for ties in TIES:
        assert mean_average_precision(codes, codes, classes, classes, ties=ties) == 1


def test_constant_codes_give_the_value_of_a_random_order():
    n = 1000
    labels = np.zeros(n, np.int64)
    labels[3] = 1
    value = mean_average_precision(np.zeros((1, 1), np.uint8), np.zeros((n, 1), np.uint8), [1], labels)
    assert value == pytest.approx(sum(1 / i for i in range(1, n + 1)) / n, rel=1e-14)
    assert chance_level([1], labels) == value


def test_random_codes_score_near_chance():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (2100, 8), dtype=np.uint8)
    labels = (rng.random((2100, 5)) < 0.2).astype(np.uint8)
    chance = chance_level(labels[:100], labels[100:])
    value = mean_average_precision(codes[:100], codes[100:], labels[:100], labels[100:])
    assert value == pytest.approx(chance, abs=0.01)
    assert 0.1 < chance < 0.9


def test_batches_of_queries_add_up():
    query, database, labels, other = pack_sides(random_sides(8, 21, 80, 16))
    for ties in TIES:
        whole = average_precision(query, database, labels, other, ties=ties, empty="zero")
        parts = [
            average_precision(query[rows], database, labels[rows], other, ties=ties, empty="zero")
            for rows in (slice(0, 1), slice(1, 10), slice(10, 21))
        ]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
        assert mean_average_precision(query, database, labels, other, ties=ties, empty="zero") == pytest.approx(
            sum(part.sum() for part in parts) / 21, rel=1e-14
        )


def test_memory_stays_bounded_by_working_in_blocks(monkeypatch):
    query, database, labels, other = pack_sides(random_sides(8, 21, 80, 16))
    sides = query, database, labels, other
    whole = [average_precision(*sides, ties=ties) for ties in TIES]
    curves = precision_recall_by_radius(*sides, average="macro")
    monkeypatch.setattr("crossbit.evaluation.rankings._COUNTS", 4 * 17)  # blocks of four queries
    for values, ties in zip(whole, TIES, strict=True):
        np.testing.assert_array_equal(average_precision(*sides, ties=ties), values)
    np.testing.assert_allclose(precision_recall_by_radius(*sides, average="macro"), curves, rtol=1e-14)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32])
def test_label_types_and_widths(kind):
    for classes in (1, 8, 24, 63, 64, 65, 200, 1100):
        sides = random_sides(classes, 3, 7, 8, classes=classes, share=1 / math.sqrt(classes))
        sides[2][0], sides[3][0] = 1, 1
        for ties in ("expected", "index"):
            value = average_precision(*pack_sides(sides)[:2], *(side.astype(kind) for side in sides[2:]), ties=ties)
            np.testing.assert_allclose(value, oracles.average_precisions(*sides, ties=ties), rtol=1e-12)


@pytest.mark.parametrize("classes", [5, 12, 70])
def test_codes_and_labels_may_lie_in_any_order_of_memory(classes):
    random = np.random.default_rng(classes)
    given = [random.integers(0, 256, (30, 2), np.uint8) for _ in range(2)]
    given += [random.integers(0, 2, (30, classes), np.uint8) for _ in range(2)]
    turned = [np.asfortranarray(each) for each in given]
    for ties in ("expected", "index"):
        assert mean_average_precision(*turned, ties=ties) == mean_average_precision(*given, ties=ties)


def test_class_numbers_are_single_labels():
    query, database, _, _ = pack_sides(random_sides(2, 6, 40, 8))
    rng = np.random.default_rng(2)
    classes, other = rng.integers(0, 3, 6), rng.integers(0, 3, 40).astype(np.uint16)
    for ties in TIES:
        value = mean_average_precision(query, database, classes, other, ties=ties)
        assert value == mean_average_precision(query, database, np.eye(3)[classes], np.eye(3)[other], ties=ties)


def test_three_cutoffs_are_one_without_a_cut():
    sides = pack_sides(random_sides(1, 6, 50, 8))
    for ties in TIES:
        whole = mean_average_precision(*sides, ties=ties)
        for cutoff in CUTOFFS:
            for k in (None, 50, 10**9, np.int32(50)):
                assert mean_average_precision(*sides, k=k, cutoff=cutoff, ties=ties) == pytest.approx(whole, rel=1e-14)


def test_topk_can_be_one_with_a_single_hit():
    sides = coded([(1, 1), (1, 0), (3, 3)])
    assert mean_average_precision(*sides, k=2, cutoff="topk") == 1
    assert mean_average_precision(*sides, k=2, cutoff="topk-R") == 1 / 2
    assert mean_average_precision(*sides, k=2, cutoff="first-k-relevant", ties="best") == pytest.approx(5 / 6)


def test_empty_queries():
    codes, labels = np.zeros((2, 1), np.uint8), np.array([[1, 0], [0, 0]])
    sides = codes, codes, labels, labels
    np.testing.assert_array_equal(average_precision(*sides), [0.75, np.nan])
    np.testing.assert_array_equal(average_precision(*sides, empty="zero"), [0.75, 0])
    assert mean_average_precision(*sides) == 0.75
    assert mean_average_precision(*sides, empty="zero") == 0.375
    none = codes, codes, 0 * labels, labels
    assert mean_average_precision(*none, empty="zero") == 0
    with pytest.raises(UserError, match="no query has a relevant item"):
        mean_average_precision(*none)
    with pytest.raises(UserError, match="no query has a relevant item"):
        precision_recall_by_radius(*none)


def test_an_empty_database_holds_nothing_relevant():
    sides = np.zeros((2, 1), np.uint8), np.zeros((0, 1), np.uint8), [0, 1], np.zeros(0, np.int64)
    for ties in TIES:
        assert np.isnan(average_precision(*sides, ties=ties)).all()
    with pytest.raises(UserError, match="no query has a relevant item"):
        mean_average_precision(*sides)
    for measure in (lambda: precision_at(*sides, [1]), lambda: precision_recall_by_radius(*sides)):
        with pytest.raises(UserError, match="db_codes has no rows"):
            measure()


def test_no_queries():
    sides = np.zeros((0, 1), np.uint8), np.zeros((2, 1), np.uint8), np.zeros(0, np.int64), [0, 1]
    for ties in TIES:
        assert average_precision(*sides, ties=ties).shape == (0,)
    with pytest.raises(UserError, match="there are no queries"):
        mean_average_precision(*sides)


def test_precision_beyond_the_database_divides_by_its_size():
    sides = coded([(1, 1), (3, 1)])
    for ties in TIES:
        assert precision_at(*sides, [4, 100], ties=ties).tolist() == [0.5, 0.5]
    assert precision_at(*sides, 1).tolist() == [1.0]


def test_cuts_may_stand_in_any_order():
    sides = coded([(1, 1), (3, 1), (2, 0)])
    for ties in TIES:
        each = [precision_at(*sides, n, ties=ties)[0] for n in (5, 1, 3, 2)]
        assert precision_at(*sides, [5, 1, 3, 2], ties=ties).tolist() == each
        assert len(set(each)) > 2


CODES = np.zeros((2, 2), np.uint8)
LABELS = np.array([0, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_codes": CODES.astype(float)}, "query_codes: packed codes are uint8"),
        ({"db_codes": CODES[0]}, "db_codes: packed codes are uint8"),
        ({"db_codes": CODES[:, :1]}, "query_codes has codes of 16 bits but db_codes of 8"),
        ({"query_labels": [0]}, "query_labels has 1 rows but query_codes has 2"),
        ({"db_labels": [0, 1, 1]}, "db_labels has 3 rows but db_codes has 2"),
        ({"db_labels": np.eye(2)}, r"query_labels has shape \(2,\) but db_labels has \(2, 2\)"),
        ({"query_labels": np.ones((2, 3)), "db_labels": np.ones((2, 2))}, r"has shape \(2, 3\) but db_labels"),
        ({"query_labels": [-1, 0]}, "query_labels holds class -1"),
        ({"query_labels": [0.5, 1]}, "query_labels is float64"),
        ({"query_labels": [[0, 2], [1, 0]]}, "query_labels holds 2"),
        ({"db_labels": [[np.nan], [1]], "query_labels": [[1], [1]]}, "db_labels holds nan.*class number"),
        ({"db_labels": ["a", "b"]}, "db_labels is <U1"),
        ({"k": 0}, "k is 0"),
        ({"k": 2.0}, "k is 2.0"),
        ({"k": True}, "k is True"),
        ({"cutoff": "topk_R"}, "unknown cutoff 'topk_R'; did you mean 'topk-R'"),
        ({"ties": "random"}, "unknown ties 'random'.*best, expected, index, worst"),
        ({"empty": "drop"}, "unknown empty 'drop'"),
        ({"k": 1, "cutoff": "first-k-relevant"}, "not defined with ties='expected'"),
    ],
)
def test_bad_input_is_named(change, message):
    good = {"query_codes": CODES, "db_codes": CODES, "query_labels": LABELS, "db_labels": LABELS}
    assert mean_average_precision(**good) == 0.75
    for measure in (mean_average_precision, average_precision):
        with pytest.raises(UserError, match=message) as caught:
            measure(**{**good, **change})
        assert "\n" not in str(caught.value)


def test_bad_options_of_the_curves():
    with pytest.raises(UserError, match="n is 0"):
        precision_at(CODES, CODES, LABELS, LABELS, [1, 0])
    with pytest.raises(UserError, match="unknown average"):
        precision_recall_by_radius(CODES, CODES, LABELS, LABELS, average="mean")
    with pytest.raises(UserError, match="unknown empty_set"):
        precision_recall_by_radius(CODES, CODES, LABELS, LABELS, empty_set="drop")


def test_inputs_are_left_alone():
    sides = pack_sides(random_sides(1, 6, 50, 8))
    for side in sides:
        side.flags.writeable = False
    copies = [side.copy() for side in sides]
    for ties in TIES:
        mean_average_precision(*sides, ties=ties)
    for side, copy in zip(sides, copies, strict=True):
        np.testing.assert_array_equal(side, copy)
    assert unpack(sides[0]).shape == (6, 8)
