"""The data that a run was trained on: found by the name that it has kept, or given, and compared with those of then."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from crossbit.data import PairedData, is_collection, load_data
from crossbit.data.collection.columns import NoColumn
from crossbit.data.described import fingerprint
from crossbit.errors import UserError
from crossbit.runs.again import Again, find_again
from crossbit.runs.folder import SPLITS

if TYPE_CHECKING:
    from crossbit.runs.folder import RunFolder

Given: TypeAlias = "str | os.PathLike[str] | PairedData | None"


def find(
    run: RunFolder, given: Given, other: Callable[[str], Any] | None, option: str
) -> tuple[PairedData, Again | None]:
    """As `RunFolder.found`."""
    data = _read(run, given, option)
    if not (why := differing(run, data)):
        return data, None
    if given is None and (own := _as_split(run, data)) is not None:
        return own, None
    held = run.arrays()
    if (again := find_again(held, data)) is not None:
        said = f"it has changed since {run} was trained: {again}"
        return data.replace(splits=again.splits(held), notes=(said,)), again
    unlike = f"data '{data.name}' are not those that {run} was trained on: they have {why}"
    if given is None or other is None:
        changed = "have they changed, train again" if other is None else "named, any data are taken as they are"
        raise UserError(f"{unlike}; name the data it was trained on: {option}; {changed}")
    other(f"{unlike}; they are taken as another set, whose queries it may have been trained on")
    return data, None


def load(run: RunFolder, path: str | os.PathLike[str]) -> PairedData:
    """As `RunFolder.load`."""
    options = run.config.get("data_options", {}) if is_collection(os.fspath(path)) else {}
    try:
        return load_data(os.fspath(path), **options)
    except NoColumn as error:
        right = f"give the column the name that it had when {run} was trained"
        raise UserError(f"{error}; {right}") from error


def differing(run: RunFolder, data: PairedData) -> str:
    """As `RunFolder.differing`."""
    config = run.config
    if lacking := [modality for modality in config["features"] if modality not in data.modalities]:
        return f"no {' and no '.join(lacking)}"
    labels = config["multi_label"] is not None  # else training read none
    if fingerprint(data, config["features"], labels=labels) == config["fingerprint"]:
        return ""
    before = run.splits if run.arrays_file.exists() else {}
    same = all(np.array_equal(before[name], data.splits[name]) for name in SPLITS if name in before)
    counts = [len(np.unique(np.concatenate(list(splits.values())))) for splits in (data.splits, before) if splits]
    many = f" ({counts[0]:,} pairs, not {counts[1]:,})" if len({*counts}) > 1 else ""
    return "other content" if same else f"other splits{many}"


def _as_split(run: RunFolder, data: PairedData) -> PairedData | None:
    """The data with the run's own splits, where that makes them those that it was trained on: a layout's other split,
    say, which a name does not tell."""
    splits = run.splits
    whole = {name: splits[name] for name in SPLITS}
    for tried in (whole, splits):
        try:
            made = data.replace(splits=tried)
        except UserError:  # rows that the data do not have
            return None
        if not differing(run, made):
            return made
    return None


def _read(run: RunFolder, given: Given, option: str) -> PairedData:
    if isinstance(given, PairedData):
        return given
    if given is not None:
        return load(run, given)
    name = str(run.config["data"])  # what is no run is said to be none
    try:
        return load(run, name)
    except UserError as error:
        why = f"the data that {run} was trained on cannot be read ({error})"
        raise UserError(f"{why}; name it: {option}") from error
