"""Splits: exact sizes, no overlap, whole groups."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crossbit.data.split import random_split
from crossbit.data.types import PairedData
from crossbit.errors import UserError

seeds = st.integers(0, 2**32)


def check(split, n):
    """What every split must hold, whatever the sizes."""
    assert set(split) <= {"train", "query", "retrieval", "validation"}
    for rows in split.values():
        assert rows.dtype == np.int64
        assert (np.diff(rows) > 0).all()
    assert sorted([*split["query"], *split["retrieval"]]) == list(range(n))
    assert set(split["train"]) <= set(split["retrieval"])
    validation = set(split.get("validation", ()))
    assert validation <= set(split["retrieval"]) - set(split["train"])


@given(st.data(), st.integers(1, 50), seeds)
def test_sizes_are_exact_without_groups(data, n, seed):
    train = data.draw(st.integers(1, n))
    query = data.draw(st.integers(0, n - train))
    validation = data.draw(st.integers(0, n - train - query))
    split = random_split(n, query=query, train=train, validation=validation, seed=seed)
    check(split, n)
    assert (len(split["train"]), len(split["query"]), len(split["retrieval"])) == (train, query, n - query)
    assert len(split.get("validation", ())) == validation
    assert ("validation" in split) == (validation > 0)
    again = random_split(n, query=query, train=train, validation=validation, seed=seed)
    assert all((split[name] == again[name]).all() for name in split)
    PairedData("x", {"x": np.zeros((n, 1))}, None, split)  # passes the checks of data


def sums(sizes):
    """Every sum that some of the groups make: all subsets, written out."""
    return {sum(some) for count in range(len(sizes) + 1) for some in combinations(sizes, count)}


@given(st.lists(st.integers(0, 5), min_size=2, max_size=24), st.integers(1, 20), seeds)
def test_groups_stay_whole_and_sizes_are_the_nearest_possible(groups, query, seed):
    n = len(groups)
    sizes = np.unique(groups, return_counts=True)[1].tolist()
    possible = [total for total in sums(sizes) if 0 < total <= query]
    assume(query <= n and possible and n - max(possible) > 0)
    split = random_split(n, query=query, train=1, seed=seed, groups=np.array(groups))
    check(split, n)
    array = np.array(groups)
    assert not set(array[split["query"]]) & set(array[split["retrieval"]])
    assert len(split["query"]) == max(possible)


def test_groups_of_strings():
    groups = np.array(["b", "a", "b", "a", "c"])
    split = random_split(5, query=1, train=4, seed=0, groups=groups)
    assert split["query"].tolist() == [4]


def test_every_row_is_as_likely_a_query():
    hits = np.zeros(8)
    for seed in range(1500):
        hits[random_split(8, query=2, train=3, seed=seed)["query"]] += 1
    assert np.abs(hits / 1500 - 1 / 4).max() < 5 * np.sqrt(3 / 16 / 1500)


def test_other_seeds_give_other_splits():
    first, second = (random_split(100, query=20, train=50, seed=seed) for seed in (0, 1))
    assert (first["query"] != second["query"]).any()
    assert (first["train"] != second["train"]).any()


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"query": 5, "train": 6}, "query 5, train 6 and validation 0 rows are more than the 10 rows there are"),
        ({"query": 5, "train": 4, "validation": 2}, "at most 5 can be train and validation"),
        ({"query": 11, "train": 1}, "query is 11 rows; there are 10"),
        ({"query": -1, "train": 1}, "query is -1 rows; it must be at least 0"),
        ({"query": 1, "train": 0}, "train is 0 rows; it must be at least 1"),
        ({"query": 1, "train": 1, "validation": -2}, "validation is -2 rows"),
        ({"query": 1, "train": 1, "seed": -1}, "seed is -1; it must be a whole number from 0"),
        (
            {"query": 1, "train": 1, "groups": [0] * 9},
            r"groups has shape \(9,\); give one group for each of the 10 rows",
        ),
        ({"query": 2, "train": 1, "groups": [0] * 5 + [1] * 5}, "query is 2 rows; the smallest group has 5"),
        ({"query": 10, "train": 1, "groups": [0] * 5 + [1] * 5}, "at most 0 can be train"),
    ],
)
def test_impossible_sizes_are_refused(sizes, says):
    with pytest.raises(UserError, match=says):
        random_split(10, **{"seed": 0, **sizes})
