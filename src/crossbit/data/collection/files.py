"""Where the pictures are that a table names."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from functools import cached_property
from pathlib import Path


class Places:
    """Finds the files that names in a table mean.

    A name is a path from the table's folder, or an absolute one; also without its ending, or in another of Unicode's
    normal forms. Where there is none such, the only file of that name anywhere below the folder is meant.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = os.fspath(folder)

    def find(self, name: str) -> str | None:
        """The path of a name; None where there is no such file, or several."""
        path = ""
        for tried in dict.fromkeys((name, name.replace("\\", "/"))):
            path = os.path.normpath(os.path.join(self.folder, tried))
            if os.path.isfile(path):
                return path
        found = (self._below.get(_key(tried), ()) for tried in (path, os.path.basename(path)))
        return next((files[0] for files in found if len(files) == 1), None)

    @cached_property
    def _below(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for place, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(place, name)
                for key in {_key(part) for part in (path, name, *(os.path.splitext(each)[0] for each in (path, name)))}:
                    found[key].append(path)
        return dict(found)


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name)
