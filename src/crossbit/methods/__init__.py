"""The methods, one file each, found by looking into this folder."""

from __future__ import annotations

import importlib
import pkgutil

from crossbit.errors import unknown
from crossbit.methods.base import Method, Task, View
from crossbit.methods.settings import Settings, make_settings

__all__ = ["Method", "Settings", "Task", "View", "available", "get", "make_settings"]


def available() -> dict[str, type[Method]]:
    """Every method by name: the classes in this folder's modules that are a `Method` with a name.

    >>> "nrch" in available()
    True
    """
    found: dict[str, type[Method]] = {}
    for module in _modules():
        found |= _methods(module)
    return dict(sorted(found.items()))


def get(name: str) -> type[Method]:
    """The method of that name; where its module is called like the name's first word, no other one is imported.

    Raises:
        UserError: there is none; the known ones are listed.
    """
    module = name.partition("-")[0]
    found = _methods(module) if module in _modules() else {}
    if name not in found:
        found = available()
    if name not in found:
        raise unknown("method", name, found)
    return found[name]


def _modules() -> list[str]:
    return [info.name for info in pkgutil.iter_modules(__path__)]


def _methods(module: str) -> dict[str, type[Method]]:
    values = vars(importlib.import_module(f"{__name__}.{module}")).values()
    classes = [value for value in values if isinstance(value, type) and issubclass(value, Method)]
    return {value.name: value for value in classes if "name" in vars(value)}
