"""Picture features against slow, obvious versions and against what a picture feature must be able to tell apart."""

import numpy as np
import pytest

from crossbit.errors import UserError
from crossbit.features.base import squares
from crossbit.features.hog import (
    BLOCK,
    HogFeaturiser,
    describe,
    describe_blocks,
    fitted_side,
    gradient_blocks,
    shrink,
)

RANDOM = np.random.default_rng(0)


def stripes(angle: float, side: int = 32) -> np.ndarray:
    """A grating whose gradients point in direction `angle` (radians)."""
    y, x = np.mgrid[:side, :side] * 32 / side
    wave = np.sin((np.cos(angle) * x + np.sin(angle) * y) * 0.9)
    return np.repeat((127 + 120 * wave)[..., None], 3, axis=2).astype(np.uint8)


def test_gradients_of_one_picture_with_loops() -> None:
    grey = RANDOM.random((16, 16)).astype(np.float32)
    cells = np.zeros((8, 8, 9))
    for y in range(16):
        for x in range(16):
            dy = grey[y + 1, x] - grey[y - 1, x] if 0 < y < 15 else 0.0
            dx = grey[y, x + 1] - grey[y, x - 1] if 0 < x < 15 else 0.0
            angle = np.arctan2(dy, dx) % np.pi / np.pi * 9
            low = int(angle) % 9
            cells[y // 2, x // 2, low] += (1 - angle % 1) * np.hypot(dx, dy)
            cells[y // 2, x // 2, (low + 1) % 9] += angle % 1 * np.hypot(dx, dy)
    expected = []
    for y in range(7):
        for x in range(7):
            block = np.concatenate([cells[y, x], cells[y, x + 1], cells[y + 1, x], cells[y + 1, x + 1]])
            block = np.minimum(block / np.sqrt((block**2).sum() + 1e-6), 0.2)
            expected.append(block / np.sqrt((block**2).sum() + 1e-6))
    np.testing.assert_allclose(gradient_blocks(grey[None])[0], np.concatenate(expected), atol=1e-5)


def test_shrink_takes_means() -> None:
    values = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    assert shrink(values, 2)[0, ..., 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]


def test_colour_is_told_apart_where_brightness_is_not() -> None:
    red, green = np.zeros((2, 1, 32, 32, 3), dtype=np.uint8)
    red[..., 0], green[..., 1] = 196, 100  # 0.299 * 196 = 0.587 * 100
    difference = np.abs(describe(red) - describe(green))[0]
    assert difference[-48:].max() > 0.05 > 0.001 > difference[:-48].max()


@pytest.mark.parametrize(
    ("shape", "side"), [((2, 5, 9, 3), 16), ((2, 32, 32, 3), 32), ((2, 33, 8, 3), 48), ((2, 700, 20, 3), 64)]
)
def test_fitted_side(shape, side) -> None:
    pictures = np.zeros(shape, dtype=np.uint8)
    assert fitted_side(pictures) == side
    assert squares(pictures, side).shape == (2, side, side, 3)


def test_another_size_of_the_same_picture_is_its_nearest() -> None:
    angles = np.linspace(0, np.pi, 12, endpoint=False)
    featuriser = HogFeaturiser.fit(np.stack([stripes(angle) for angle in angles]))
    known = featuriser.transform(np.stack([stripes(angle) for angle in angles]))
    bigger = featuriser.transform(np.stack([stripes(angle, 96) for angle in angles]))
    distances = ((bigger[:, None] - known[None]) ** 2).sum(-1)
    assert distances.argmin(1).tolist() == list(range(12))


def test_pca_keeps_distances_when_nothing_is_dropped() -> None:
    pictures = RANDOM.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    vectors, raw = HogFeaturiser.fit(pictures).transform(pictures), describe(pictures)
    for i in range(12):
        np.testing.assert_allclose(
            np.linalg.norm(vectors - vectors[i], axis=1), np.linalg.norm(raw - raw[i], axis=1), atol=1e-3
        )


def test_dim_is_an_upper_limit() -> None:
    pictures = RANDOM.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    assert HogFeaturiser.fit(pictures, dim=5).transform(pictures).shape == (12, 5)


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8), dtype=np.uint8), np.zeros((2, 0, 8, 3), dtype=np.uint8)]
)
def test_other_arrays_are_refused(wrong) -> None:
    with pytest.raises(UserError, match="uint8"):
        HogFeaturiser.fit(wrong)


def test_one_picture_is_too_few_to_fit() -> None:
    with pytest.raises(UserError, match="two pictures or more, not 1"):
        HogFeaturiser.fit(np.zeros((1, 8, 8, 3), dtype=np.uint8))


def test_a_picture_has_the_same_numbers_in_any_block() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2 * BLOCK + 3, 16, 16, 3), dtype=np.uint8)
    alone = np.concatenate([describe(pictures[row : row + 1]) for row in range(len(pictures))])
    np.testing.assert_array_equal(describe_blocks(pictures), alone)
