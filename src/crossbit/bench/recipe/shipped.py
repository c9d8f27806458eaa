"""The recipes that come with crossbit, found by name; `published.json` beside them has the papers' figures."""

from __future__ import annotations

import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from crossbit.errors import UserError, unknown

FOLDER = Path(__file__).resolve().parents[1] / "recipes"


@cache  # the installed files do not change
def shipped() -> dict[str, dict[str, Any]]:
    """Every recipe's TOML document by name.

    >>> shipped()["quick"]["title"]
    'Four methods on glyphs, quickly'
    """
    return {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.toml"))}


def recipe_path(name: str | os.PathLike[str]) -> Path:
    """The file of a recipe: of one that comes with crossbit by its name, of any other by its path; a file comes first.

    Raises:
        UserError: there is no such recipe; the nearest name is suggested.

    >>> recipe_path("quick").name
    'quick.toml'
    >>> recipe_path("qiuck")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    crossbit.errors.UserError: unknown recipe 'qiuck'; did you mean 'quick'? known: cells, ...
    """
    path = Path(name)
    if path.is_file():
        return path
    if str(name) in shipped():
        return FOLDER / f"{name}.toml"
    if path.suffix or len(path.parts) > 1:  # meant as a path
        ours = f"crossbit's own recipe '{path.stem}' goes by its name" if path.stem in shipped() else ""
        raise UserError(f"{name} does not exist; {ours or '`crossbit bench --list` names the recipes that there are'}")
    raise unknown("recipe", str(name), shipped())
