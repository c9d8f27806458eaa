"""What a training will do, checked and drawn before anything is written: rows, noise, validation, settings."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from crossbit.bits import check_bits
from crossbit.data.described import fingerprint
from crossbit.data.observed import has_labels, observed_labels, unlabelled
from crossbit.data.prepared import Prepared, prepared
from crossbit.data.relabelled import Relabelled, label_names, own_columns, relabelled
from crossbit.data.types import PairedData
from crossbit.errors import UserError, unknown
from crossbit.features.auto import AUTO, reason
from crossbit.features.paired import choose_features
from crossbit.methods import Method, get, make_settings
from crossbit.networks.device import PRECISIONS
from crossbit.runs.folder import FORMAT

# What a resumed run must share with the run that it continues.
SAME = (
    "method",
    "settings",
    "features",
    "bits",
    "noise",
    "seed",
    "validation",
    "precision",
    "device",
    "fingerprint",
    "labels",
)
VERSIONED = ("crossbit", "torch", "numpy", "scikit-learn")


@dataclass(kw_only=True)
class Plan(Prepared):
    """Everything that is decided before training.

    Attributes:
        cls, settings: the method and its settings.
        features: the name of each modality's featuriser.
        config: the run's config.json.
        note: which method and features were chosen and why, where that was left to us.
    """

    cls: type[Method]
    settings: Any
    features: dict[str, str]
    config: dict[str, Any]
    note: str


def make_plan(
    data: PairedData,
    *,
    method: str | None,
    bits: int,
    noise: str | None,
    seed: int,
    epochs: int | None,
    settings: Mapping[str, Any],
    features: Mapping[str, str] | str,
    validation: float | None,
    precision: str,
    device: str,
    labels: str | os.PathLike[str] | None = None,
) -> Plan:
    """Check the arguments of `crossbit.train` and draw the noise; touches no file."""
    epochs, settings = _plain(epochs), {name: _plain(value) for name, value in settings.items()}
    note = ""
    if method is None:
        method, why = default_method(data)
        note = f"method {method}, as none was named: {why}"
    cls = get(method)
    chosen = make_settings(cls, settings if epochs is None else {**settings, "epochs": epochs})
    _check_numbers(bits, precision, seed)
    bits, seed, validation = int(bits), int(seed), validation or None  # 0: none is held out
    modalities = cls.choose_modalities(list(data.modalities))
    if isinstance(features, str):
        features = _for_all(features, modalities)
    named = _features(data, cls, modalities, chosen, features)
    for modality in (modality for modality, kind in features.items() if kind == AUTO):
        note += ("\n" if note else "") + reason(modality, named[modality])
    sees_labels = cls.sees_labels and (cls.needs_labels or has_labels(data))
    if sees_labels:
        _check_labels(data, cls, modalities)
    corrected = None if labels is None else _corrected(data, cls, labels)
    ready = prepared(
        corrected.data if corrected else data,
        modalities,
        rows=cls.rows,
        noise=noise,
        seed=seed,
        hold_out=validation,
        sees_labels=sees_labels,
    )
    if len(ready.validation_rows) and not has_labels(data):
        raise UserError(f"data '{data.name}' has no labels, and validation chooses the epoch by labels; leave it out")
    if sees_labels:
        cls.check_labels(chosen, ready.observed(ready.rows[np.isin(ready.rows, data.splits["train"])]))
    config = {"format": FORMAT, "method": method, "settings": asdict(chosen), "features": named, "bits": bits}
    config |= {"noise": None if ready.noise is None else str(ready.noise), "seed": seed, "validation": validation}
    config |= {"precision": precision, "device": device, "selection": _selection(ready.validation_rows, validation)}
    config |= {"noise_changes": ready.noise_changes, **_describe(ready.data, ready.reads_labels)}
    config["labels"] = None if corrected is None else {"changed": corrected.changed, "hash": corrected.hash}
    if corrected is not None:
        told = f"{corrected.changed:,} of {corrected.told:,} training rows in {labels} have other labels than the data"
        note = "; ".join(filter(None, (note, told)))
        if left_out := corrected.left_out(label_names(data)):
            note += f"\n{left_out}"
            note += "; to train on them, put this table in the place of the data's own" if own_columns(data) else ""
    # of the data as given, and of the modalities trained on: others may be there
    config["fingerprint"] = fingerprint(data, modalities, labels=ready.reads_labels)
    return Plan(**vars(ready), cls=cls, settings=chosen, features=named, config=config, note=note)


def _for_all(features: str, modalities: list[str]) -> dict[str, str]:
    if features != AUTO:
        raise UserError(f'features are {features!r}; give "auto", or a kind for a modality, such as image=hog')
    return dict.fromkeys(modalities, AUTO)


def _features(
    data: PairedData, cls: type[Method], modalities: list[str], settings: Any, given: Mapping[str, str]
) -> dict[str, str]:
    """The featuriser of each modality; pixels are asked for only where there are pictures."""
    pixels: bool = settings.takes_pixels
    if pixels and "pictures" not in (kinds := {m: data.kind(m) for m in modalities}).values():
        held = ", ".join(f"{modality}: {kind}" for modality, kind in kinds.items())
        raise UserError(f"pictures={settings.pictures} takes pictures, and data '{data.name}' has none ({held})")
    return choose_features(data, modalities, given, scale_vectors=cls.scale_vectors, pixels=pixels)


def _corrected(data: PairedData, cls: type[Method], labels: str | os.PathLike[str]) -> Relabelled:
    """The data with the labels of a table; not for a method that would not look at them."""
    if not cls.sees_labels:
        raise UserError(f"method {cls.name} sees no labels, so {os.fspath(labels)} would change nothing; leave it out")
    return relabelled(data, labels)


def _plain(value: Any) -> Any:
    """A number of numpy as Python's, which JSON takes."""
    return value.item() if isinstance(value, np.generic) else value


def _check_numbers(bits: int, precision: str, seed: int) -> None:
    check_bits(bits)
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    check_seed(seed)


def check_seed(seed: int) -> None:
    """Refuse what is no seed: UserError."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:  # what PyTorch takes
        raise UserError(f"seed is {seed!r}; it must be a whole number from 0 to 2^63 - 1")


def _describe(data: PairedData, labels: bool) -> dict[str, Any]:
    """The config's part on the data and the machine; without `labels` none is read."""
    return {
        "data": data.source or data.name,
        "data_options": data.options,
        "classes": data.classes if labels else 0,
        "multi_label": data.multi_label if labels else None,
        "label_names": data.label_names if labels else None,
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in VERSIONED} | {"python": platform.python_version()},
    }


def default_method(data: PairedData) -> tuple[str, str]:
    """The method for data when none is asked for, and why: `look`, or `ucch` where some modalities alone have labels.

    >>> x = np.eye(4, dtype=np.float32)
    >>> rows = {"train": [1, 2, 3], "query": [0], "retrieval": [1, 2, 3]}
    >>> default_method(PairedData("toy", {"image": x, "text": x}, None, rows))
    ('look', 'no training row has a label, and it learns from the pairs')
    """
    if not (without := unlabelled(data)):
        return "look", "there are labels, and it repairs what looks wrong"
    if len(without) < len(data.modalities):
        return "ucch", f"{' and '.join(without)} has no labels, though others have"
    return "look", "no training row has a label, and it learns from the pairs"


def _check_labels(data: PairedData, cls: type[Method], modalities: list[str]) -> None:
    try:
        observed_labels(data, modalities, data.splits["train"][:1])
    except UserError as error:
        raise UserError(f"{cls.name} learns from labels; {error}; ucch needs none") from error


def _selection(rows: np.ndarray, share: float | None) -> str:
    """How the epoch is chosen, in words."""
    if not len(rows):
        return "last epoch"
    source = "cut out of the training rows" if share is not None else "of the data's validation split"
    return f"best epoch by mAP among {len(rows):,} rows {source}, by the labels they were given"


def check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to resume a run with other settings or data.

    Raises:
        UserError: names everything that differs.
    """
    differing = []
    for key in SAME:
        old, new = before.get(key), now[key]
        if isinstance(old, dict) and isinstance(new, dict):
            differing += [_changed(key, k, old, new) for k in {**old, **new} if old.get(k, ...) != new.get(k, ...)]
        elif old != new:
            differing.append("the data differ" if key == "fingerprint" else f"{key} was {old}, is {new}")
    if differing:
        raise UserError(f"cannot resume with other settings: {'; '.join(differing)}")


def _changed(kind: str, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """How a setting differs from before; one that only one of them has belongs to another version of crossbit."""
    if name not in old or name not in new:
        return f"{kind} {name} is {'new' if name in new else 'gone'} in this version of crossbit"
    return f"{kind} {name} was {old[name]}, is {new[name]}"
