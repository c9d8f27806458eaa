"""Statistics over seeds and queries against loops, other formulas and simulation; and what they refuse to claim."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats as scipy_stats

from crossbit.errors import UserError
from crossbit.evaluation.stats import (
    BOOTSTRAP,
    LEVEL,
    POWER,
    T_TEST,
    holm,
    paired_bootstrap,
    paired_t,
    smallest_findable,
    smallest_significant,
    summary,
)

NAN = float("nan")
RNG = np.random.default_rng


def test_a_summary_is_what_the_formulas_say() -> None:
    values = [0.71, 0.74, 0.70, 0.78, 0.73]
    mean = math.fsum(values) / 5
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / 4)
    over = summary(values)
    assert (over.mean, over.sd, over.n) == (pytest.approx(mean, abs=1e-15), pytest.approx(sd, abs=1e-15), 5)
    low, high = scipy_stats.t.interval(0.95, 4, loc=mean, scale=sd / math.sqrt(5))
    assert (over.low, over.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))


def test_one_run_has_no_spread_and_none_has_no_mean() -> None:
    one = summary([0.7, NAN])
    assert (one.mean, one.n) == (0.7, 1) and all(map(math.isnan, (one.sd, one.low, one.high)))
    none = summary({0: NAN})
    assert none.n == 0 and math.isnan(none.mean)
    assert summary([]).n == 0


def test_equal_runs_have_a_spread_of_exactly_nothing() -> None:
    over = summary([0.1 + 0.2, 0.3, 0.3])  # differ by rounding
    assert over.sd == 0 and over.low == over.high == over.mean


@pytest.mark.slow
def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    draws = RNG(0).normal(0.7, 0.02, (4000, 3))
    covered = np.mean([over.low <= 0.7 <= over.high for over in map(summary, draws)])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_findable_difference_is_found_that_often(n: int) -> None:
    trials = 20_000
    differences = RNG(n).normal(smallest_findable(n), 1, (trials, n))
    result = scipy_stats.ttest_1samp(differences, 0, axis=1)
    found = np.mean((result.pvalue < LEVEL) & (result.statistic > 0))
    assert abs(found - POWER) < 4 * math.sqrt(POWER * (1 - POWER) / trials)


@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_a_difference_is_significant_from_its_limit_on(n: int) -> None:
    unit = np.linspace(-1, 1, n) / np.linspace(-1, 1, n).std(ddof=1)  # mean 0, sd 1
    limit = smallest_significant(n)
    p = [paired_t(0.5 + 0.01 * (unit + limit * factor), [0.5] * n).p for factor in (0.99, 1.01)]
    assert p[0] > LEVEL > p[1]


def test_a_single_pair_finds_nothing_however_large() -> None:
    assert smallest_significant(1) == smallest_findable(1) == math.inf
    test = paired_t({0: 0.9}, {0: 0.1})
    assert math.isnan(test.p) and test.n == 1 and test.difference == pytest.approx(0.8)
    assert "no spread" in test.note


def test_the_t_test_is_that_of_its_formula() -> None:
    a, b = RNG(1).random(5), RNG(2).random(5)
    test = paired_t(a, b)
    differences = [x - y for x, y in zip(a, b, strict=True)]
    mean = math.fsum(differences) / 5
    error = math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / 4 / 5)
    assert test.p == pytest.approx(2 * scipy_stats.t.sf(abs(mean / error), 4), rel=1e-9)
    assert test.high - test.difference == pytest.approx(scipy_stats.t.isf(0.025, 4) * error, rel=1e-9)
    assert test.name == T_TEST and "seeds" in test.name
    assert test.findable == pytest.approx(smallest_findable(5) * error * math.sqrt(5), rel=1e-9)
    assert f"{test.findable:.4f}" in test.note and f"{smallest_significant(5) * error * math.sqrt(5):.4f}" in test.note


def test_pairs_are_made_of_common_seeds_and_the_others_are_told() -> None:
    a, b = {0: 0.70, 2: 0.75, 3: 0.71, 4: NAN}, {3: 0.69, 0: 0.65, 1: 0.60, 2: 0.68, 4: 0.7}
    test = paired_t(a, b)
    assert test.n == 3 and test.p == paired_t([0.70, 0.75, 0.71], [0.65, 0.68, 0.69]).p
    assert "seeds 0, 2, 3 (without a partner: 1, 4)" in test.note


def test_no_common_seed_is_told() -> None:
    test = paired_t({0: 0.7}, {1: 0.6})
    assert test.n == 0 and math.isnan(test.p) and math.isnan(test.difference) and "no common seed" in test.note


def test_equal_values_are_no_evidence_and_a_constant_difference_cannot_be_tested() -> None:
    assert paired_t([0.7, 0.8], [0.7, 0.8]).p == 1.0
    constant = paired_t([0.7, 0.8, 0.9], [0.6, 0.7, 0.8])  # 0.1 each but for rounding
    assert math.isnan(constant.p) and constant.difference == pytest.approx(0.1) and "without spread" in constant.note
    assert paired_bootstrap([0.7, 0.8], [0.7, 0.8]).p == 1.0
    assert math.isnan(paired_bootstrap([0.7, 0.8, 0.9], [0.6, 0.7, 0.8]).p)


def test_swapping_the_sides_swaps_the_signs() -> None:
    a, b = RNG(3).random(40), RNG(4).random(40)
    for test in (paired_t, paired_bootstrap):
        one, two = test(a, b), test(b, a)
        assert one.p == pytest.approx(two.p) and one.difference == pytest.approx(-two.difference)
        assert one.low == pytest.approx(-two.high, abs=2e-3)  # percentiles of the same draws, mirrored


def test_the_bootstrap_agrees_with_all_resamples_written_out() -> None:
    differences = np.array([0.3, -0.1, 0.25, 0.05, 0.2])
    means = np.array([np.mean(sample) for sample in product(differences, repeat=5)])  # all 3,125
    observed = differences.mean()
    exact = np.mean(np.abs(means - observed) >= observed - 1e-12)
    test = paired_bootstrap(differences, np.zeros(5), resamples=40_000)
    assert abs(test.p - exact) < 5 * math.sqrt(exact * (1 - exact) / 40_000)
    assert test.low == pytest.approx(np.quantile(means, 0.025), abs=0.01)
    assert test.high == pytest.approx(np.quantile(means, 0.975), abs=0.01)
    assert test.name == BOOTSTRAP


def test_the_bootstrap_is_right_about_nothing_as_often_as_it_says() -> None:
    rng = RNG(5)
    p = [paired_bootstrap(rng.random(60), rng.random(60), resamples=300, seed=i).p for i in range(400)]
    assert abs(np.mean(np.array(p) <= LEVEL) - LEVEL) < 4 * math.sqrt(LEVEL * (1 - LEVEL) / 400)


def test_seeds_are_averaged_before_queries_are_drawn() -> None:
    rng = RNG(6)
    query = rng.normal(0, 0.2, 50)  # how much this query favours a, whatever the seed
    a = np.stack([0.5 + query + rng.normal(0, 1e-3, 50) for _ in range(5)])
    b = np.full((5, 50), 0.5)
    test, flat = paired_bootstrap(a, b), paired_bootstrap(a.ravel(), b.ravel())
    assert (test.p, test.n) == (paired_bootstrap(a.mean(axis=0), b[0]).p, 50)
    ratio = (test.high - test.low) / (flat.high - flat.low)
    assert ratio == pytest.approx(math.sqrt(5), rel=0.1)  # what pretending to have 250 queries would hide
    assert "5 seeds" in test.note and "one seed" in paired_bootstrap(a[0], b[0]).note


def test_queries_without_anything_relevant_are_dropped_from_both() -> None:
    a, b = [0.9, NAN, 0.7, 0.4], [0.5, NAN, 0.6, 0.5]
    test = paired_bootstrap(a, b)
    assert repr(test) == repr(paired_bootstrap([0.9, 0.7, 0.4], [0.5, 0.6, 0.5])) and test.n == 3  # NaN is not NaN


def test_the_bootstrap_repeats_by_its_seed() -> None:
    a, b = RNG(7).random(30), RNG(8).random(30)
    one, again, other = (repr(paired_bootstrap(a, b, seed=seed)) for seed in (1, 1, 2))  # NaN is not NaN
    assert one == again != other


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([0.5, NAN], [0.5, 0.6], "1 queries .*in some and NaN in others"),
        ([0.5, 0.6], [0.5, 0.6, 0.7], r"shapes \(2,\) and \(3,\)"),
        ([[[0.5]]], [[[0.5]]], "queries,"),
    ],
)
def test_queries_that_are_no_pairs_are_refused(a: list[float], b: list[float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        paired_bootstrap(a, b)


def test_too_few_queries_are_told() -> None:
    for test in (paired_bootstrap([0.5], [0.4]), paired_bootstrap([NAN], [NAN])):
        assert math.isnan(test.p) and "fewer than two" in test.note


def test_seeds_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(UserError, match="3 and 2 values"):
        paired_t([0.1, 0.2, 0.3], [0.1, 0.2])
    with pytest.raises(UserError, match="both as mappings"):
        paired_t({0: 0.1}, [0.1])
    with pytest.raises(UserError, match="one dimension"):
        paired_t([[0.1, 0.2]], [[0.1, 0.2]])  # type: ignore[list-item]


def slow_holm(p: list[float]) -> list[float]:
    """By its definition: the adjusted p is the smallest level at which the stepwise procedure rejects."""
    levels = sorted({min(1.0, value * factor) for value in p for factor in range(1, len(p) + 1)})

    def rejects(level: float) -> set[int]:
        rejected = set()
        for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
            if p[i] * (len(p) - rank) > level and level < 1:
                break
            rejected.add(i)
        return rejected

    return [next(level for level in levels if i in rejects(level)) for i in range(len(p))]


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_its_stepwise_procedure(seed: int) -> None:
    p = RNG(seed).random(6) ** 3
    assert holm(list(p)) == pytest.approx(slow_holm(list(p)))


def test_holm_does_not_count_what_was_not_tested() -> None:
    corrected = holm([NAN, 0.02, NAN, 0.03])
    assert corrected[1::2] == pytest.approx([0.04, 0.04]) and all(map(math.isnan, corrected[::2]))
    assert holm([]) == []
