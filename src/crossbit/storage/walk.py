"""The files of a folder and all its sub-folders, and what was left out of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from crossbit.storage.lines import shown


class LeftOut:
    """What was left out, counted by reason; as text one line.

    >>> left_out = LeftOut()
    >>> for reason, name in (("hidden", ".git"), ("damaged", "a.jpg"), ("hidden", ".DS_Store")):
    ...     left_out.add(reason, name)
    >>> str(left_out)
    'left out 3: 2 hidden (such as .git), 1 damaged (a.jpg)'
    """

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}

    def add(self, reason: str, name: str) -> None:
        self.names.setdefault(reason, []).append(name)

    def __len__(self) -> int:
        return sum(map(len, self.names.values()))

    def __str__(self) -> str:
        return f"left out {len(self):,}: " + ", ".join(_counted(*each) for each in self.names.items())


def _counted(reason: str, names: Sequence[str]) -> str:
    return f"{len(names):,} {reason} ({'such as ' if len(names) > 1 else ''}{shown(names[0])})"


def files_below(folder: Path, left_out: LeftOut) -> list[Path]:
    """Every file in a folder and its sub-folders, in the order of names.

    Left out are what begins with a dot, links to folders, folders that cannot be opened, and what is no file.
    """

    def closed(error: OSError) -> None:
        left_out.add("closed folder", os.path.relpath(error.filename, folder))

    found = []
    for place, folders, others in os.walk(folder, onerror=closed):
        for path in sorted(Path(place, each) for each in (*folders, *others)):
            if reason := _reason(path):
                left_out.add(reason, str(path.relative_to(folder)))
            elif os.path.isfile(path):
                found.append(path)
        folders[:] = [each for each in folders if _reason(Path(place, each)) is None]
    return sorted(found)


def _reason(path: Path) -> str | None:
    if path.name.startswith("."):
        return "hidden"
    if os.path.isdir(path):  # unlike Path's, these give no error where a folder may be listed and not entered
        return "linked folder" if os.path.islink(path) else None
    if os.path.isfile(path):
        return None
    return "broken link or device" if os.path.lexists(path) else "in a closed folder"
