"""Codes of any sizes, whichever way up: the same figures as an .npz, or a refusal; never others."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_matrix

from crossbit.errors import UserError
from crossbit.evaluation import score_file
from crossbit.evaluation.files.upright import upright
from mat_writers import WRITERS

GROUPS = {"none": (), "codes": ("image", "text"), "labels": ("label",), "all": ("image", "text", "label")}
Arrays = dict[str, np.ndarray]


def codes(queries: int, items: int, bits: int, classes: int, seed: int = 0) -> Arrays:
    """±1 codes that know their labels a little; `classes` 0: class numbers."""
    rng = np.random.default_rng(seed)
    made = {}
    for side, n in (("query", queries), ("retrieval", items)):
        label = (rng.random((n, classes or 3)) < 0.4).astype(float)
        for modality in ("image", "text"):
            noise = rng.normal(size=(n, bits))
            made[f"{side}_{modality}"] = np.where(label @ np.ones((label.shape[1], bits)) + noise > 1, 1.0, -1.0)
        made[f"{side}_label"] = label if classes else 1.0 + rng.integers(0, 3, n)[:, None]
    return made


def turn(arrays: Arrays, group: str) -> Arrays:
    return (
        {name: array.T if name.endswith(GROUPS[group]) else array for name, array in arrays.items()}
        if group != "none"
        else arrays
    )


def same(one: Arrays, other: Arrays) -> bool:
    """As scoring sees them: one column and one line are one thing."""
    return all(np.array_equal(one[name].squeeze(), other[name].squeeze()) for name in one)


def turned_back(arrays: Arrays) -> Arrays | None:
    """What `upright` makes of them; None where it refuses to choose."""
    try:
        return upright(arrays)
    except UserError as error:
        if "both ways up fit" not in str(error):
            raise
        return None


sizes = st.integers(1, 7)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(sizes, sizes, st.integers(2, 7), st.sampled_from([0, 2, 3, 5, 6]), st.sampled_from([*GROUPS]), st.integers(0, 9))
def test_any_group_turned_is_upright_again_or_refused(
    queries: int, items: int, bits: int, classes: int, group: str, seed: int
) -> None:
    arrays = codes(queries, items, bits, classes, seed)
    found = turned_back(turn(arrays, group))
    assert found is None or same(found, arrays)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(sizes, sizes, st.integers(2, 7), st.sampled_from([2, 3, 5]), st.lists(st.booleans(), min_size=6, max_size=6))
def test_arrays_turned_one_by_one_are_upright_again_where_all_sizes_differ(
    queries: int, items: int, bits: int, classes: int, turned: list[bool]
) -> None:
    arrays = codes(queries, items, bits, classes)
    given = {name: a.T if turn else a for (name, a), turn in zip(arrays.items(), turned, strict=True)}
    found = turned_back(given)
    if len({queries, items, bits, classes}) == 4:  # no two sizes can be taken for each other
        assert found is not None and same(found, arrays)


def test_what_stays_ambiguous_names_the_arrays_and_what_to_do() -> None:
    square = codes(6, 6, 6, 4)
    with pytest.raises(UserError) as caught:
        upright(square)
    assert str(caught.value) == (
        "query_image (6, 6), query_text (6, 6), retrieval_image (6, 6), retrieval_text (6, 6): both ways up fit, so "
        "items cannot be told from entries; save all arrays with items as rows in an .npz, which is never turned"
    )
    symmetric = {name: np.eye(6) if not name.endswith("label") else array for name, array in square.items()}
    assert upright(symmetric).keys() == symmetric.keys()  # both ways are the same
    with pytest.raises(UserError, match=r"query_image \(5, 4\).*query_label \(5, 4\)"):
        upright(codes(5, 5, 4, 4))  # four items of five bits and labels would fit as well


def test_a_square_side_of_a_file_that_is_turned_in_part_is_refused() -> None:
    arrays = codes(6, 9, 6, 4)
    with pytest.raises(UserError, match=r"query_image \(6, 6\), query_text \(6, 6\): both ways"):
        upright(arrays | {"query_label": arrays["query_label"].T})


SQUARES = [
    (6, 20, 6, 4),
    (9, 5, 5, 3),
    (5, 12, 8, 5),
    (7, 4, 8, 4),
    (6, 20, 6, 0),
    (9, 12, 8, 1),
    (1, 20, 8, 3),
    (4, 1, 8, 3),
]


@pytest.mark.slow
@pytest.mark.parametrize("version", WRITERS)
@pytest.mark.parametrize("shape", SQUARES, ids=str)
def test_a_mat_file_gives_the_figures_of_the_npz(
    version: str, shape: tuple[int, int, int, int], tmp_path: Path
) -> None:
    arrays = codes(*shape)
    np.savez(tmp_path / "codes.npz", **arrays)
    expected = score_file(tmp_path / "codes.npz", empty="zero").to_dict()
    for group, sparse in product(GROUPS, (False, True)):
        turned = turn(arrays, group)
        stored = {n: csc_matrix(a) if sparse and n.endswith("label") else a for n, a in turned.items()}
        WRITERS[version](tmp_path / "codes.mat", stored)
        found = score_file(tmp_path / "codes.mat", empty="zero").to_dict()
        told = ("map", "figures", "spread", "chance", "bits", "protocol", "quality")
        assert json.dumps([found[key] for key in told]) == json.dumps([expected[key] for key in told]), (group, sparse)
