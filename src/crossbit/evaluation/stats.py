"""Statistics of repeated runs: mean and spread over seeds, and paired tests that say what they cannot show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import optimize
from scipy import stats as scipy_stats

from crossbit.errors import UserError

LEVEL = 0.05  # what counts as significant, two-sided; intervals cover 1 - LEVEL
POWER = 0.8  # the share of comparisons in which a difference that is called findable is found
ROUNDING = 1e-12  # what floating point, not spread, makes measures in 0..1 differ by
T_TEST = "paired t-test over seeds"
BOOTSTRAP = "paired bootstrap over queries"

Floats = npt.NDArray[np.float64]
Values = Sequence[float] | npt.NDArray[np.floating] | Mapping[int, float]  # a value a seed; a mapping names the seeds


@dataclass(frozen=True)
class Summary:
    """What repeated runs say about one number.

    Attributes:
        mean: of the runs; NaN where there are none.
        sd: the sample's standard deviation (n - 1); NaN below two runs.
        low, high: the 95 % confidence interval of the mean, by Student's t; NaN below two runs.
        n: how many runs there are; those with NaN do not count.
    """

    mean: float
    sd: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Test:
    """The result of a comparison "a less b".

    Attributes:
        name: of the test.
        difference: mean of a less mean of b, over what was paired.
        low, high: its 95 % confidence interval.
        p: two-sided; NaN where nothing can be tested, and `note` says why.
        n: how many pairs there were.
        note: what was paired, and what this test can and cannot show.
        findable: the smallest true difference that such a test finds in 80 % of cases, at this spread; NaN if unknown.
    """

    __test__ = False  # no test case, whatever pytest thinks of the name

    name: str
    difference: float
    low: float
    high: float
    p: float
    n: int
    note: str
    findable: float = float("nan")


def summary(values: Values) -> Summary:
    """Mean, standard deviation and 95 % confidence interval (Student's t) over seeds.

    >>> over = summary([0.70, 0.72, 0.74])
    >>> f"{over.mean:.3f} ± {over.sd:.3f}, 95 % of {over.low:.3f} to {over.high:.3f}"
    '0.720 ± 0.020, 95 % of 0.670 to 0.770'
    >>> summary([0.7, float("nan")])
    Summary(mean=0.7, sd=nan, low=nan, high=nan, n=1)
    """
    array = _array(list(values.values()) if isinstance(values, Mapping) else values)
    array = array[~np.isnan(array)]
    n = len(array)
    if n < 2:
        return Summary(float(array[0]) if n else np.nan, np.nan, np.nan, np.nan, n)
    mean, sd = float(array.mean()), 0.0 if np.ptp(array) <= ROUNDING else float(array.std(ddof=1))
    half = sd * smallest_significant(n)
    return Summary(mean, sd, mean - half, mean + half, n)


def smallest_significant(n: int, *, level: float = LEVEL) -> float:
    """The observed mean difference, in standard deviations of the differences, from which n pairs are significant.

    It is t / sqrt(n) with n - 1 degrees of freedom, which also is the half width of the confidence interval.

    >>> [round(smallest_significant(n), 2) for n in (2, 3, 5, 10)]
    [8.98, 2.48, 1.24, 0.72]
    """
    return float(scipy_stats.t.isf(level / 2, n - 1) / np.sqrt(n)) if n > 1 else np.inf


@cache
def smallest_findable(n: int, *, level: float = LEVEL, power: float = POWER) -> float:
    """The true mean difference, in standard deviations of the differences, that a paired t-test finds with `power`.

    By the noncentral t distribution (Cohen 1988, chapter 2); found means significant, and in the right direction.

    >>> [round(smallest_findable(n), 2) for n in (2, 3, 5, 10)]
    [11.55, 3.26, 1.68, 1.0]
    """
    if n < 2:
        return np.inf
    critical = scipy_stats.t.isf(level / 2, n - 1)

    def missing(noncentrality: float) -> float:
        return float(scipy_stats.nct.sf(critical, n - 1, noncentrality)) - power

    return float(optimize.brentq(missing, 0.0, 10 * critical) / np.sqrt(n))


def paired_t(a: Values, b: Values) -> Test:
    """Paired t-test over seeds (`scipy.stats.ttest_rel`): whether training a rather than b changes the mean.

    Args:
        a, b: a value a seed: mappings from seed to value are paired on the seeds that both have, sequences by position.
            A pair with a NaN does not count.

    Raises:
        UserError: sequences of different lengths.

    >>> test = paired_t({0: 0.75, 1: 0.76, 2: 0.74}, {0: 0.70, 1: 0.72, 2: 0.71, 3: 0.69})
    >>> round(test.difference, 3), round(test.p, 3), test.n
    (0.04, 0.02, 3)
    >>> test.note[:52]
    'over the seeds 0, 1, 2 (without a partner: 3); sd of'
    """
    one, two, paired = _pair(a, b)
    differences = one - two
    n = len(differences)
    if n < 2:
        mean = float(differences[0]) if n else np.nan
        note = f"{paired}; {'one pair has' if n else 'no pair, so there is'} no spread to test a difference against"
        return Test(T_TEST, mean, np.nan, np.nan, np.nan, n, note)
    mean = float(differences.mean())
    if _same(differences, one, two):
        return _without_spread(T_TEST, mean, n, paired)
    result = scipy_stats.ttest_rel(one, two)
    interval = result.confidence_interval(1 - LEVEL)
    sd = float(differences.std(ddof=1))
    findable = sd * smallest_findable(n)
    note = (
        f"{paired}; sd of the differences {sd:.4f}: a mean difference under {sd * smallest_significant(n):.4f} is not "
        f"significant with {n} pairs, a true one of {findable:.4f} is found in {POWER:.0%} of such comparisons; "
        "says nothing about other queries, which are the same in all seeds"
    )
    return Test(T_TEST, mean, float(interval.low), float(interval.high), float(result.pvalue), n, note, findable)


def paired_bootstrap(a: npt.ArrayLike, b: npt.ArrayLike, *, resamples: int = 10_000, seed: int = 0) -> Test:
    """Paired bootstrap over queries: whether a ranks better than b for queries like these.

    Queries are drawn anew with replacement and the mean difference is taken again. The interval is that of the
    percentiles; p is the share of resamples whose mean lies as far from the observed one as that lies from 0 (Efron and
    Tibshirani 1993, chapters 13 and 16).
    Seeds are averaged per query first: every seed answers the same queries, so seeds x queries values are not that many
    independent ones, and an interval made of them would be too narrow. It says nothing about further seeds.

    Args:
        a, b: average precision per query (queries,), or (seeds, queries); query i is the same in both. NaN, in both:
            the query has nothing relevant to find and is dropped.
        resamples: how often the queries are drawn anew.
        seed: of the drawing.

    Raises:
        UserError: different numbers of queries, or a query with a value in one only.

    >>> test = paired_bootstrap([0.9, 0.8, 0.7, np.nan], [[0.4, 0.6, 0.5, np.nan], [0.6, 0.6, 0.5, np.nan]])
    >>> round(test.difference, 3), test.n, 0.0 < test.low < test.high
    (0.267, 3, True)
    """
    return bootstrap_against(a, [b], resamples=resamples, seed=seed)[0]


def bootstrap_against(
    a: npt.ArrayLike, others: Sequence[npt.ArrayLike], *, resamples: int = 10_000, seed: int = 0
) -> list[Test]:
    """`paired_bootstrap` of a and each of the others, which share the drawing: ten comparisons take the time of two.

    >>> [test.n for test in bootstrap_against([0.9, 0.8], [[0.5, 0.7], [0.6, 0.7]])]
    [2, 2]
    """
    sides = [_per_query(a, b) for b in others]
    differences = [one - two for one, two, _ in sides]
    drawn: dict[int, Floats] = {}
    for n in {len(of) for of in differences if len(of) > 1}:
        drawn |= _resample([(i, of) for i, of in enumerate(differences) if len(of) == n], n, resamples, seed)
    return [_bootstrap_test(*side, drawn.get(i)) for i, side in enumerate(sides)]


def _resample(differences: list[tuple[int, Floats]], n: int, resamples: int, seed: int) -> dict[int, Floats]:
    """The mean differences over queries drawn anew, by number of the comparison; drawing counts once for all."""
    rng, values = np.random.default_rng(seed), np.stack([of for _, of in differences], axis=1)  # (n, comparisons)
    means = []
    for start in range(0, resamples, batch := max(1, 2**20 // n)):  # bounds the memory
        rows = min(batch, resamples - start)
        places = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        times = np.bincount(places.ravel(), minlength=rows * n).reshape(rows, n)  # how often each query was drawn
        means.append(times @ values / n)
    return {i: column for (i, _), column in zip(differences, np.concatenate(means).T, strict=True)}


def _bootstrap_test(one: Floats, two: Floats, seeds: str, drawn: Floats | None) -> Test:
    """The test, given the mean differences of the resamples."""
    n, mean = len(one), float((one - two).mean()) if len(one) else np.nan
    paired = f"over {n:,} queries, {seeds}"
    if drawn is None:
        return Test(BOOTSTRAP, mean, np.nan, np.nan, np.nan, n, f"{paired}; fewer than two cannot be drawn anew")
    if _same(one - two, one, two):
        return _without_spread(BOOTSTRAP, mean, n, paired)
    low, high = map(float, np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2]))
    further = np.abs(drawn - mean) >= abs(mean)
    p = (1 + int(further.sum())) / (1 + len(drawn))  # the observed sample is one of the draws: p is never 0
    note = f"{paired}, {len(drawn):,} resamples; says nothing about training again with other seeds"
    return Test(BOOTSTRAP, mean, low, high, p, n, note)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction (1979) of the p of several comparisons; NaN stays NaN and does not count as one.

    A corrected p under the level is significant although several were tried: in one family of comparisons in which
    nothing differs, anything at all is called significant in 5 % of cases.

    >>> [round(value, 3) for value in holm([0.01, 0.04, 0.03, float("nan")])]
    [0.03, 0.06, 0.06, nan]
    """
    values = _array(p)
    order = [int(i) for i in np.argsort(values, kind="stable") if not np.isnan(values[i])]
    corrected, largest = np.full(len(values), np.nan), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * values[i]))
        corrected[i] = largest
    return [float(value) for value in corrected]


def _without_spread(name: str, mean: float, n: int, paired: str) -> Test:
    """Every pair differs by the same: equal throughout, or there is no spread that the difference could be due to."""
    if abs(mean) <= ROUNDING:
        return Test(name, 0.0, 0.0, 0.0, 1.0, n, f"{paired}; both are equal in every pair")
    note = f"{paired}; the same difference in every pair: without spread there is nothing to test it against"
    return Test(name, mean, mean, mean, np.nan, n, note)


def _pair(a: Values, b: Values) -> tuple[Floats, Floats, str]:
    """Both values of every pair, and which pairs those are."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        both = sorted(seed for seed in a.keys() & b.keys() if not np.isnan(a[seed]) and not np.isnan(b[seed]))
        alone = ", ".join(map(str, sorted((a.keys() | b.keys()) - set(both))))
        one, two = (_array([values[seed] for seed in both]) for values in (a, b))
        names = "over " + (f"the seeds {', '.join(map(str, both))}" if both else "no common seed")
        return one, two, names + (f" (without a partner: {alone})" if alone else "")
    if isinstance(a, Mapping) or isinstance(b, Mapping):
        raise UserError("one side names its seeds and the other does not; give both as mappings, or both as sequences")
    one, two = _array(a), _array(b)
    if one.shape != two.shape:
        raise UserError(f"{len(one)} and {len(two)} values cannot be paired by position; give mappings seed -> value")
    there = ~(np.isnan(one) | np.isnan(two))
    return one[there], two[there], f"over {there.sum()} pairs" + ("" if there.all() else " (those with NaN left out)")


def _per_query(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[Floats, Floats, str]:
    """Average precision per query that has one, seeds averaged; and how many seeds, in words."""
    one, two = (np.atleast_2d(np.asarray(side, np.float64)) for side in (a, b))
    if one.shape[-1] != two.shape[-1] or max(one.ndim, two.ndim) > 2:
        raise UserError(
            f"per-query values have the shapes {np.shape(a)} and {np.shape(b)}; "
            "they need (queries,) or (seeds, queries), with the same queries"
        )
    empty = np.isnan(np.concatenate([one, two]))
    if (mixed := empty.any(axis=0) & ~empty.all(axis=0)).any():
        raise UserError(
            f"{mixed.sum()} queries (the first: {mixed.argmax()}) have a value in some and NaN in others; "
            "pair the same queries, measured against the same database in the same way"
        )
    kept = ~empty.all(axis=0)
    averaged = " and ".join(str(n) for n in dict.fromkeys([len(one), len(two)]))
    seeds = "one seed" if averaged == "1" else f"each the mean of {averaged} seeds"
    return one[:, kept].mean(axis=0), two[:, kept].mean(axis=0), seeds


def _array(values: npt.ArrayLike) -> Floats:
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise UserError(f"values have the shape {array.shape}; there must be one a seed, in one dimension")
    return array


def _same(differences: Floats, *of: Floats) -> bool:
    """Whether differences are alike but for the rounding of what they were made from."""
    scale = max(1.0, *(float(np.abs(values).max()) for values in of))
    return bool(np.ptp(differences) <= ROUNDING * scale)
