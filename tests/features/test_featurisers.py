"""What holds for every kind of features."""

import json
import subprocess
import sys

import numpy as np
import pytest

from crossbit.errors import UserError
from crossbit.features import available, featuriser_from_state, fit_featuriser
from crossbit.features.network import NetworkFeaturiser

RANDOM = np.random.default_rng(0)
WORDS = ["red", "green", "fox", "car", "old", "tree", "a", "the"]
KINDS = {
    "pictures": RANDOM.integers(0, 256, (60, 20, 24, 3), dtype=np.uint8),
    "words": np.array([" ".join(RANDOM.choice(WORDS, 4)) for _ in range(60)]),
    "vectors": RANDOM.normal(3, 2, size=(60, 5)),
}
OWN = {name: each for name, each in available().items() if not issubclass(each, NetworkFeaturiser)}
ROWS = {name: KINDS[each.reads] for name, each in OWN.items()}  # networks that others trained: test_network.py


@pytest.mark.parametrize("kind", ROWS)
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


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_does_not_depend_on_its_neighbours(kind) -> None:
    featuriser = fit_featuriser(kind, ROWS[kind])
    alone = np.concatenate([featuriser.transform(ROWS[kind][i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, featuriser.transform(ROWS[kind])[:5], atol=1e-5)


@pytest.mark.parametrize("kind", ROWS)
def test_no_rows_give_no_rows(kind) -> None:
    featuriser = fit_featuriser(kind, ROWS[kind])
    assert featuriser.transform(ROWS[kind][:0]).shape == (0, *featuriser.transform(ROWS[kind][:1]).shape[1:])


def test_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'pixels'"):
        fit_featuriser("pixel", ROWS["pixels"])


@pytest.mark.parametrize("kind", ["as-is", "scaled"])
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


@pytest.mark.parametrize(
    ("name", "rows", "reads"),
    [(name, rows, {4: "pictures", 2: "vectors", 1: "words"}[rows.ndim]) for name, rows in ROWS.items()],
)
def test_what_a_featuriser_reads_is_what_it_can_be_fitted_on(name, rows, reads) -> None:
    assert available()[name].reads == reads
    fit_featuriser(name, rows)
    for other in [other for other in ROWS.values() if other.ndim != rows.ndim]:
        with pytest.raises(UserError):
            fit_featuriser(name, other)


@pytest.mark.slow
def test_a_featuriser_for_vectors_is_found_without_scikit_learn() -> None:
    code = "import sys; from crossbit.features import get; get('as-is'), get('scaled'); print('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("name", ROWS)
def test_rows_that_were_fitted_on_are_known_and_can_be_asked_with(name) -> None:
    featuriser = fit_featuriser(name, ROWS[name])
    assert featuriser.knows(ROWS[name][0]) and featuriser.check_query(ROWS[name][0]) == []


ORDERS = {
    "reversed": lambda x: x[::-1],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "Fortran order": np.asfortranarray,
    "a view of every second": lambda x: np.repeat(x, 2, axis=0)[::2],
}
VECTORS = {
    "columns reversed": lambda x: np.ascontiguousarray(x[:, ::-1])[:, ::-1],
    "big-endian": lambda x: x.astype(">f4"),
    "float64": lambda x: x.astype(np.float64),
    "float16": lambda x: x.astype(np.float16),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ROWS)
def test_the_order_in_memory_changes_nothing(name, order) -> None:
    rows = ROWS[name].astype(np.float32) if ROWS[name].dtype.kind == "f" else ROWS[name]
    featuriser = fit_featuriser(name, rows)
    expected = featuriser.transform(ORDERS[order](rows).copy())
    made = featuriser.transform(ORDERS[order](rows))
    assert made.flags.c_contiguous and made.flags.writeable and made.dtype.isnative
    np.testing.assert_allclose(made, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", VECTORS)
@pytest.mark.parametrize("name", ["as-is", "scaled"])
def test_vectors_of_any_type(name, form) -> None:
    rows = ROWS[name].astype(np.float16).astype(np.float32)
    featuriser = fit_featuriser(name, rows)
    made = featuriser.transform(VECTORS[form](rows))
    assert made.flags.c_contiguous and made.flags.writeable and made.dtype == np.float32 and made.dtype.isnative
    np.testing.assert_array_equal(made, featuriser.transform(rows))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("offset", "factor"), [(100, 1), (0, 1e-3), (1e4, 1), (-5, 1e3)])
def test_scaling_takes_offset_and_unit_away(dtype, offset, factor) -> None:
    rows = ROWS["scaled"].astype(dtype)
    plain, moved = (fit_featuriser("scaled", x).transform(x) for x in (rows, (rows * factor + offset).astype(dtype)))
    rounding = 1e-6 if dtype == np.float64 else np.finfo(np.float32).eps * (abs(offset) / factor + 10)
    np.testing.assert_allclose(moved, plain, atol=rounding)
