"""The data of a recipe: where they are, and what a run takes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from crossbit.bench.recipe.recipe import Recipe, Source
from crossbit.data import builtins, load_data
from crossbit.data.types import PairedData
from crossbit.errors import UserError, unknown


def sources_of(recipe: Recipe, root: Path, mistakes: list[str]) -> dict[str, Source]:
    """Where the data of the grids are, in the order in which they are asked for; paths are made absolute from `root`.

    What is not there is a line in `mistakes`.
    """
    sources: dict[str, Source] = {}
    for grid in recipe.grids:
        for name in [name for name in grid.data if name not in sources]:
            source = recipe.data.get(name, Source(name, name))
            if name not in recipe.data and name not in builtins():
                mistakes.append(f"{grid.where}: {unknown('data', name, {*recipe.data, *builtins()})}")
            elif source.source in builtins():
                sources[name] = source
            elif not (path := (root / source.source).absolute()).exists():
                hint = "--data-root says where data are, --data glyphs takes the built-in set instead"
                mistakes.append(f"[data.{name}]: {path} does not exist; {hint}")
            else:
                sources[name] = replace(source, source=str(path))
    return sources


def load_source(source: Source) -> PairedData:
    """The data of a source.

    Raises:
        UserError: they cannot be read; or they lack a modality.
    """
    data = load_data(source.source, split=source.split, **source.columns.asked)
    return data.only(source.modalities) if source.modalities else data


def features_of_source(source: Source, data: PairedData) -> dict[str, str]:
    """By modality the kind of features that the recipe names; the others have their method's default.

    Raises:
        UserError: a modality that is not there; or vectors are to be standardised, and there are none.
    """
    for modality, _ in source.features:
        data[modality]  # refuses an unknown one
    vectors = [m for m in data.modalities if data.kind(m) == "vectors"] if source.standardise is not None else []
    if source.standardise and not vectors:
        raise UserError("standardise = true is for vectors, and these data have none; leave it out")
    return dict.fromkeys(vectors, "scaled" if source.standardise else "as-is") | dict(source.features)


def check_scored(data: PairedData, databases: tuple[str, ...]) -> None:
    """UserError where there is nothing to score by, or nothing to score."""
    if data.label is None and not data.modality_label:
        raise UserError("they have no true labels, so nothing can be scored")
    for split in {"query", *databases}:
        if not len(data.splits[split]):
            raise UserError(f"split '{split}' has no rows, so nothing can be scored")
