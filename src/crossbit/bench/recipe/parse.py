"""Reading a recipe from TOML; all mistakes are found, not only the first. docs/bench.md says what every key means."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from crossbit import features
from crossbit.bench.recipe.fields import Fields, flag, text, whole
from crossbit.bench.recipe.recipe import NO_NOISE, BenchProtocol, Grid, Quick, Recipe, Settings, Source, Variant
from crossbit.bits import check_bits
from crossbit.data import Columns
from crossbit.data.noise import parse_noise
from crossbit.errors import UserError, unknown
from crossbit.evaluation import parse_measure
from crossbit.evaluation.report import DATABASES
from crossbit.features.auto import AUTO
from crossbit.methods import Method, available, get, make_settings
from crossbit.storage.lines import read_text

MOST_SEEDS = 1000  # more are a slip of the finger, not a bench


def read_recipe(path: str | os.PathLike[str]) -> tuple[Recipe, list[str]]:
    """Read a recipe, and all mistakes of its form: one line each; what is wrong is left out of the recipe.

    Raises:
        UserError: the file cannot be read, or is not TOML.
    """
    try:
        document = tomllib.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is not a TOML file: {error}") from error
    return parse_recipe(document, Path(path).stem)


def parse_recipe(document: Mapping[str, Any], name: str) -> tuple[Recipe, list[str]]:
    """As `read_recipe`, of a TOML document; `name` is for a recipe that does not give its name.

    >>> recipe, mistakes = parse_recipe({"grid": [{"data": "glyphs", "methods": ["nrhc"], "bits": [64]}]}, "mine")
    >>> mistakes[0][:66]
    "grid 1: methods: unknown method 'nrhc'; did you mean 'nrch'? known"
    """
    mistakes: list[str] = []
    top = Fields(document, "recipe", mistakes)
    name = top.one("name", text, name)
    title, about = top.one("title", text, name), top.one("about", text, "")
    protocol = _protocol(Fields(top.table_of("protocol"), "[protocol]", mistakes))
    data = {key: _source(key, table, mistakes) for key, table in top.table_of("data").items()}
    tables = top.tables("grid")
    quick = _quick(Fields(top.table_of("quick"), "[quick]", mistakes), tables) if "quick" in document else None
    grids = [_grid(table, n, protocol, mistakes) for n, table in enumerate(tables, 1)]
    if not grids:
        top.wrong("it has no [[grid]], so there is nothing to run; add one (docs/bench.md)")
    top.known.add("quick")
    top.close()
    return Recipe(name, title, about, protocol, data, tuple(grids), quick), mistakes


def _protocol(fields: Fields) -> BenchProtocol:
    usual = BenchProtocol()
    protocol = BenchProtocol(
        seeds=_seeds(fields, usual.seeds),
        databases=fields.many("databases", _database, usual.databases),
        measures=fields.many("measures", _measure, ()),
        curves=fields.one("curves", flag, usual.curves),
        validation=fields.one("validation", _share, 0.0) or None,
        keep_models=fields.one("keep_models", flag, usual.keep_models),
    )
    fields.close()
    return protocol


def _source(name: str, table: Any, mistakes: list[str]) -> Source:
    fields = Fields(table, f"[data.{name}]", mistakes)
    place, scaled = fields.one("source", text, name), fields.one("standardise", flag, None)
    split, kept = fields.one("split", text, "") or None, fields.many("modalities", text, ())
    named = Fields(fields.table_of("features"), f"{fields.where}: features", mistakes)
    kinds = {modality: named.one(modality, _features, "") for modality in named.table}
    columns = Columns.of(lambda keyword: fields.one(keyword, text, None))
    fields.close()
    return Source(name, place, scaled, split, kept, tuple((m, kind) for m, kind in kinds.items() if kind), columns)


def _grid(table: Any, number: int, protocol: BenchProtocol, mistakes: list[str]) -> Grid:
    fields = Fields(table, f"grid {number}", mistakes)
    for key in ("data", "bits"):
        if key not in fields.table:
            fields.wrong(f"it has no {key}")
    common, apart = _settings(fields, [fields.table])

    def variant(table: Any) -> Variant | None:
        return _variant(table, fields.where, mistakes, lambda cls: {**common, **apart.get(cls.name, {})})

    grid = Grid(
        where=fields.where,
        data=fields.many("data", text, ()),
        bits=fields.many("bits", _bits, ()),
        noise=fields.many("noise", _noise, (NO_NOISE,)),
        seeds=_seeds(fields, protocol.seeds),
        methods=fields.many("methods", _method, ()),
        variants=tuple(made for table in fields.tables("variants") if (made := variant(table))),
        settings=(common,),
        method_settings=(apart,),
    )
    grid = replace(grid, settings=(_check_used(grid, fields),))
    fields.close()
    return grid


def _check_used(grid: Grid, fields: Fields) -> Settings:
    """The common settings that its methods take: there are methods, and no setting is passed over in silence."""
    if not {"methods", "variants"} & set(fields.table):
        fields.wrong("it has no methods and no variants")
    used = {*grid.methods, *(variant.method for variant in grid.variants)}
    has = {name for method in used for name in setting_names(get(method))}
    for key, value in grid.settings[0].items() if used else ():
        if key not in has:
            fields.wrong(f"settings: no method of this grid has the setting '{key}'")
        elif key == "preset" and not any(value in get(method).presets for method in used):
            known = {name for method in used for name in get(method).presets}
            fields.wrong(f"settings: {unknown('preset', str(value), known)}")
    for method in grid.method_settings[0]:
        if used and method not in used:
            fields.wrong(f"settings: {method} is not among the methods of this grid")
    common = dict(grid.settings[0])
    for cls in map(get, sorted(used)):
        of = {key: value for key, value in common.items() if key in setting_names(cls) and _is_for(cls, key, value)}
        taken = _checked_settings(cls, of, fields, grid.method_settings[0].get(cls.name, {}))
        common = {key: value for key, value in common.items() if key not in of or key in taken}
    return common


def _quick(fields: Fields, grids: list[Any]) -> Quick:
    table = fields.table
    common, apart = _settings(fields, grids)
    quick = Quick(
        data=fields.many("data", text, ()) if "data" in table else None,
        bits=fields.many("bits", _bits, ()) if "bits" in table else None,
        noise=fields.many("noise", _noise, ()) if "noise" in table else None,
        seeds=_seeds(fields, ()) if "seeds" in table else None,
        methods=fields.many("methods", _method, ()) if "methods" in table else None,
        settings=common,
        method_settings=apart,
    )
    fields.known |= {"data", "bits", "noise", "seeds", "methods"}
    fields.close()
    return quick


def _is_for(cls: type[Method], key: str, value: Any) -> bool:
    """Whether a common setting is meant for a method: a preset is for those that have it."""
    return key != "preset" or value in cls.presets


def _variant(table: Any, where: str, mistakes: list[str], below: Callable[[type[Method]], Settings]) -> Variant | None:
    fields = Fields(table, f"{where}: variant", mistakes)
    label, name = fields.one("label", text, ""), fields.one("method", _method, "")
    fields.where = f"{where}: variant '{label}'"
    cls = get(name) if name else None
    settings = {} if cls is None else _checked_settings(cls, fields.table_of("settings"), fields, below(cls))
    ablation = fields.one("ablation", text, "")
    if cls is not None and ablation:
        if ablation in cls.ablations:
            settings = {**cls.ablations[ablation], **settings}
        else:
            fields.wrong(unknown(f"ablation of {name}", ablation, cls.ablations))
    fields.close()
    missing = [key for key in ("label", "method") if key not in fields.table]
    if missing:
        fields.wrong(f"it has no {' and no '.join(missing)}")
    elif not {"ablation", "settings"} & set(fields.table):
        fields.wrong("it changes nothing; give an ablation or settings, or list the method in methods")
    return Variant(label, name, settings) if label and cls else None


def _settings(fields: Fields, grids: list[Any]) -> tuple[Settings, Mapping[str, Settings]]:
    """The settings for all methods, `epochs` among them, and those for one; `grids` are those that they are for."""
    table = dict(fields.table_of("settings"))
    nested = {name: table.pop(name) for name in list(table) if isinstance(table[name], Mapping)}
    if (epochs := fields.one("epochs", whole, -1)) != -1:
        table["epochs"] = epochs
    common, apart = _common_settings(table, fields, grids), {}
    for name, given in nested.items():
        try:
            apart[name] = _checked_settings(get(name), given, fields, common)
        except UserError as error:
            fields.wrong(f"settings: {error}")
    return common, apart


def _checked_settings(cls: type[Method], given: Settings, fields: Fields, below: Settings) -> dict[str, Any]:
    """Those of the settings that the method takes, over those `below`.

    They are laid on one by one, so that every mistake is found; one that holds only beside others, such as weights
    beside their network, is tried again after them.
    """
    taken: dict[str, Any] = {}
    left = {**below, **given}
    while True:
        refused: dict[str, UserError] = {}
        for key, value in left.items():
            try:
                make_settings(cls, {**taken, key: value})
                taken[key] = value
            except UserError as error:
                refused[key] = error
        if len(refused) == len(left):
            break
        left = {key: left[key] for key in refused}
    for key in [key for key in refused if key in given]:
        fields.wrong(f"settings: {refused[key]}")
    return {key: given[key] for key in given if key in taken}


def _common_settings(given: Settings, fields: Fields, grids: list[Any]) -> Settings:
    known = {name for cls in available().values() for name in setting_names(cls)}
    for key in given:
        if key not in known:
            told = str(unknown("setting", key, _settings_of(grids) or known))
            fields.wrong(f"settings: {told.partition(' known: ')[0] if '; did you mean ' in told else told}")
    return {key: value for key, value in given.items() if key in known}


def _settings_of(grids: list[Any]) -> set[str]:
    """What the methods of some grids, which may be written wrongly, let one set."""
    named: list[Any] = []
    for table in grids:
        for key in ("methods", "variants") if isinstance(table, Mapping) else ():
            held = table.get(key, [])
            named += held if isinstance(held, list) else [held]
    names = [each.get("method") if isinstance(each, Mapping) else each for each in named]
    found = [available()[name] for name in names if isinstance(name, str) and name in available()]
    return {name for cls in found for name in setting_names(cls)}


@cache
def setting_names(cls: type[Method]) -> frozenset[str]:
    """What may be set of a method, read from its source once; "preset" among it where there are presets.

    >>> {"width", "preset"} <= setting_names(get("ssah"))
    True
    """
    return frozenset(field.name for field in dataclasses.fields(cls.Settings)) | ({"preset"} if cls.presets else set())


def _seeds(fields: Fields, default: tuple[int, ...]) -> tuple[int, ...]:
    """A list of seeds, or how many."""
    value = fields.table.get("seeds")
    if isinstance(value, list):
        return fields.many("seeds", _seed, default)
    count = fields.one("seeds", _count, 0)
    return tuple(range(count)) if count else default


def _seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise UserError(f"a seed must be a whole number from 0, got {value!r}")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_SEEDS:
        raise UserError(f"must be a whole number from 1 to {MOST_SEEDS:,}, or a list of seeds; got {value!r}")
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise UserError(f"must be a share of the training rows, from 0 (none) to below 1; got {value!r}")
    return float(value)


def _database(value: Any) -> str:
    if value not in DATABASES:
        raise unknown("database", str(value), DATABASES)
    return str(value)


def _measure(value: Any) -> str:
    return str(parse_measure(text(value)))


def _bits(value: Any) -> int:
    return check_bits(whole(value))


def _method(value: Any) -> str:
    get(text(value))
    return str(value)


def _features(value: Any) -> str:
    if value != AUTO:
        features.parsed(text(value))
    return str(value)


def _noise(value: Any) -> str:
    return NO_NOISE if value == NO_NOISE else str(parse_noise(text(value)))
