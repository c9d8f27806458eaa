"""Directions in which the modalities of a pair agree (canonical correlation analysis), in closed form, for two or more.

No labels: what is found is the same in all modalities of a pair, and differs between pairs. `pairs_told` measures, on
pairs that were held out, how far that goes.

Shapes: n pairs; x^m (n, d_m) the features of modality m; k directions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 8192  # rows taken to float64 at a time
FLAT = 1e-12  # of the largest variance: directions with less do not vary


def mean_of(x: Tensor) -> Tensor:
    """Mean of the rows, float64; exact where a column is constant, so that nothing but 0 is left of it."""
    origin = x[0].double()
    total = torch.zeros_like(origin)
    for part in x.split(CHUNK):
        total += (part.double() - origin).sum(0)
    return origin + total / len(x)


def svd(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Left singular vectors, singular values, and right ones as rows, in short form.

    torch's way (LAPACK's gesdd, divide and conquer) finds none of some sound matrices of many small singular values; QR
    iteration (gesvd) then does.

    >>> [value.round(decimals=6).tolist() for value in svd(torch.diag(torch.tensor([1.0, 3.0])))[1]]
    [3.0, 1.0]
    """
    try:
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    except torch.linalg.LinAlgError:
        from scipy import linalg  # here: seldom needed

        found = linalg.svd(matrix.cpu().numpy(), full_matrices=False, lapack_driver="gesvd")
        left, values, right = (torch.from_numpy(each).to(matrix) for each in found)
    return left, values, right


@dataclass(frozen=True)
class SharedSpace:
    """A linear map of each modality into one space: (x^m - means[m]) @ maps[m], float64.

    Attributes:
        means: (d_m,) of each modality.
        maps: (d_m, k).
        correlations: (k,) of the directions over the rows, falling; shrunk where the space was regularised.
    """

    means: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]
    correlations: Tensor

    def of(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Every modality's rows in the space, (n, k) each."""
        return tuple((x.double() - mean) @ map_ for x, mean, map_ in zip(features, self.means, self.maps, strict=True))


class Moments:
    """Means and covariances of the modalities' features, from which spaces of any regularisation follow.

    Only (d, d) matrices are held in float64, whatever the number of rows.
    """

    def __init__(self, features: Sequence[Tensor]) -> None:
        self.means = tuple(mean_of(x) for x in features)
        pairs = itertools.combinations_with_replacement(range(len(features)), 2)
        self.covariances = {
            (i, j): features[i].new_zeros(features[i].shape[1], features[j].shape[1], dtype=torch.float64)
            for i, j in pairs
        }
        for parts in zip(*(x.split(CHUNK) for x in features), strict=True):
            centred = [part.double() - mean for part, mean in zip(parts, self.means, strict=True)]
            for (i, j), covariance in self.covariances.items():
                covariance.addmm_(centred[i].t(), centred[j])
        for covariance in self.covariances.values():
            covariance /= len(features[0])

    @cached_property
    def _principal(self) -> list[tuple[Tensor, Tensor, float]]:
        """Variances and directions in which each modality varies, and its mean variance."""
        own = [self.covariances[i, i] for i in range(len(self.means))]
        return [(*torch.linalg.eigh(c), c.diagonal().mean().item() or 1.0) for c in own]  # constant: any scale will do

    def _white(self, regularisation: float) -> list[Tensor]:
        """W (d, d) of each modality with W^T C W = 1 for the regularised C; columns are 0 where C has no variance."""
        found = []
        for variances, directions, scale in self._principal:
            values = variances + regularisation * scale
            varies = values > FLAT * values[-1].clamp(min=0)
            found.append(directions * torch.where(varies, values, torch.inf).rsqrt())
        return found

    def space(self, directions: int, *, regularisation: float, power: float) -> SharedSpace:
        """As `canonical_correlation`."""
        white = self._white(regularisation)
        between = {
            (i, j): white[i].t() @ covariance @ white[j] for (i, j), covariance in self.covariances.items() if i != j
        }
        if len(white) == 2:
            left, values, right = svd(between[0, 1])
            turned = [left[:, :directions], right[:directions].t()]
        else:
            values, turned = _of_several(between, [w.shape[1] for w in white], directions)
        values = values[:directions].clamp(max=1.0)
        maps = tuple(w @ turn * values**power for w, turn in zip(white, turned, strict=True))
        return SharedSpace(self.means, maps, values)


def _of_several(
    between: dict[tuple[int, int], Tensor], widths: Sequence[int], directions: int
) -> tuple[Tensor, list[Tensor]]:
    """Mean correlations (k,) and directions (d_m, k) of whitened modalities: those of the largest sum of correlations.

    The eigenvectors of the matrix of all cross-covariances with nothing on its diagonal (Kettenring 1971, MAXVAR); for
    two modalities the singular vectors of the one that there is.
    """
    starts = np.cumsum([0, *widths])
    some = next(iter(between.values()))
    whole = some.new_zeros(int(starts[-1]), int(starts[-1]))
    for (i, j), block in between.items():
        whole[starts[i] : starts[i + 1], starts[j] : starts[j + 1]] = block
        whole[starts[j] : starts[j + 1], starts[i] : starts[i + 1]] = block.t()
    values, vectors = torch.linalg.eigh(whole)
    first = vectors.flip(1)[:, :directions] * len(widths) ** 0.5
    mean = (values.flip(0)[:directions] / (len(widths) - 1)).clamp(min=0)
    return mean, list(first.split(list(widths)))


def canonical_correlation(
    *features: Tensor, directions: int, regularisation: float = 0.0, power: float = 0.0
) -> SharedSpace:
    """Regularised CCA in closed form: whiten all sides, then the SVD of the whitened cross-covariance.

    Directions in which a side does not vary map to 0. Of three modalities and more, the directions have the largest sum
    of correlations between all of them.

    Args:
        features: x^m (n, d_m) of two or more modalities, row i of all is pair i.
        directions: k, at most the smallest d_m.
        regularisation: added to the diagonals of the covariances, in units of their mean.
        power: each direction is weighted by its correlation to this power.

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]])
    >>> canonical_correlation(x, x[:, :1] * 2 + 5, directions=1).correlations
    tensor([1.0000], dtype=torch.float64)
    """
    return Moments(features).space(directions, regularisation=regularisation, power=power)


# --- what pairs say ---------------------------------------------------------------------------------------------------

ROWS = 10_000  # that are looked at, at most
JUDGED = 1000  # of the held-out ones that are compared with one another
FOLDS, ENOUGH, WIDE = 5, 5000, 2048  # rows from which one fold says enough, and columns from which one must do
FEWEST = 20  # rows below which nothing is said
TEN = 10
NEAR = 0.01  # how near to the best share of hits the heaviest regularisation must come that is taken


@dataclass(frozen=True)
class Told:
    """What held-out pairs show of a space.

    Attributes:
        regularisation: the one of those tried that finds most held-out partners.
        found: share of pairs whose partner is among the ten nearest of those compared.
        apart: how often the own partner is nearer than another row, NaN where too few rows are there.
        apart_in_kind: the same of other rows of its kind.
    """

    regularisation: float
    found: float
    apart: float
    apart_in_kind: float


def pairs_told(
    features: Sequence[Tensor],
    groups: np.ndarray | None,
    alike: Callable[[Tensor], Tensor] | None,
    *,
    directions: int,
    regularisations: Sequence[float],
    power: float,
    seed: int,
) -> Told:
    """Fit spaces to a part of the pairs, and look how far they tell the others apart; five times where rows are few.

    Args:
        features: x^m (n, d_m).
        groups: (n,) numbers of near-duplicates, which are held out together and not compared; None: each by itself.
        alike: for row numbers (m,), how surely each two of them are of one kind, (m, m) within 0 and 1.
        directions, power: of the spaces.
        regularisations: that are tried.
        seed: of the rows that are held out.
    """
    names = np.arange(len(features[0])) if groups is None else groups
    seen: dict[float, list[tuple[float, float, float]]] = {weight: [] for weight in regularisations}
    wide = max(x.shape[1] for x in features) > WIDE
    for fitted, held in itertools.islice(_folds(names, seed), 1 if wide else None):
        moments = Moments([x[fitted] for x in features])
        kind = None if alike is None else alike(held)
        for weight, figures in seen.items():
            space = moments.space(directions, regularisation=weight, power=power)
            figures.append(_told(space.of(*(x[held] for x in features)), kind))
    if not any(seen.values()):
        return Told(max(regularisations), 0.0, float("nan"), float("nan"))
    means = {weight: _means(figures) for weight, figures in seen.items()}
    best = max(found for found, _, _ in means.values())
    weight = max(weight for weight, (found, _, _) in means.items() if found >= best - NEAR)
    return Told(weight, *means[weight])


def _folds(names: np.ndarray, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Row numbers that are fitted to, and held-out ones of which no two have one name."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(names))[:ROWS]
    if len(rows) < FEWEST:
        return
    known = rng.permutation(np.unique(names[rows]))
    for fold in range(FOLDS if len(rows) < ENOUGH else 1):
        held = np.isin(names[rows], known[fold::FOLDS])
        apart = rows[held][np.unique(names[rows[held]], return_index=True)[1]]
        if len(apart) > 1 and not held.all():
            yield torch.from_numpy(rows[~held]), torch.from_numpy(rng.permutation(apart)[:JUDGED])


def _told(embedded: Sequence[Tensor], alike: Tensor | None) -> tuple[float, float, float]:
    """Of rows in the space: share found among ten, told apart from any other, from others of the kind."""
    units = [F.normalize(z) for z in embedded]
    figures = [
        (found_among_ten(cosine), told_apart(cosine), told_apart(cosine, alike))
        for a, b in itertools.permutations(units, 2)
        for cosine in [a @ b.t()]
    ]
    return _means(figures)


def _means(figures: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """The mean of each figure, of those that are numbers; NaN where none is.

    >>> _means([(1.0, 2.0, float("nan")), (3.0, float("nan"), float("nan"))])
    (2.0, 2.0, nan)
    """
    known = [[value for value in column if value == value] for column in zip(*figures, strict=True)]
    found, apart, in_kind = (sum(values) / len(values) if values else float("nan") for values in known)
    return found, apart, in_kind


def found_among_ten(cosine: Tensor) -> float:
    """Share of rows of cosine (n, n) whose own column is among the ten largest; a tie counts by its chance.

    >>> found_among_ten(torch.eye(12)), round(found_among_ten(torch.zeros(12, 12)), 4)
    (1.0, 0.8333)
    """
    own = cosine.diagonal().unsqueeze(1)
    nearer, equal = (cosine > own).sum(1), (cosine == own).sum(1)
    return ((TEN - nearer) / equal).clamp(0, 1).mean().item()


def told_apart(cosine: Tensor, weight: Tensor | None = None) -> float:
    """How often a row's own column of cosine (n, n) is larger than another one, drawn with these weights (n, n).

    >>> told_apart(torch.tensor([[0.9, 0.1], [0.8, 0.2]]))
    0.5
    """
    own = cosine.diagonal().unsqueeze(1)
    nearer = (own > cosine).double() + (own == cosine) / 2
    counted = 1 - torch.eye(len(cosine), dtype=torch.float64, device=cosine.device)
    counted = counted if weight is None else counted * weight
    total = counted.sum(1)
    return ((counted * nearer).sum(1) / total)[total > 1e-9].mean().item()
