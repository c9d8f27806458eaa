"""The methods, one file each, found by looking into this folder."""

from __future__ import annotations

from crossbit.methods.base import Method, Task, View
from crossbit.methods.settings import Settings, make_settings
from crossbit.registry import Registry

__all__ = ["Method", "Settings", "Task", "View", "available", "get", "make_settings"]

_METHODS = Registry(__name__, Method, "method")  # type: ignore[type-abstract]


def available() -> dict[str, type[Method]]:
    """Every method by name: the classes in this folder's modules that are a `Method` with a name.

    >>> "nrch" in available()
    True
    """
    return _METHODS.all()


def get(name: str) -> type[Method]:
    """The method of that name; where its module is called like the name's first word, no other one is imported.

    Raises:
        UserError: there is none; the known ones are listed.
    """
    return _METHODS.get(name)
