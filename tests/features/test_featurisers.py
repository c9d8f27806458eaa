"""What holds for every kind of features."""

import json

import numpy as np
import pytest

from crossbit.errors import UserError
from crossbit.features import KINDS, featuriser_from_state, fit_featuriser

RANDOM = np.random.default_rng(0)
WORDS = ["red", "green", "fox", "car", "old", "tree", "a", "the"]
ROWS = {
    "pictures": RANDOM.integers(0, 256, (60, 20, 24, 3), dtype=np.uint8),
    "pixels": RANDOM.integers(0, 256, (60, 20, 24, 3), dtype=np.uint8),
    "words": np.array([" ".join(RANDOM.choice(WORDS, 4)) for _ in range(60)]),
    "vectors": RANDOM.normal(size=(60, 5)),
    "scaled": RANDOM.normal(3, 2, size=(60, 5)),
}


def test_every_kind_is_tried() -> None:
    assert set(ROWS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_state_through_json_and_npz_gives_equal_bits(kind, tmp_path) -> None:
    featuriser = fit_featuriser(kind, ROWS[kind][:50], seed=3)
    config, tensors = featuriser.state()
    np.savez(tmp_path / "state.npz", **tensors)
    with np.load(tmp_path / "state.npz", allow_pickle=False) as saved:
        again = featuriser_from_state(json.loads(json.dumps(config)), dict(saved))
    expected = featuriser.transform(ROWS[kind])
    dim = (featuriser.dim,) if isinstance(featuriser.dim, int) else featuriser.dim
    assert expected.dtype == (np.uint8 if kind == "pixels" else np.float32)
    assert expected.shape == (60, *dim)
    assert expected.std() > 0
    assert again.dim == featuriser.dim
    np.testing.assert_array_equal(again.transform(ROWS[kind]), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_does_not_depend_on_its_neighbours(kind) -> None:
    featuriser = fit_featuriser(kind, ROWS[kind])
    alone = np.concatenate([featuriser.transform(ROWS[kind][i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, featuriser.transform(ROWS[kind])[:5], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_give_no_rows(kind) -> None:
    featuriser = fit_featuriser(kind, ROWS[kind])
    assert featuriser.transform(ROWS[kind][:0]).shape == (0, *featuriser.transform(ROWS[kind][:1]).shape[1:])


def test_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'pictures'"):
        fit_featuriser("picture", ROWS["pictures"])


@pytest.mark.parametrize("kind", ["vectors", "scaled"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((3, 4)), "4 wide.*5 wide"),
        (np.full((3, 5), np.nan), "NaN"),
        (np.full((3, 5), 1e39), "infinite"),
        (np.zeros(5), "numbers"),
        (np.full((3, 5), "x"), "numbers"),
    ],
)
def test_wrong_vectors_are_refused(kind, wrong, message) -> None:
    featuriser = fit_featuriser(kind, ROWS[kind])
    with pytest.raises(UserError, match=message):
        featuriser.transform(wrong)


def test_scaling_and_its_constant_columns() -> None:
    rows = np.column_stack([ROWS["scaled"], np.full(60, 0.1)])
    scaled = fit_featuriser("scaled", rows).transform(rows)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(0), [1, 1, 1, 1, 1, 0], atol=1e-5)
