"""Indexes: codes and the items they stand for, searched by Hamming distance.

A backend is a module or a folder in this package with a `SCHEME`, by which it is named, and a function `open_uri`. It
is imported when an address asks for it.
"""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

from crossbit.errors import UserError, unknown
from crossbit.index.base import Hits, Index
from crossbit.index.ids import stable_ids
from crossbit.index.local import LocalIndex
from crossbit.storage.addresses import is_address, shown

__all__ = ["Hits", "Index", "LocalIndex", "backends", "open_index", "stable_ids"]

MODULES = {"file": "local"}  # modules that are not named as their scheme


def backends() -> dict[str, ModuleType]:
    """The modules that can open an index, by the scheme of their addresses.

    >>> backends()["file"].__name__
    'crossbit.index.local'
    """
    modules = (import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    return {module.SCHEME: module for module in modules if hasattr(module, "SCHEME")}


def open_index(
    uri: str | os.PathLike[str],
    *,
    bits: int | None = None,
    read_only: bool = False,
    encoder: Mapping[str, str] | None = None,
    approximate: bool = False,
) -> Index:
    """Open an index, or make a new one.

    Args:
        uri: a path (a file on this machine), or `scheme://...` for another backend.
        bits: the code length; checked against an index that exists. Without it a new index is made by its first `add`.
        read_only: refuse changes; any number of processes may then read a local index at the same time.
        encoder: {"name": ..., "hash": ...} of what makes the codes; a new index remembers it, and one that is there
            refuses another.
        approximate: let a local index that has an approximate tier (`LocalIndex.make_near`) search by it. A server does
            as its own index of codes does.

    Raises:
        UserError: an unknown scheme; no index there to read; an index of another code length;
            something there that is not an index; an index that another process has open for writing.

    >>> import tempfile, numpy as np
    >>> with open_index(tempfile.mkdtemp() + "/codes.duckdb") as index:
    ...     _ = index.add([7], np.array([[255, 0]], np.uint8), items=[{"name": "seven"}])
    ...     index.search(np.array([[255, 1]], np.uint8))[0]
    [(7, 1, {'name': 'seven'})]
    """
    if not is_address(uri):
        return LocalIndex(uri, bits=bits, read_only=read_only, encoder=encoder, approximate=approximate)
    index: Index = backend_of(str(uri)).open_uri(str(uri), bits=bits, read_only=read_only, encoder=encoder)
    return index


def backend_of(uri: str) -> ModuleType:
    """The module that opens `scheme://...`; UserError for an unknown scheme."""
    scheme = uri.partition("://")[0]
    module = MODULES.get(scheme, scheme)
    if module not in {found.name for found in pkgutil.iter_modules(__path__)} or not hasattr(_loaded(module), "SCHEME"):
        raise UserError(f"{shown(uri)}: {unknown('index scheme', scheme, backends())}")
    return _loaded(module)


def _loaded(module: str) -> ModuleType:
    return import_module(f"{__name__}.{module}")
