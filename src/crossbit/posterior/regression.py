"""Kernel ridge regression of labels, and what it says of each row when that row's own labels are left out.

Shapes: n labelled rows, m landmarks, c classes. Features are given by modality, (n, dim). Regressions are fitted in
float64; further rows may be predicted in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from crossbit.posterior.smoother import ExactSmoother, Features, LandmarkSmoother, Smoother, members

CHUNK = 4096  # rows of a kernel at a time
LARGE = 500.0  # weight from which float32 would lose digits that matter
JITTERS = 1e-9, 1e-6, 1e-3  # of the landmarks' kernel, which may be singular


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distances (n, m) of rows (n, dim) and (m, dim).

    >>> squared_distances(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]])).tolist()
    [[9.0], [4.0]]
    """
    return (x.square().sum(1, keepdim=True) + y.square().sum(1)).sub_(2 * x @ y.t()).clamp_(min=0)


def take(features: Features, rows: Tensor | slice) -> dict[str, Tensor]:
    """These rows of every modality, in float64."""
    return {modality: x[rows].double() for modality, x in features.items()}


@dataclass(frozen=True)
class RbfKernel:
    """sum_m weights[m] exp(-gamma |x^m - y^m|^2 / scales[m]); the weights are at least 0 and sum to 1.

    >>> kernel = RbfKernel({"image": 0.5, "text": 0.5}, 1.0, {"image": 1.0, "text": 4.0})
    >>> x, y = torch.zeros(1, 1), torch.full((1, 1), 2.0)
    >>> round(kernel({"image": x, "text": x}, {"image": x, "text": y}).item(), 4)  # (1 + e^-1) / 2
    0.6839
    """

    weights: dict[str, float]
    gamma: float
    scales: dict[str, float]

    def __call__(self, x: Features, y: Features) -> Tensor:
        first, *others = [modality for modality, weight in self.weights.items() if weight > 0]
        total = self._part(first, squared_distances(x[first], y[first]))
        for modality in others:  # one after the other: of 10,000 rows each takes 800 MB
            total.add_(self._part(modality, squared_distances(x[modality], y[modality])))
        return total

    def of_distances(self, distances: Mapping[str, Tensor]) -> Tensor:
        """The kernel (n, m) of squared distances (n, m) by modality, which stay as they are."""
        parts = [self._part(m, distances[m].clone()) for m, weight in self.weights.items() if weight > 0]
        for other in parts[1:]:
            parts[0].add_(other)
        return parts[0]

    def _part(self, modality: str, distances: Tensor) -> Tensor:
        """What a modality adds, in the place of its squared distances."""
        return distances.mul_(-self.gamma / self.scales[modality]).exp_().mul_(self.weights[modality])


@dataclass
class Fit:
    """A regression: what it predicts for any row, and `left_out` (n, c) for each of its own rows without that row.

    Attributes:
        kernel, ridge: what was fitted; ridge is lambda.
        centres: features of the rows or landmarks that `weight` (n or m, c) belongs to.
        intercept: (c,), not penalised.
        error: mean over rows of the squared leave-one-out error, summed over classes.
        smoother: the same for any labels, if it was to be kept.
    """

    kernel: RbfKernel
    ridge: float
    centres: dict[str, Tensor]
    weight: Tensor
    intercept: Tensor
    left_out: Tensor
    error: float
    smoother: Smoother | None = None

    def predict(self, features: Features) -> Tensor:
        """Predictions float64 (rows, c) for rows that it was not fitted to.

        In float32 where the features are and the weights are small enough; landmarks may have large ones.
        """
        exact = any(x.dtype != torch.float32 for x in features.values()) or self.weight.abs().max() > LARGE
        precision = torch.float64 if exact else torch.float32
        middle = {modality: x.mean(0).to(precision) for modality, x in self.centres.items()}  # small numbers lose less
        centres = {modality: (x - middle[modality]).to(precision) for modality, x in self.centres.items()}
        weight, found = self.weight.to(precision), self.weight.new_empty(_rows(features), self.weight.shape[1])
        for rows in blocks(features):
            near = {modality: features[modality][rows].to(precision) - x for modality, x in middle.items()}
            found[rows] = (self.kernel(near, centres) @ weight).double() + self.intercept
        return found


def blocks(features: Features) -> Iterator[slice]:
    """The rows in blocks of at most `CHUNK`."""
    return (slice(start, start + CHUNK) for start in range(0, _rows(features), CHUNK))


def _rows(features: Features) -> int:
    return len(next(iter(features.values())))


# --- exact ------------------------------------------------------------------------------------------------------------


def fit_exact(
    features: Features,
    labels: Tensor,
    kernel: RbfKernel,
    ridge: float,
    groups: Tensor | None = None,
    *,
    keep: bool = False,
) -> Fit:
    """Ridge regression over all rows, with an intercept that is not penalised.

    With G = (K + lambda I)^-1 and G~ = G - (G 1)(G 1)' / (1' G 1) the weights are A = G~ Y, and row i is missed by
    A_i / G~_ii when the regression is fitted without it; a group g of rows, left out together, by (G~_gg)^-1 A_g.

    Args:
        features: by modality (n, dim).
        labels: Y (n, c).
        kernel, ridge: K and lambda.
        groups: (n,) rows with the same number are left out together; None: each alone.
        keep: the smoother, 8 bytes for each pair of rows.

    >>> x, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [0.0], [1.0]])
    >>> fit = fit_exact({"x": x}, y, RbfKernel({"x": 1.0}, 1.0, {"x": 1.0}), ridge=1.0)
    >>> without = fit_exact({"x": x[:2]}, y[:2], fit.kernel, ridge=1.0)
    >>> torch.allclose(fit.left_out[2:], without.predict({"x": x[2:]}))
    True
    """
    smoother, y = ExactSmoother.of(features, kernel, ridge, groups), labels.double()
    weight = smoother.inverse @ y
    errors = smoother.undone(weight)
    error = errors.square().sum(1).mean().item()
    return Fit(
        kernel, ridge, smoother.centres, weight, smoother.base @ y, y - errors, error, smoother if keep else None
    )


# --- landmarks --------------------------------------------------------------------------------------------------------


def fit_landmarks(
    features: Features,
    labels: Tensor,
    kernel: RbfKernel,
    ridges: list[float],
    landmarks: Tensor,
    groups: Tensor | None = None,
    *,
    keep: bool = False,
) -> Fit:
    """The same with K in its Nystrom approximation; one eigendecomposition serves all `ridges`, the best one is taken.

    With Phi = K_nm L^-T, K_mm = L L', columns centred, and Phi' Phi = V diag(w) V', the residual r_i of row i becomes
    r_i / (1 - h_ii), h_ii = 1/n + sum_k (Phi V)_ik^2 / (w_k + lambda), when the row is left out. Time grows with
    n m^2, memory with m^2: Phi is made in blocks of rows, twice. With all rows as landmarks it is exact.

    Args:
        landmarks: (m,) row numbers.
        features, labels, kernel, groups: as for `fit_exact`.
        keep: the smoother, 8 bytes for each pair of a row and a landmark.
    """
    centres, y = take(features, landmarks), labels.double()
    root = landmark_root(kernel(centres, centres))
    mean, gram, cross = _moments(features, y, kernel, centres, root)
    values, vectors = torch.linalg.eigh(gram)
    turned = torch.linalg.solve_triangular(root.t(), vectors, upper=True)  # L^-T V: kernel row -> row of Phi V
    targets, shift = vectors.t() @ cross, mean @ vectors
    scales = [1 / (values.clamp(min=0) + ridge) for ridge in ridges]
    left_out = [torch.empty_like(y) for _ in ridges]
    for rows, phi in _blocks(features, kernel, centres, turned, shift):
        for held, part in zip(left_out, _left_out(phi, y[rows], y.mean(0), scales, targets, len(y)), strict=True):
            held[rows] = part
    errors = [(y - held).square().sum(1).mean().item() for held in left_out]
    best = min(range(len(ridges)), key=errors.__getitem__)
    beta = scales[best].unsqueeze(1) * targets
    held, error = left_out[best], errors[best]
    if groups is not None:
        held = _grouped(features, y, kernel, centres, turned, shift, scales[best], beta, groups)
        error = (y - held).square().sum(1).mean().item()
    smoother = _smoother(features, kernel, centres, turned, shift, scales[best], groups) if keep else None
    return Fit(kernel, ridges[best], centres, turned @ beta, y.mean(0) - shift @ beta, held, error, smoother)


def left_out_by_ridge(phi: Tensor, labels: Tensor, ridges: list[float]) -> Iterator[Tensor]:
    """Leave-one-out predictions (n, c) of ridge regression on phi (n, m) with an intercept, for each ridge.

    >>> phi, y = torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[0.0], [1.0], [0.0]])
    >>> next(left_out_by_ridge(phi.double(), y.double(), [1e-9]))[2].item()  # the line through the other two
    4.99999...
    """
    centred = phi - phi.mean(0)
    values, vectors = torch.linalg.eigh(centred.t() @ centred)
    phi, mean = centred @ vectors, labels.mean(0)
    scales = [1 / (values.clamp(min=0) + ridge) for ridge in ridges]
    return _left_out(phi, labels, mean, scales, phi.t() @ (labels - mean), len(labels))


def _left_out(phi: Tensor, y: Tensor, mean: Tensor, scales: list[Tensor], targets: Tensor, n: int) -> Iterator[Tensor]:
    """y - r / (1 - h) for rows of Phi V, for each 1 / (w + lambda)."""
    leverage = 1 / n + phi.square() @ torch.stack(scales, dim=1)
    for h, scale in zip(leverage.t(), scales, strict=True):
        residuals = y - mean - phi @ (scale.unsqueeze(1) * targets)
        yield y - residuals / (1 - h).clamp(min=1e-9).unsqueeze(1)


def landmark_root(gram: Tensor) -> Tensor:
    """L (m, m), lower triangular, with L L' = the landmarks' kernel, which may be singular."""
    for jitter in JITTERS:
        root, failed = torch.linalg.cholesky_ex(gram + jitter * torch.eye(len(gram)).to(gram))
        if not failed:
            break
    return root


def _moments(
    features: Features, y: Tensor, kernel: RbfKernel, centres: Features, root: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (m,) of Phi, and Phi' Phi (m, m) and Phi' Y (m, c) of centred columns."""
    m = len(root)
    mean, gram, cross = y.new_zeros(m), y.new_zeros(m, m), y.new_zeros(m, y.shape[1])
    for rows in blocks(features):
        part = kernel(take(features, rows), centres)
        phi = torch.linalg.solve_triangular(root, part.t(), upper=False)  # (m, rows)
        mean += phi.sum(1) / len(y)
        gram.addmm_(phi, phi.t())
        cross.addmm_(phi, y[rows] - y.mean(0))
    return mean, gram - len(y) * torch.outer(mean, mean), cross


def _blocks(
    features: Features, kernel: RbfKernel, centres: Features, turned: Tensor, shift: Tensor
) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows, and Phi V of them."""
    for rows in blocks(features):
        yield rows, kernel(take(features, rows), centres) @ turned - shift


def _smoother(
    features: Features,
    kernel: RbfKernel,
    centres: dict[str, Tensor],
    turned: Tensor,
    shift: Tensor,
    scale: Tensor,
    groups: Tensor | None,
) -> LandmarkSmoother:
    n = _rows(features)
    phi = turned.new_empty(n, len(scale))
    for rows, part in _blocks(features, kernel, centres, turned, shift):
        phi[rows] = part
    return LandmarkSmoother(kernel, centres, groups, scale.new_full((n,), 1 / n), phi, scale, turned, shift)


def _grouped(
    features: Features,
    y: Tensor,
    kernel: RbfKernel,
    centres: Features,
    turned: Tensor,
    shift: Tensor,
    scale: Tensor,
    beta: Tensor,
    groups: Tensor,
) -> Tensor:
    """Predictions (n, c) without the row's whole group g: its residuals become (I - H_gg)^-1 r_g."""
    held = torch.empty_like(y)
    for rows in members(groups):
        size = rows.shape[1]
        for some in rows.split(max(1, CHUNK // size)):
            phi = (kernel(take(features, some.flatten()), centres) @ turned - shift).view(*some.shape, -1)
            residuals = y[some] - y.mean(0) - phi @ beta
            kept = torch.eye(size).to(y) - 1 / len(y) - (phi * scale) @ phi.transpose(1, 2)
            held[some] = y[some] - torch.linalg.solve(kept, residuals)
    return held
