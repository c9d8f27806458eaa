"""A posterior that can be relabelled, taken apart into numbers and arrays that can be kept, and put together again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossbit.posterior import Posterior, of_basis, witnesses_of
from crossbit.posterior.confusion import Confusion
from crossbit.posterior.noise import NoiseModel
from crossbit.posterior.regression import RbfKernel
from crossbit.posterior.relabel import Basis
from crossbit.posterior.smoother import ExactSmoother, LandmarkSmoother, Smoother

CENTRE = "centre of "


def method() -> str:
    """A digest of this package, which changes when a posterior may come out otherwise."""
    digest = hashlib.blake2b(torch.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def take_apart(posterior: Posterior) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Small JSON values and arrays of a posterior that has kept its basis, of one array of labels and without judging
    pairs: all that `put_together` needs beside what it was estimated from.
    """
    basis, noise, kernel = posterior.basis, next(iter(posterior.noise.values())), posterior.kernel
    assert basis is not None and kernel is not None
    arrays = {name: getattr(basis.smoother, name) for name in _fields(type(basis.smoother))}
    if isinstance(basis.smoother, LandmarkSmoother):
        arrays |= {CENTRE + modality: x for modality, x in basis.smoother.centres.items()}
    arrays |= {"predicted": basis.predicted, "offset": noise.offset}
    if noise.shown is not None:
        arrays["shown"] = noise.shown
    told: dict[str, Any] = {
        "kernel": asdict(kernel),
        "ridge": posterior.ridge,
        "exact": isinstance(basis.smoother, ExactSmoother),
    }
    told |= {"single": posterior.single, "noise": [noise.single, noise.slope, noise.shares], "confused": None}
    if (found := noise.confusion) is not None:
        arrays |= {name: getattr(found, name) for name in ("truth", "label", "log_rate")}
        told["confused"] = found.classes
    return told, {name: array.numpy() for name, array in arrays.items()}


def put_together(
    told: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    features: Mapping[str, Tensor],
    observed: Mapping[str, Tensor],
    groups: Tensor | None,
) -> Posterior:
    """The posterior that was taken apart.

    Args:
        told, arrays: of `take_apart`; arrays in float64.
        features, observed: that it was estimated from.
        groups: (n,) of the rows that were left out together; None: each alone.

    >>> x = {"x": torch.arange(20.0).unsqueeze(1)}
    >>> y = {"x": torch.eye(2)[(x["x"][:, 0] >= 10).long()]}
    >>> from crossbit.posterior import estimate_posterior
    >>> first = estimate_posterior(x, y, keep=True)
    >>> second = put_together(*take_apart(first), x, y, None)
    >>> torch.equal(first.labels, second.labels), torch.equal(first.evidence["x"], second.evidence["x"])
    (True, True)
    """
    held = {name: torch.from_numpy(array) for name, array in arrays.items()}
    kernel, kind = RbfKernel(**told["kernel"]), ExactSmoother if told["exact"] else LandmarkSmoother
    centres = {modality: held.get(CENTRE + modality, x).double() for modality, x in features.items()}
    smoother = kind(kernel, centres, groups, **{name: held[name] for name in _fields(kind)})
    confusion = None
    if told["confused"] is not None:
        confusion = Confusion(held["truth"].long(), held["label"].long(), held["log_rate"], told["confused"])
    shown = held["shown"].bool() if "shown" in held else None
    single, slope, shares = told["noise"]
    noise = dict.fromkeys(features, NoiseModel(single, slope, held["offset"], shares, confusion, shown))
    basis = Basis.of(smoother, features, witnesses_of(observed), held["predicted"], told["single"])
    return of_basis(basis, noise, kernel, told["ridge"])


def _fields(smoother: type[Smoother]) -> list[str]:
    """Names of the tensors that a smoother is made of, but its centres and groups."""
    known = {"kernel", "centres", "groups", "undo"}
    return [field.name for field in fields(smoother) if field.name not in known]
