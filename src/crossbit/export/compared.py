"""Whether numpy gives the codes that PyTorch gives: both encode the same rows, and each byte is compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from crossbit.bits import pack
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.model import Model
from crossbit.model.rows import features_of_some

ROWS = 10_000  # compared in each modality, or as many as there are
CHUNK = 1024
NEAR = 1e-5  # an output so near to zero may have another sign elsewhere: float32 sums depend on their order

Compute = Callable[[np.ndarray], np.ndarray]


def features_for(model: Model, modality: str, data: PairedData | None) -> np.ndarray:
    """Features float32 (n, dim) of rows of the database in even steps; without data, drawn ones."""
    featuriser = model.featurisers[modality]
    if data is None:
        dim = featuriser.dim
        assert isinstance(dim, int)
        return np.random.default_rng(0).standard_normal((ROWS, dim), np.float32)
    rows = rows_compared(data)
    starts = range(0, len(rows), CHUNK)
    return np.concatenate(
        [features_of_some(featuriser, data[modality][rows[start : start + CHUNK]]) for start in starts]
    )


def rows_compared(data: PairedData) -> np.ndarray:
    """Rows of the database in even steps."""
    held = data.splits["retrieval"]
    return np.asarray(np.sort(held)[np.linspace(0, len(held) - 1, min(len(held), ROWS)).astype(int)])


def compared(torch_side: Compute, plain_side: Compute, features: np.ndarray, what: str) -> dict[str, int]:
    """How many rows, outputs, outputs within `NEAR` of zero, and bytes that differ.

    Args:
        torch_side, plain_side: features (n, dim) -> (n, bits).
        features: float32 (n, dim).
        what: is exported, for the error.

    Raises:
        UserError: an output that is not near to zero has another sign.
    """
    one, other = _all(torch_side, features), _all(plain_side, features)
    near = np.abs(one) < NEAR
    if (((one >= 0) != (other >= 0)) & ~near).any():
        raise UserError(f"{what} cannot be exported: numpy gives other codes for it than PyTorch; report this")
    differ = int((pack(one) != pack(other)).sum())
    return {"rows": len(one), "outputs": one.size, "near_zero": int(near.sum()), "bytes_that_differ": differ}


def _all(compute: Compute, features: np.ndarray) -> Any:
    return np.concatenate([compute(features[start : start + CHUNK]) for start in range(0, len(features), CHUNK)])
