"""Public feature files of this field: what a path is, told from names and headers, and how it becomes pairs.

A layout is one module here with a `Layout`; it is found by itself, there is no list to edit.
"""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from crossbit.data.layouts.parts.base import Layout, LayoutFile, Reading
from crossbit.errors import UserError
from crossbit.registry import Registry
from crossbit.storage.matlab import SUFFIXES, Container, open_container

__all__ = ["Layout", "LayoutFile", "Reading", "find_layout", "layouts"]

_LAYOUTS = Registry(__name__, Layout, "layout")  # type: ignore[type-abstract]


@cache
def layouts() -> dict[str, Layout]:
    """All layouts by name.

    >>> layouts()["iapr-mat"].rules
    ('ucch', 'nrch')
    """
    return {name: layout() for name, layout in _LAYOUTS.all().items()}


def about(layout: Layout) -> str:
    """One line about a layout."""
    module = importlib.import_module(type(layout).__module__)
    return (module.__doc__ or "").partition("\n")[0]


def find_layout(path: str | Path) -> LayoutFile | None:
    """What a file or folder is; None where it is in the neutral format, or no file that a layout could be in.

    Reads names and headers only. Of several layouts that could be meant, the one that lacks least is.

    Raises:
        UserError: a MATLAB or HDF5 file in none of the layouts; a folder that holds several sets.

    >>> find_layout("glyphs.npz") is None
    True
    """
    source = Path(path)
    if source.is_dir():
        return None if any(source.glob("*.npy")) else _in_folder(source)
    if source.suffix == ".npz" or (held := open_container(source)) is None:
        return None
    if (found := _best(source, held)) is None:
        keys = ", ".join(sorted(held.entries)) or "no arrays"
        keys += "".join(f"; {name} is {what}" for name, what in sorted(held.others.items()))
        known = ", ".join(layouts())
        raise UserError(f"{source} holds {keys}, which is none of the known layouts: {known} (see docs/layouts.md)")
    return found


def _best(path: Path, held: Container | None) -> LayoutFile | None:
    found = [hit for layout in layouts().values() if (hit := layout.find(path, held)) is not None]
    least = min((len(hit.missing) for hit in found), default=0)
    best = [hit for hit in found if len(hit.missing) == least]
    if len(best) > 1:
        each = "; or ".join(f"{hit.layout.name}, and lacks {', '.join(hit.missing) or 'nothing'}" for hit in best)
        raise UserError(f"{path} could be in layout {each}")
    return best[0] if best else None


def _in_folder(folder: Path) -> LayoutFile | None:
    """A layout that is a folder, or the one file in it that is in a layout of one file."""
    if (found := _best(folder, None)) is not None:
        return found
    files = [file for file in sorted(folder.iterdir()) if file.suffix in SUFFIXES and "-noise_" not in file.name]
    held = {file: container for file in files if (container := open_container(file)) is not None}
    hits = {file: hit for file, container in held.items() if (hit := _best(file, container)) is not None}
    if len(hits) > 1:
        raise UserError(f"{folder} holds several sets: {', '.join(file.name for file in hits)}; give the path of one")
    if held and not hits:
        raise UserError(
            f"{folder} holds {', '.join(file.name for file in held)}, which are in none of the known layouts"
        )
    return next(iter(hits.values()), None)
