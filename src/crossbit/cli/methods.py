"""`crossbit methods`: what there is to train, and its settings."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from crossbit.cli.output import Json, say, say_json, say_table


def methods(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A method, to see its settings.")] = None,
    as_json: Json = False,
) -> None:
    """List the methods, or one method's settings with their defaults and meaning.

    \b
    Examples:
      crossbit methods
      crossbit methods nrch
      crossbit train glyphs --method nrch --set width=1024 --set warmup=5 --out run
    """
    from crossbit.methods import available, get

    if name is None:
        listed = {each: _describe(cls) for each, cls in available().items()}
        if as_json:
            return say_json({"methods": listed})
        say_table(["method", "needs", "paper"], [[each, it["needs"], it["title"]] for each, it in listed.items()])
        return None
    described = _describe(get(name))
    if as_json:
        return say_json({"name": name, **described})
    say(f"{name}: {described['title']}")
    say(f"needs {described['needs']}; trains on the {described['rows']} rows\n")
    say_table(
        ["setting", "default", "meaning"], [[s["name"], s["default"], s["meaning"]] for s in described["settings"]]
    )
    return None


def _describe(cls: Any) -> dict[str, Any]:
    from crossbit.methods import setting_docs

    return {
        "title": cls.title,
        "needs": "observed labels" if cls.sees_labels else "no labels",
        "rows": cls.rows,
        "settings": [
            {"name": name, "default": default, "meaning": meaning} for name, default, meaning in setting_docs(cls)
        ],
    }
