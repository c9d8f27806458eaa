"""The space that modalities share: two and three of them, and what held-out pairs say of it, against loops."""

import itertools

import numpy as np
import pytest
import torch

from crossbit.methods import canonical
from crossbit.methods.canonical import Moments, canonical_correlation, found_among_ten, pairs_told, svd, told_apart


def several(n: int = 300, noise: float = 0.5, widths: tuple[int, ...] = (7, 5, 6), seed: int = 0) -> list[torch.Tensor]:
    """Modalities (n, width) that show three hidden numbers."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, 3))
    shown = (hidden @ rng.normal(size=(3, width)) + noise * rng.normal(size=(n, width)) for width in widths)
    return [torch.tensor(x + 3, dtype=torch.float32) for x in shown]


def test_two_modalities_by_the_general_way_are_those_of_the_svd():
    x, y, _ = several()
    moments = Moments([x, y])
    white = moments._white(0.1)
    between = {(0, 1): white[0].t() @ moments.covariances[0, 1] @ white[1]}
    values, turned = canonical._of_several(between, [7, 5], 4)
    space = canonical_correlation(x, y, directions=4, regularisation=0.1)
    torch.testing.assert_close(values, space.correlations)
    for w, turn, map_ in zip(white, turned, space.maps, strict=True):
        torch.testing.assert_close((w @ turn).abs(), map_.abs(), rtol=1e-6, atol=1e-8)


def test_the_first_direction_of_three_has_the_largest_sum_of_correlations():
    modalities = several(noise=1.0)
    space = canonical_correlation(*modalities, directions=3)
    variates = [z.numpy() for z in space.of(*modalities)]
    white = [(x.double() - x.double().mean(0)).numpy() for x in modalities]
    white = [x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T for x in white]

    def total(parts: list[np.ndarray]) -> float:
        """Of the cross-products, of directions whose squared lengths sum to the number of modalities."""
        return sum(float(np.mean(a * b)) for a, b in itertools.combinations(parts, 2))

    best = total([z[:, 0] for z in variates])
    assert best == pytest.approx(3 * space.correlations[0].item())
    rng = np.random.default_rng(0)
    for _ in range(300):
        turn = [rng.normal(size=x.shape[1]) for x in white]
        length = (sum(float(t @ t) for t in turn) / 3) ** 0.5
        assert total([x @ t / length for x, t in zip(white, turn, strict=True)]) < best


def test_shares_are_those_of_loops():
    rng = np.random.default_rng(0)
    cosine = torch.tensor(rng.integers(4, size=(25, 25)) / 4)
    weight = torch.tensor(rng.uniform(size=(25, 25)))
    hits, apart, weighted = [], [], []
    for i in range(25):
        own = cosine[i, i]
        before, same = int((cosine[i] > own).sum()), int((cosine[i] == own).sum())
        hits.append(np.mean([before + place < 10 for place in range(same)]))
        won = {j: 1.0 if own > cosine[i, j] else 0.5 if own == cosine[i, j] else 0.0 for j in range(25) if j != i}
        apart.append(np.mean(list(won.values())))
        weighted.append(np.average(list(won.values()), weights=[float(weight[i, j]) for j in won]))
    assert found_among_ten(cosine) == pytest.approx(np.mean(hits))
    assert told_apart(cosine) == pytest.approx(np.mean(apart))
    assert told_apart(cosine, weight) == pytest.approx(np.mean(weighted))


def test_pairs_of_noise_tell_nothing_and_those_that_agree_tell_all():
    options = {"directions": 5, "regularisations": (0.1, 3.0), "power": 1.0, "seed": 0}
    near = pairs_told(several(noise=0.05), None, None, **options)
    assert near.found > 0.9 and near.apart > 0.97 and near.apart_in_kind == near.apart
    x, y, _ = several()
    apart = pairs_told(
        [x, y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]], None, None, **options
    )
    assert 0.4 < apart.apart < 0.6


def test_within_a_kind_pairs_may_say_nothing():
    """Both modalities show the kind and nothing else."""
    rng = np.random.default_rng(0)
    kind = np.eye(4)[rng.integers(4, size=400)]
    modalities = [torch.tensor(kind @ rng.normal(size=(4, 6)) + 0.3 * rng.normal(size=(400, 6))) for _ in range(2)]
    alike = torch.tensor(kind @ kind.T)
    told = pairs_told(
        modalities, None, lambda rows: alike[rows][:, rows], directions=6, regularisations=(0.1, 1.0), power=1.0, seed=0
    )
    assert told.apart > 0.8
    assert 0.4 < told.apart_in_kind < 0.6


def test_near_duplicates_are_held_out_together_and_not_compared(monkeypatch):
    monkeypatch.setattr(canonical, "ENOUGH", 10**9)
    names = np.repeat(np.arange(50), 4)
    held_before: set[int] = set()
    for fitted, held in canonical._folds(names, 0):
        assert not set(names[fitted]) & set(names[held])
        assert len(set(names[held])) == len(held) == 10
        assert not held_before & set(names[held])
        held_before |= set(names[held])
    assert held_before == set(range(50))


def test_few_rows_say_nothing():
    told = pairs_told(several(n=15), None, None, directions=4, regularisations=(0.1, 3.0), power=1.0, seed=0)
    assert told.regularisation == 3.0 and np.isnan(told.apart)


@pytest.mark.parametrize("shape", [(7, 7), (5, 9), (9, 5)])
def test_where_one_way_to_the_singular_vectors_fails_another_finds_them(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = torch.from_numpy(np.random.default_rng(0).normal(size=shape))
    expected = torch.linalg.svdvals(matrix)

    def fails(*args: object, **options: object) -> None:
        raise torch.linalg.LinAlgError("the algorithm failed to converge")

    monkeypatch.setattr(torch.linalg, "svd", fails)
    left, values, right = svd(matrix)
    torch.testing.assert_close(left * values @ right, matrix)
    torch.testing.assert_close(values, expected)
    assert left.dtype == torch.float64 and left.shape == (shape[0], 5 + 2 * (shape == (7, 7)))
