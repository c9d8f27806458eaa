"""Where the pictures are that a table names."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from functools import cached_property
from pathlib import Path


class Places:
    """Finds the files that names in a table mean.

    A name is a path from the table's folder, or an absolute one. Where there is none such, a file of that name anywhere
    below the folder is meant, if it is the only one; also without its ending, or in another of Unicode's normal forms.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = os.fspath(folder)

    def find(self, name: str) -> str | None:
        """The path of a name; None where there is no such file, or several."""
        for tried in dict.fromkeys((name, name.replace("\\", "/"))):
            path = os.path.normpath(os.path.join(self.folder, tried))
            if os.path.isfile(path):
                return path
        key = _key(os.path.basename(name.replace("\\", "/")))
        found = self._below.get(key, ())
        return found[0] if len(found) == 1 else None

    @cached_property
    def _below(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for place, _, names in os.walk(self.folder):
            for name in names:
                for key in {_key(name), _key(os.path.splitext(name)[0])}:
                    found[key].append(os.path.join(place, name))
        return dict(found)


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name)
