"""A regression as a linear smoother: what it predicts are sums of labels, and a change of labels moves them by sums.

With R = I - H, which turns labels into residuals, the labels of row i are missed by (R_gg^-1 R_g Y)_i when its group g
(the row alone, where there are no groups) is left out. So they are predicted by other rows' labels with the weights
-(R_gg^-1 R_g)_i.

Shapes: n labelled rows, m landmarks, c columns of labels, q rows asked about.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

Features = Mapping[str, Tensor]
Kernel = Callable[[Features, Features], Tensor]


def members(groups: Tensor) -> Iterator[Tensor]:
    """Row numbers of the groups, (groups, size), those of one size together.

    >>> [rows.tolist() for rows in members(torch.tensor([5, 3, 5, 4]))]
    [[[1], [3]], [[0, 2]]]
    """
    order = groups.argsort(stable=True)
    sizes = groups.unique(return_counts=True)[1]
    parts = order.split(sizes.tolist())
    for size in sizes.unique().tolist():
        yield torch.stack([part for part in parts if len(part) == size])


@dataclass
class Smoother(ABC):
    """A regression on n labelled rows, whatever their labels are.

    Attributes:
        kernel: of the regression.
        centres: features of the rows or landmarks, in float64.
        groups: (n,) rows with the same number are left out together; None: each alone.
        base: (n,) weights of the labels in the intercept.
        undo: sparse (n, n), R_gg^-1 of every group: turns residuals into those without the row's group.
    """

    kernel: Kernel
    centres: dict[str, Tensor]
    groups: Tensor | None
    base: Tensor
    undo: Tensor = field(init=False)

    def __post_init__(self) -> None:
        everyone = torch.arange(len(self.base), device=self.base.device).unsqueeze(1)
        places, values = [], []
        for rows in [everyone] if self.groups is None else members(self.groups):
            size = rows.shape[1]
            pairs = rows.unsqueeze(2).expand(-1, -1, size), rows.unsqueeze(1).expand(-1, size, -1)
            places.append(torch.stack([part.flatten() for part in pairs]))
            values.append(_inverses(self._blocks(rows)).flatten())
        at, shape = torch.cat(places, 1), (len(everyone), len(everyone))
        self.undo = torch.sparse_coo_tensor(at, torch.cat(values), shape, check_invariants=True).coalesce()

    @abstractmethod
    def _blocks(self, rows: Tensor) -> Tensor:
        """R (groups, size, size) among the rows (groups, size) of each group."""

    @abstractmethod
    def residuals(self, part: Tensor) -> Tensor:
        """part R, (q, n), of a sparse part (q, n); R is symmetric."""

    @abstractmethod
    def slopes(self, part: Tensor) -> Tensor:
        """Coefficients (q, n or m) of `design` for labels part' (n, q), sparse."""

    @abstractmethod
    def design(self, features: Features) -> Tensor:
        """What further rows are predicted from, (q, n or m): times the coefficients, plus the intercept."""

    @abstractmethod
    def weights(self, features: Features) -> Tensor:
        """Weights (q, n) of each labelled row's labels in what is predicted for further rows; they sum to 1."""

    def undone(self, residuals: Tensor) -> Tensor:
        """By how much rows (n, c) with these residuals are missed when their groups are left out."""
        return torch.sparse.mm(self.undo, residuals)

    def left_out(self, rows: Tensor) -> Tensor:
        """Weights (q, n) of each labelled row's labels in what is predicted for `rows` (q,) of them without their
        groups; they sum to 1."""
        part = self.undo.index_select(0, rows).coalesce()
        found = -self.residuals(part)
        owner, own = part.indices()
        found[owner, own] = 0
        return found

    def moved(self, change: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What a change (n, c) of few rows' labels adds: to predictions (n, c) without the row's group, to the
        coefficients (n or m, c) of `design`, and to the intercept (c,)."""
        part = change.t().to_sparse()
        left_out = change - self.undone(self.residuals(part).t().contiguous())
        return left_out, self.slopes(part).t(), self.base @ change


def _inverses(blocks: Tensor) -> Tensor:
    return blocks.reciprocal() if blocks.shape[1] == 1 else torch.linalg.inv(blocks)


@dataclass
class ExactSmoother(Smoother):
    """With G = (K + lambda I)^-1: G~ = G - (G 1)(G 1)' / (1' G 1), which is R / lambda, and as good.

    Attributes:
        inverse: G~ (n, n).

    >>> x = {"x": torch.tensor([[0.0], [1.0], [3.0]])}
    >>> one = ExactSmoother.of(x, lambda a, b: (-(a["x"] - b["x"].t()).square()).exp(), ridge=1.0)
    >>> one.left_out(torch.tensor([0]))  # of the other two
    tensor([[0.0000, 0.5928, 0.4072]], dtype=torch.float64)
    """

    inverse: Tensor

    @classmethod
    def of(cls, features: Features, kernel: Kernel, ridge: float, groups: Tensor | None = None) -> ExactSmoother:
        """Of all rows of features, by modality (n, dim)."""
        own = _double(features)
        inverse = kernel(own, own)
        inverse.diagonal().add_(ridge)
        inverse = torch.linalg.cholesky(inverse)  # each step lets go of the one before: they are large
        inverse = torch.cholesky_inverse(inverse)  # G
        sums = inverse.sum(1)  # G 1
        base = sums / sums.sum()
        return cls(kernel, own, groups, base, inverse.addr_(sums, base, alpha=-1))

    def _blocks(self, rows: Tensor) -> Tensor:
        return self.inverse[rows.unsqueeze(2), rows.unsqueeze(1)]

    def residuals(self, part: Tensor) -> Tensor:
        return torch.sparse.mm(part, self.inverse)

    def slopes(self, part: Tensor) -> Tensor:
        return self.residuals(part)

    def design(self, features: Features) -> Tensor:
        return self.kernel(_double(features), self.centres)

    def weights(self, features: Features) -> Tensor:
        return self.design(features) @ self.inverse + self.base


@dataclass
class LandmarkSmoother(Smoother):
    """R = I - 1 1' / n - P diag(scale) P', P = Phi V with centred columns, scale 1 / (w + lambda).

    Attributes:
        phi: P (n, m).
        scale: (m,).
        turned, shift: (m, m) and (m,): a row of P is the landmarks' kernel times `turned`, less `shift`.
    """

    phi: Tensor
    scale: Tensor
    turned: Tensor
    shift: Tensor

    def _blocks(self, rows: Tensor) -> Tensor:
        phi = self.phi[rows]
        return torch.eye(rows.shape[1]).to(phi) - 1 / len(self.phi) - (phi * self.scale) @ phi.transpose(1, 2)

    def residuals(self, part: Tensor) -> Tensor:
        whole = part.to_dense()
        return whole - whole.mean(1, keepdim=True) - self.slopes(part) @ self.phi.t()

    def slopes(self, part: Tensor) -> Tensor:
        return torch.sparse.mm(part, self.phi) * self.scale

    def design(self, features: Features) -> Tensor:
        return self.kernel(_double(features), self.centres) @ self.turned - self.shift

    def weights(self, features: Features) -> Tensor:
        return (self.design(features) * self.scale) @ self.phi.t() + self.base


def _double(features: Features) -> dict[str, Tensor]:
    return {modality: x.double() for modality, x in features.items()}
