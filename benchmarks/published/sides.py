"""What both sides of a comparison get: the same vectors, rows, observed labels and first weights' generator."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from crossbit.data import load_data
from crossbit.data.noise import corrupt_data
from crossbit.data.types import PairedData, Rows
from crossbit.features import fit_featuriser
from crossbit.features.paired import choose_features, features_of, fit_featurisers
from crossbit.methods import Task, View, get, make_settings

if TYPE_CHECKING:
    from benchmarks.published.code import PublishedCode


def load_vectors(args: argparse.Namespace) -> PairedData:
    """The data with every modality as vectors; with --scale, standardised by the training rows."""
    data = load_data(args.data)
    data = data.replace(modalities={m: data[m] for m in args.modalities})
    raw = [modality for modality in data.modalities if data.kind(modality) != "vectors"]
    featurisers = fit_featurisers(data, choose_features(data, raw), seed=0)
    if args.scale:
        vectors = [m for m in data.modalities if m not in raw]
        featurisers |= {m: fit_featuriser("scaled", data[m][data.splits["train"]]) for m in vectors}
    made = {m: features_of(f, data[m], np.arange(data.n)) for m, f in featurisers.items()}
    return args.adapter.prepare(data.replace(modalities={**data.modalities, **made}), args)  # type: ignore[no-any-return]


def vectors(data: PairedData, modality: str, rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(data[modality][rows], dtype=np.float32)


def view_of(data: PairedData, seed: int, args: argparse.Namespace) -> tuple[View, Task]:
    """What a method is trained on in a run with this seed, outside the training loop."""
    cls = get(args.method)
    rows, noise = data.splits[cls.rows], args.adapter.noise
    noisy = data if noise is None else corrupt_data(data, noise, seed)[0]
    features = {m: torch.from_numpy(vectors(data, m, rows)) for m in data.modalities}
    apart = noisy.modality_label or noisy.modality_observed_label
    labels: Any = {m: observed(noisy, rows, m) for m in features} if apart else observed(noisy, rows, None)
    view = View(features, labels if cls.sees_labels else None, rows, epochs=args.epochs, seed=seed)
    return view, Task({m: x.shape[1] for m, x in features.items()}, data.classes, args.bits)


def observed(data: PairedData, rows: np.ndarray, modality: str | None) -> Tensor:
    """What training may see of these rows, float32 0/1 (rows, classes)."""
    labels = Rows(data, rows).observed(modality)
    assert labels is not None
    wide = labels if labels.ndim == 2 else labels[:, None] == np.arange(data.classes)
    return torch.from_numpy(wide.astype(np.float32))


def ours(data: PairedData, seed: int, args: argparse.Namespace, settings: dict[str, Any]) -> tuple[Any, View]:
    """Our method and its view."""
    view, task = view_of(data, seed, args)
    cls = get(args.method)
    torch.manual_seed(seed)
    method = cls(make_settings(cls, {"preset": "paper", "width": args.width, **settings}), task)
    method.optimizers = method.build_optimizers()
    view.epoch = args.adapter.timed_epoch
    return method, view


def published(data: PairedData, seed: int, args: argparse.Namespace) -> PublishedCode:
    """The published code on the rows and the labels of our run with this seed."""
    view, task = view_of(data, seed, args)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (published code draws from it)
    return args.adapter(data, view, task, args)
