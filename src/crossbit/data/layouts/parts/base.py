"""What a layout is: a small class that knows its files by name and keys, and how their arrays become pairs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from crossbit.data.layouts.parts.rules import Split, parse_split
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.storage.kinds import what_is
from crossbit.storage.lazy import Lazy
from crossbit.storage.matlab import Container, MatArray


@dataclass(frozen=True)
class LayoutFile:
    """A path that is in some layout, told from names and headers alone.

    Attributes:
        layout: which one.
        path: what was asked for.
        name: what the data will be called.
        entries: the arrays, by what they are for.
        missing: keys and files that the layout has and this path lacks; nothing can be read while there are any.
        extra: whatever else the layout wants to remember.
        notes: what a person should know who looks at it.
    """

    layout: Layout
    path: Path
    name: str
    entries: dict[str, MatArray]
    missing: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def read(self, split: str | None = None, transposed: bool | None = None) -> Reading:
        """What the files say, with features that are still to be read.

        Raises:
            UserError: something is missing, one line that lists all of it; or the arrays do not fit.
        """
        if self.missing:
            raise UserError(f"{self.path} is in layout {self.layout.name}, but lacks: {', '.join(self.missing)}")
        chosen = parse_split(split, self.layout.rules)
        try:
            return self.layout.read(self, chosen, transposed)
        except UserError as error:
            where = "" if str(error).startswith(str(self.path)) else f"{self.path} (layout {self.layout.name}): "
            raise UserError(f"{where}{error}") from error


@dataclass(frozen=True)
class Reading:
    """Pairs as a layout's files give them; the features are read block by block.

    Attributes:
        found: where they come from.
        modalities: features (n, d) or pictures (n, h, w, 3) to be read, or words (n,) in memory.
        rest: all else that `PairedData` takes: label, splits, observed_label, ...
        notes: what was decided on the way, a sentence each.
    """

    found: LayoutFile
    modalities: Mapping[str, Lazy | np.ndarray]
    rest: dict[str, Any]
    notes: list[str]

    def outline(self) -> PairedData:
        """The pairs with zeros that take no memory in place of features: all else is checked, and can be shown.

        Raises:
            UserError: they do not fit, one line that begins with the path.
        """
        return self._pairs(lambda array: np.broadcast_to(np.zeros((), array.dtype), array.shape), known=True)

    def data(self) -> PairedData:
        """The pairs, all features in memory.

        Raises:
            UserError: as `outline`; or features are not finite, or more than memory holds.
        """
        self.outline()  # what does not fit is told before gigabytes are read
        try:
            return self._pairs(Lazy.read)
        except MemoryError as error:
            right = "`crossbit data convert` it into a folder, which is memory-mapped"
            raise UserError(f"{self.found.path} does not fit in memory; {right}") from error

    def _pairs(self, fill: Callable[[Lazy], np.ndarray], *, known: bool = False) -> PairedData:
        try:
            held = {name: fill(array) if isinstance(array, Lazy) else array for name, array in self.modalities.items()}
            return PairedData(self.found.name, held, **self.rest, _seen=tuple(held.values()) if known else ())
        except UserError as error:
            raise UserError(f"{self.found.path}: {error}") from error


class Layout(ABC):
    """A way in which people keep this field's sets; a new one is a new module in `crossbit.data.layouts`.

    Attributes:
        name: as in the table of docs/layouts.md.
        rules: the split rules it can be read with, the default first.
    """

    name: ClassVar[str]
    rules: ClassVar[tuple[str, ...]]

    @abstractmethod
    def find(self, path: Path, held: Container | None) -> LayoutFile | None:
        """What `path` is in this layout, None where it is not; reads names and headers only.

        Args:
            path: a file, or a folder.
            held: what is in the file; None for a folder or another kind of file.
        """

    @abstractmethod
    def read(self, found: LayoutFile, split: Split, transposed: bool | None) -> Reading:
        """The pairs; `found` lacks nothing."""

    def pick(self, path: Path, held: Container, wanted: Mapping[str, Sequence[str]]) -> LayoutFile | None:
        """The entries of `held` for each thing wanted, under the first of its keys that is there; None without any."""
        entries, missing = {}, []
        for role, keys in wanted.items():
            key = next((key for key in keys if key in held.entries), None)
            if key is None:
                missing.append(held.lacking(*keys))
            else:
                entries[role] = held.entries[key]
        return LayoutFile(self, path, path.stem, entries, missing) if entries else None


def absent(file: Path, held: Container | None, keys: Sequence[str]) -> str:
    """What is missing: a file, or an array in it; with what is there in its place."""
    if held is not None:
        return f"{held.lacking(*keys)} in {file.name}"
    return f"{file.name} (it is {what_is(file)})" if file.is_file() else file.name


def whole_note(entries: Sequence[MatArray]) -> list[str]:
    """A sentence where features come from a format that cannot be read in parts."""
    old = sorted({entry.path.name for entry in entries if not entry.hdf5})
    if not old:
        return []
    return [f"{', '.join(old)}: MATLAB's older format, whose arrays are read whole, one at a time, not in blocks"]
