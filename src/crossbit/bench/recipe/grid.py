"""From a recipe to its runs: data are loaded, everything is checked against them, and every run gets its name."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossbit.bench.recipe.fields import refuse
from crossbit.bench.recipe.parse import setting_names
from crossbit.bench.recipe.recipe import NO_NOISE, Grid, Recipe, Source, Variant
from crossbit.bench.recipe.sources import check_scored, features_of_source, load_source, sources_of
from crossbit.data.described import fingerprint
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.methods import Method, get
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
        features: the kind of features of each modality.
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
    features: Mapping[str, str]

    @property
    def id(self) -> str:
        """Readable and unique: the name of the run's folder.

        >>> BenchRun("toy", "nrch", "", {"width": 16}, 64, "swap-one:0.5", 0, None, "f00", {}).id
        'toy-nrch-64-swap-one_0.5-s0-9ca9e1ac'
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
    sources = sources_of(recipe, root, mistakes)
    cells: dict[tuple[Any, ...], BenchRun] = {}
    for name, source in sources.items():  # one after the other: only one is held in memory
        try:
            data = load_source(source)
            check_scored(data, recipe.protocol.databases)
            features = features_of_source(source, data)
        except UserError as error:
            mistakes.append(f"[data.{name}]: {error}")
            continue
        for grid in [grid for grid in recipe.grids if name in grid.data]:
            found = _runs(grid, recipe.protocol.validation, name, data, features, mistakes)
            _collect(found, cells, grid.where, mistakes)
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


@dataclass(frozen=True)
class _Training:
    """What is trained, before seed and code length."""

    variant: Variant
    settings: Mapping[str, Any]
    features: Mapping[str, str]
    noise: str


def _runs(
    grid: Grid, validation: float | None, name: str, data: PairedData, features: Mapping[str, str], mistakes: list[str]
) -> Iterator[BenchRun]:
    """The runs of a grid on one data set: all methods at the first seed, then at the next."""
    content = fingerprint(data)
    trainings = []
    for variant in [*(Variant("", method) for method in grid.methods), *grid.variants]:
        for noise in grid.noise:
            try:
                trainings.append(_training(grid, variant, noise, data, validation, features))
            except UserError as error:
                mistakes.append(f"{grid.where}, {name}: {str(error).replace('; --set ', '; the setting ')}")
    for seed in grid.seeds:
        for bits in grid.bits:
            for it in trainings:
                which = name, it.variant.method, it.variant.label
                yield BenchRun(*which, it.settings, bits, it.noise, seed, validation, content, it.features)


def _training(
    grid: Grid, variant: Variant, noise: str, data: PairedData, validation: float | None, features: Mapping[str, str]
) -> _Training:
    """With all settings and features spelt out; refuses exactly what training would."""
    cls = get(variant.method)
    modalities = cls.choose_modalities(list(data.modalities))
    plan = make_plan(
        data,
        method=cls.name,
        bits=64,
        noise=None if noise == NO_NOISE else noise,
        seed=0,
        epochs=None,
        settings=merged_settings(grid, cls, variant),
        features={m: features[m] for m in modalities if m in features},
        validation=validation,
        precision="32",
        device="auto",
    )
    settings = asdict(plan.settings)
    _check_weights(settings)
    return _Training(variant, settings, plan.features, noise)


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
            what = f"{run.method}{label} on {run.data} is in an earlier grid with other {', '.join(differ)}"
            mistakes.append(f"{where}: {what}; give one of them a label of its own, as a variant")
