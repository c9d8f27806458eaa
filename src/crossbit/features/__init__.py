"""Features: each modality as vectors, or pictures as pixels; fitted once on rows that are not queries.

Each featuriser is one file of this folder, which is searched for them.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from crossbit.errors import UserError
from crossbit.features.base import Featuriser
from crossbit.registry import Registry

__all__ = ["Featuriser", "available", "featuriser_from_state", "fit_featuriser", "get", "parsed"]

_FEATURISERS = Registry(__name__, Featuriser, "kind of features")  # type: ignore[type-abstract]


def available() -> dict[str, type[Featuriser]]:
    """Every featuriser by name.

    >>> available()["scaled"].reads
    'vectors'
    """
    return _FEATURISERS.all()


def get(name: str) -> type[Featuriser]:
    """The featuriser of that name; where its module is called so too, no other one is imported.

    Raises:
        UserError: there is none; the known ones are listed.
    """
    return _FEATURISERS.get(name)


def parsed(spec: str) -> tuple[type[Featuriser], str]:
    """A featuriser, and what stands behind the colon of its name: "clip:folder", "vgg19:weights.pth".

    Raises:
        UserError: an unknown name, or a colon too many or too few.

    >>> parsed("hog")[1], parsed("clip:models/b32")[1]
    ('', 'models/b32')
    """
    name, _, argument = spec.partition(":")
    if argument and name not in available():  # a network of torchvision's
        name, argument = "torchvision", spec
    featuriser = get(name)
    if argument and not featuriser.takes:
        raise UserError(f"features {spec} take nothing behind the colon; type {name}")
    if featuriser.takes and not argument:
        raise UserError(f"features {name} need {featuriser.takes} behind a colon: {name}:...")
    return featuriser, argument


def fit_featuriser(name: str, rows: Any, *, seed: int = 0) -> Featuriser:
    """Fit the featuriser of that name to one modality; `rows` and `seed` as for `Featuriser.fit`.

    A name may have something behind a colon: see `parsed`.

    Raises:
        UserError: an unknown name, or rows that do not suit it.

    >>> import numpy as np
    >>> featuriser = fit_featuriser("scaled", np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> featuriser.transform(np.array([[1.0, 5.0]]))
    array([[-1.,  0.]], dtype=float32)
    """
    featuriser, argument = parsed(name)
    return featuriser.fit(rows, seed=seed, **({"argument": argument} if argument else {}))


def featuriser_from_state(config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Featuriser:
    """The featuriser that `state()` was taken from; it transforms equally to the bit.

    >>> import numpy as np
    >>> config, tensors = fit_featuriser("words", ["red fox", "red car"]).state()
    >>> featuriser_from_state(config, tensors).transform(["a red hat"]).any()
    np.True_
    """
    return get(str(config.get("name"))).from_state(config, tensors)
