"""Features: each modality as float32 vectors, fitted once on rows that are not queries, saved with the model."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, cast

from numpy.typing import NDArray

from crossbit.errors import unknown

KINDS = {  # kind of rows: module and class, imported when used
    "pictures": ("crossbit.features.image", "PictureFeaturiser"),
    "pixels": ("crossbit.features.pixels", "PixelFeaturiser"),
    "words": ("crossbit.features.text", "WordsFeaturiser"),
    "vectors": ("crossbit.features.vectors", "VectorFeaturiser"),
    "scaled": ("crossbit.features.vectors", "ScaledFeaturiser"),
}


class Featuriser(Protocol):
    """What every featuriser offers, whatever it reads."""

    kind: str

    @property
    def dim(self) -> int | tuple[int, int, int]:
        """Numbers per row; of pixels, the shape of a row."""

    def transform(self, x: Any) -> NDArray[Any]:
        """Rows (n, ...) to float32 (n, dim), or uint8 (n, *dim)."""

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """JSON-able settings with `kind`, and arrays: all that `featuriser_from_state` needs."""


def fit_featuriser(kind: str, rows: Any, *, seed: int = 0) -> Featuriser:
    """Fit a featuriser to one modality.

    Args:
        kind: "pictures" (uint8 (n, h, w, 3)), "pixels" (the same, resized and otherwise left as they are), "words" (n
            strings), "vectors" (float (n, d), left as they are) or "scaled" (float (n, d), every column to mean 0 and
            deviation 1).
        rows: the rows to fit on; queries must not be among them.
        seed: draws the rows that are used where there are too many.

    Raises:
        UserError: unknown kind, or rows that do not suit it.

    >>> import numpy as np
    >>> featuriser = fit_featuriser("scaled", np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> featuriser.transform(np.array([[1.0, 5.0]]))
    array([[-1.,  0.]], dtype=float32)
    """
    return cast(Featuriser, _class_of(kind).fit(rows, seed=seed))


def featuriser_from_state(config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Featuriser:
    """The featuriser that `state()` was taken from; it transforms equally to the bit.

    >>> import numpy as np
    >>> config, tensors = fit_featuriser("words", ["red fox", "red car"]).state()
    >>> featuriser_from_state(config, tensors).transform(["a red hat"]).any()
    np.True_
    """
    return cast(Featuriser, _class_of(str(config.get("kind"))).from_state(config, tensors))


def _class_of(kind: str) -> Any:
    if kind not in KINDS:
        raise unknown("kind of features", kind, KINDS)
    module, name = KINDS[kind]
    return getattr(import_module(module), name)
