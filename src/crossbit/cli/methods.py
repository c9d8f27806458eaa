"""`crossbit methods`: what there is to train, and its settings."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from crossbit.cli.output import Json, say, say_json, say_table

RANKS = {"hamming": "its codes", "cosine": "its real vectors, of which the codes are the signs"}


def methods(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The method to explain.")] = None,
    as_json: Json = False,
) -> None:
    """List the methods, or explain one: its settings, presets and ablations.

    \b
    Examples:
      crossbit methods
      crossbit methods ssah
      crossbit train glyphs --method nrch --set width=1024 --set warmup=5 --out run
      crossbit train flickr.npz --method ucch --set preset=mirflickr --out run
    """
    from crossbit.methods import available, get

    if name is None:
        listed = {each: _describe(cls) for each, cls in available().items()}
        if as_json:
            return say_json({"methods": listed})
        say_table(["method", "needs", "what it is"], [[each, it["needs"], it["title"]] for each, it in listed.items()])
        say("\n`crossbit methods NAME` explains one: its settings, presets and ablations")
        return None
    described = _describe(get(name))
    if as_json:
        return say_json({"name": name, **described})
    say(f"{name}: {described['title']}\n")
    say(f"{described['about']}\n")
    say(f"needs {described['needs']}; trains on the {described['rows']} rows; ranks by {RANKS[described['metric']]}\n")
    shown = [key for key in ("name", "default", "paper", "meaning") if key in described["settings"][0]]
    say_table(["setting", *shown[1:]], [[setting[key] for key in shown] for setting in described["settings"]])
    for kind, title in (("presets", "preset, as --set preset=NAME"), ("ablations", "ablation")):
        if described[kind]:
            say("")
            say_table([title, "is"], [[each, _assignments(given)] for each, given in described[kind].items()])
    return None


def _assignments(settings: dict[str, Any]) -> str:
    return " ".join(f"--set {key}={value}" for key, value in settings.items()) or "the defaults"


def _describe(cls: Any) -> dict[str, Any]:
    return {
        "title": cls.title,
        "about": (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " "),
        "needs": _needs(cls),
        "rows": cls.rows,
        "metric": cls.metric,
        "presets": cls.presets,
        "ablations": cls.ablations,
        "settings": _settings(cls),
    }


def _settings(cls: Any) -> list[dict[str, Any]]:
    """Name, default and meaning of each setting; beside the default that of the preset "paper", where there is one."""
    from crossbit.methods import make_settings
    from crossbit.methods.settings import describe

    paper = make_settings(cls, {"preset": "paper"}) if "paper" in cls.presets else None
    listed = []
    for setting in describe(cls.Settings):
        beside = {} if paper is None else {"paper": getattr(paper, setting.name)}
        listed.append({"name": setting.name, "default": setting.default, **beside, "meaning": setting.meaning})
    return listed


def _needs(cls: Any) -> str:
    if not cls.sees_labels:
        return "no labels"
    return "labels" if cls.needs_labels else "nothing; it uses the labels there are"
