"""A recipe: what a bench shall run. `parse` beside it reads it from TOML; docs/bench.md says what a key means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from crossbit.data import Columns
from crossbit.errors import UserError
from crossbit.evaluation.report import DATABASES

NO_NOISE = "none"
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """Where the data called `name` come from: a built-in name or a path.

    `standardise` has the features of all vectors scaled, or taken as they are; None leaves them to the method. `split`
    says which rows of a public layout are queries, None for its default; `modalities` are those that are kept, in this
    order, none named for all; `features` are pairs of a modality and its kind of features; `columns` are named ones of
    an own collection.
    """

    name: str
    source: str
    standardise: bool | None = None
    split: str | None = None
    modalities: tuple[str, ...] = ()
    features: tuple[tuple[str, str], ...] = ()
    columns: Columns = field(default_factory=Columns)


@dataclass(frozen=True)
class BenchProtocol:
    """How everything is evaluated; `validation` is the share of training rows that chooses the epoch, None for none."""

    seeds: tuple[int, ...] = (0, 1, 2)
    databases: tuple[str, ...] = DATABASES
    measures: tuple[str, ...] = ()
    curves: bool = True
    validation: float | None = None
    keep_models: bool = True


@dataclass(frozen=True)
class Variant:
    """A method with a part left out or other settings, under a name of its own."""

    label: str
    method: str
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """Every method and variant, on all data, at all bits and noises, with all seeds.

    `settings` are for every method that has them, `method_settings` for one; later ones win over earlier ones.
    """

    where: str
    data: tuple[str, ...]
    bits: tuple[int, ...]
    noise: tuple[str, ...]
    seeds: tuple[int, ...]
    methods: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    settings: tuple[Settings, ...] = ()
    method_settings: tuple[Mapping[str, Settings], ...] = ()


@dataclass(frozen=True)
class Quick:
    """What `--quick` puts in the place of the grids' own; None leaves it as it is."""

    data: tuple[str, ...] | None = None
    bits: tuple[int, ...] | None = None
    noise: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    methods: tuple[str, ...] | None = None
    settings: Settings = field(default_factory=dict)
    method_settings: Mapping[str, Settings] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A bench as it was asked for."""

    name: str
    title: str
    about: str
    protocol: BenchProtocol
    data: dict[str, Source]
    grids: tuple[Grid, ...]
    quick: Quick | None = None

    def reduced(self) -> Recipe:
        """The recipe as `--quick` runs it.

        Raises:
            UserError: it has no [quick].
        """
        quick = self.quick
        if quick is None:
            raise UserError("the recipe has no [quick], so it has no reduced form; leave out --quick")
        names = {name: getattr(quick, name) for name in ("data", "bits", "noise", "seeds")}
        changed = {name: value for name, value in names.items() if value is not None}
        return replace(self, grids=tuple(_reduced(grid, quick, changed) for grid in self.grids))

    def on(self, name: str) -> Recipe:
        """The recipe on one data set: one that it names, or any other in the place of all of them."""
        if name in self.data:
            grids = tuple(replace(grid, data=(name,)) for grid in self.grids if name in grid.data)
            return replace(self, grids=grids)
        source = Source(Path(name).stem or name, name)
        grids = tuple(replace(grid, data=(source.name,)) for grid in self.grids)
        return replace(self, grids=grids, data={source.name: source})


def _reduced(grid: Grid, quick: Quick, changed: Mapping[str, Any]) -> Grid:
    methods, variants = grid.methods, grid.variants
    if quick.methods is not None:
        methods = tuple(name for name in methods if name in quick.methods)
        variants = tuple(variant for variant in variants if variant.method in quick.methods)
    return replace(
        grid,
        **changed,
        methods=methods,
        variants=variants,
        settings=(*grid.settings, quick.settings),
        method_settings=(*grid.method_settings, quick.method_settings),
    )
