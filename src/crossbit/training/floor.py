"""The untrained floor: codes of the same features without any training, by CCA in closed form and a rotation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from crossbit.bits import pack
from crossbit.methods.canonical import canonical_correlation
from crossbit.methods.cca import ItqSettings, iterative_quantisation
from crossbit.methods.linear import random_rotation

WIDEST = 1024  # numbers per row that CCA is given; of more, the principal components
METHOD = "cca-itq"


@dataclass(frozen=True)
class Floor:
    """Linear maps of two modalities' features into one space.

    Attributes:
        bits: the code length.
        metric: by what it is ranked, as the model it is compared with.
        means, maps: by modality (d,) and (d, bits), float64.
    """

    bits: int
    metric: str
    means: dict[str, Tensor]
    maps: dict[str, Tensor]
    method: str = METHOD

    @classmethod
    def fit(cls, features: dict[str, np.ndarray], bits: int, metric: str) -> Floor:
        """CCA-ITQ with its usual settings, fitted to the features (n, d) of pairs, row i of both is pair i."""
        settings, bases = ItqSettings(), {name: _components(rows) for name, rows in features.items()}
        x, y = (torch.from_numpy(features[name] @ base) for name, base in bases.items())
        directions = min(bits, x.shape[1], y.shape[1])
        # the ridge counts in mean variances of all columns: fewer columns hold the same variance
        share = np.prod([base.shape[1] / len(base) for base in bases.values()]) ** 0.5
        ridge = settings.regularisation * float(share)
        space = canonical_correlation(x, y, directions=directions, regularisation=ridge, power=settings.power)
        embedded = [
            (rows.double() - mean) @ map_ for rows, mean, map_ in zip((x, y), space.means, space.maps, strict=True)
        ]
        start = random_rotation(directions, bits, seed=0)
        rotation, _ = iterative_quantisation(torch.cat(embedded), start, settings.iterations)
        whole = {name: torch.from_numpy(base).double() for name, base in bases.items()}
        maps = {name: whole[name] @ map_ @ rotation for name, map_ in zip(bases, space.maps, strict=True)}
        means = {name: whole[name] @ mean for name, mean in zip(bases, space.means, strict=True)}
        return cls(bits, metric, means, maps)

    def embed(self, modality: str, rows: np.ndarray) -> np.ndarray:
        """Features (n, d) to real vectors float64 (n, bits)."""
        found: np.ndarray = ((torch.from_numpy(rows).double() - self.means[modality]) @ self.maps[modality]).numpy()
        return found

    def encode(self, modality: str, rows: np.ndarray) -> np.ndarray:
        """Features (n, d) to packed codes uint8 (n, bits // 8)."""
        return pack(self.embed(modality, rows))


def _components(rows: np.ndarray) -> np.ndarray:
    """Orthonormal directions (d, k) that hold what varies in rows (n, d): all of it if n and d are small."""
    most = min(WIDEST, len(rows) - 1)
    if rows.shape[1] <= most:
        return np.eye(rows.shape[1], dtype=rows.dtype)
    solver = "covariance_eigh" if rows.shape[1] <= 2 * most else "randomized"  # exact, and the faster of the two there
    components: np.ndarray = PCA(most, svd_solver=solver, random_state=0).fit(rows).components_
    return np.ascontiguousarray(components.T.astype(rows.dtype))
