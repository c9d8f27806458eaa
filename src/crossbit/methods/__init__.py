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
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Method) and "name" in vars(value):
                found[value.name] = value
    return dict(sorted(found.items()))


def get(name: str) -> type[Method]:
    """The method of that name.

    Raises:
        UserError: there is none; the known ones are listed.
    """
    methods = available()
    if name not in methods:
        raise unknown("method", name, methods)
    return methods[name]
