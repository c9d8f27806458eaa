"""From a recipe to its runs: data are loaded, everything is checked against them, and every run gets its name."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from crossbit.bench.recipe.fields import refuse
from crossbit.bench.recipe.parse import setting_names
from crossbit.bench.recipe.recipe import NO_NOISE, Grid, Recipe, Source, Variant
from crossbit.data import builtins, load_data
from crossbit.data.described import fingerprint
from crossbit.data.types import PairedData
from crossbit.errors import UserError, unknown
from crossbit.features import fit_featuriser
from crossbit.methods import Method, get, make_settings
from crossbit.training.plan import make_plan


@dataclass(frozen=True)
class BenchRun:
    """One training and its evaluation, by all that tells it from others.

    Attributes:
        data: the data's name in the recipe; `fingerprint` tells their content.
        variant: label of a variant; empty for a method as it is.
        settings: all of the method's settings, epochs among them.
        noise: `RULE:RATE[:each][:group]`, or "none".
        validation: share of the training rows that chooses the epoch.
    """

    data: str
    method: str
    variant: str
    settings: Mapping[str, Any]
    bits: int
    noise: str
    seed: int
    validation: float | None
    fingerprint: str

    @property
    def id(self) -> str:
        """Readable and unique: the name of the run's folder.

        >>> BenchRun("toy", "nrch", "", {"width": 16}, 64, "swap-one:0.5", 0, None, "f00").id
        'toy-nrch-64-swap-one_0.5-s0-a10ee484'
        """
        digest = hashlib.blake2b(json.dumps(asdict(self), sort_keys=True).encode(), digest_size=4).hexdigest()
        parts = [self.data, self.method, self.variant, str(self.bits), self.noise, f"s{self.seed}", digest]
        return "-".join(re.sub(r"[^\w.+-]+", "_", part) for part in parts if part)

    @property
    def cell(self) -> tuple[str, str, str, int, str, int]:
        """Its place in the tables."""
        return self.data, self.method, self.variant, self.bits, self.noise, self.seed


def expand(recipe: Recipe, root: Path) -> tuple[list[BenchRun], dict[str, Source], list[str]]:
    """The runs of a recipe, each cell once; where the data are; and everything that is wrong, a line each.

    Args:
        recipe: as it shall run (`reduced` and `on` done).
        root: folder that relative paths of data start from.

    >>> from crossbit.bench.recipe.parse import parse_recipe
    >>> recipe, _ = parse_recipe({"grid": [{"data": "glyphs", "methods": "mrl", "bits": 64}]}, "mine")
    >>> expand(recipe, Path())[2]  # doctest: +ELLIPSIS
    ['grid 1, glyphs: mrl is for one class a sample, ... several']
    """
    mistakes: list[str] = []
    sources = _sources(recipe, root, mistakes)
    cells: dict[tuple[Any, ...], BenchRun] = {}
    for name, source in sources.items():  # one after the other: only one is held in memory
        try:
            data = load_source(source)
            _check_scored(data, recipe.protocol.databases)
        except UserError as error:
            mistakes.append(f"[data.{name}]: {error}")
            continue
        for grid in [grid for grid in recipe.grids if name in grid.data]:
            _collect(_runs(grid, recipe.protocol.validation, name, data, mistakes), cells, grid.where, mistakes)
    if not cells and not mistakes:
        mistakes.append("there is nothing to run: no grid has a method on these data")
    return list(cells.values()), sources, mistakes


def expand_or_refuse(
    recipe: Recipe, root: Path, where: str | os.PathLike[str], before: list[str]
) -> tuple[list[BenchRun], dict[str, Source]]:
    """As `expand`; all mistakes, those from before too, are raised together."""
    runs, sources, mistakes = expand(recipe, root)
    refuse(where, [*before, *mistakes])
    return runs, sources


def load_source(source: Source) -> PairedData:
    """The data of a source, under a name by which `crossbit evaluate` finds them where that is possible.

    Raises:
        UserError: they cannot be read; they lack a modality; or there are no vectors to standardise.
    """
    data = load_data(source.source, split=source.split).replace(name=source.source)
    if source.modalities:
        data = _only(data, source).replace(name=f"{source.name}, {' and '.join(source.modalities)}")
    if not source.standardise:
        return data
    vectors = {m: data[m] for m in data.modalities if data.kind(m) == "vectors"}
    if not vectors:
        raise UserError("standardise = true is for vectors, and these data have none")
    train = data.splits["train"]
    made = {m: fit_featuriser("scaled", array[train]).transform(array) for m, array in vectors.items()}
    return data.replace(name=f"{source.name}, standardised", modalities={**data.modalities, **made})


def _only(data: PairedData, source: Source) -> PairedData:
    """The data with the source's modalities and their labels alone."""
    for name in source.modalities:
        if name not in data.modalities:
            raise unknown("modality", name, data.modalities)
    parts = ("modalities", "modality_label", "modality_observed_label")
    kept = {part: {m: getattr(data, part)[m] for m in source.modalities if m in getattr(data, part)} for part in parts}
    return data.replace(**kept)


def _sources(recipe: Recipe, root: Path, mistakes: list[str]) -> dict[str, Source]:
    """Where the data of the grids are, in the order in which they are asked for."""
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


def _check_scored(data: PairedData, databases: tuple[str, ...]) -> None:
    if data.label is None and not data.modality_label:
        raise UserError("they have no true labels, so nothing can be scored")
    for split in {"query", *databases}:
        if not len(data.splits[split]):
            raise UserError(f"split '{split}' has no rows, so nothing can be scored")


def _runs(grid: Grid, validation: float | None, name: str, data: PairedData, mistakes: list[str]) -> Iterator[BenchRun]:
    """The runs of a grid on one data set: all methods at the first seed, then at the next."""
    content = fingerprint(data)
    chosen = []
    for variant in [*(Variant("", method) for method in grid.methods), *grid.variants]:
        given = merged_settings(grid, get(variant.method), variant)
        for noise in grid.noise:
            rule = None if noise == NO_NOISE else noise
            rest = {"epochs": None, "validation": validation, "precision": "32", "device": "auto"}
            try:  # exactly what training would refuse
                make_plan(data, method=variant.method, bits=64, noise=rule, seed=0, settings=given, **rest)  # type: ignore[arg-type]
                settings = asdict(make_settings(get(variant.method), given))
                _check_weights(settings)
                chosen.append((variant, settings, noise))
            except UserError as error:
                mistakes.append(f"{grid.where}, {name}: {str(error).replace('; --set ', '; the setting ')}")
    for seed in grid.seeds:
        for bits in grid.bits:
            for variant, settings, noise in chosen:
                which = variant.method, variant.label
                yield BenchRun(name, *which, settings, bits, noise, seed, validation, content)


def _check_weights(settings: Mapping[str, Any]) -> None:
    """Refuse weights that are no file, which training itself would find out when it comes to them."""
    weights = settings.get("weights")
    if isinstance(weights, str) and weights and not Path(weights).is_file():
        right = "put the file there, or give its path as the setting weights"
        raise UserError(f"weights {Path(weights).absolute()} do not exist; {right}")


def merged_settings(grid: Grid, cls: type[Method], variant: Variant) -> dict[str, Any]:
    """What a grid sets for a method: the common settings that it has, its own, the variant's; quick ones behind.

    Common `epochs` are for methods that iterate; one whose default is a single epoch is fitted in it, and further ones
    would only take time.

    >>> from crossbit.bench.recipe.parse import parse_recipe
    >>> grid = {"data": "glyphs", "methods": ["cca-itq", "ucch"], "bits": 64, "epochs": 8}
    >>> (made,) = parse_recipe({"grid": [grid]}, "mine")[0].grids
    >>> [merged_settings(made, get(name), Variant("", name)) for name in made.methods]
    [{}, {'epochs': 8}]
    """
    has = setting_names(cls) - ({"epochs"} if cls.Settings.epochs == 1 else set())
    given: dict[str, Any] = {}
    for common, apart in zip(grid.settings, grid.method_settings, strict=True):
        given |= {key: value for key, value in common.items() if key in has}
        given |= apart.get(cls.name, {})
    if "preset" in given and given["preset"] not in cls.presets:
        given.pop("preset")  # a common one, that other methods have
    return {**given, **variant.settings}


def _collect(runs: Iterator[BenchRun], cells: dict[tuple[Any, ...], BenchRun], where: str, mistakes: list[str]) -> None:
    """Put runs into their cells; two runs of one cell must be the same."""
    for run in runs:
        before = cells.setdefault(run.cell, run)
        if before != run:
            differ = [key for key, value in run.settings.items() if before.settings[key] != value]
            label = f" '{run.variant}'" if run.variant else ""
            what = f"{run.method}{label} on {run.data} stands in an earlier grid with other {', '.join(differ)}"
            mistakes.append(f"{where}: {what}; give one of them a label of its own, as a variant")
