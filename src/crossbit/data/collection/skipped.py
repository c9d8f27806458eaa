"""What of a collection is left out, and why."""

from __future__ import annotations

from typing import NamedTuple

from crossbit.storage.lines import shown


class Skipped(NamedTuple):
    """A row of a table, or a file, that is left out.

    Attributes:
        place: where it stands: "line 7" of a table; empty for a file.
        name: of the file; empty where none is named.
        reason: in a word or two, to be counted by: "missing", "damaged", "no picture named".
        said: the same as the end of a sentence.

    >>> str(Skipped("line 7", "a.png", "damaged", "is damaged: it ends too early"))
    'line 7: a.png is damaged: it ends too early'
    """

    place: str
    name: str
    reason: str
    said: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.place, f"{shown(self.name)} {self.said}".strip())))
