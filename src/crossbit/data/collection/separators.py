"""What stands between several labels in one cell: usual ones, some that names hold, too, what one asks for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

from crossbit.errors import UserError

# The first of these groups of which a character occurs in a column parts its cells: also as other scripts write it.
USUAL = (";；؛", "|｜", ",，、،", "\n", "\t")
IN_NAMES = "/&+:"  # they stand in names, too: `black & white`
NONE = "none"  # asked for: every cell is one label
FEWEST = 3  # different cells with a separator of IN_NAMES for which it is taken
SURE = 0.9  # the share of them that it must part into labels of other cells
MANY = 0.05  # the share of pictures for which a person is told of one that was not taken


def separators_of(texts: Collection[str], asked: str | None = None) -> str:
    """The characters that part the cells of a column; empty where each is one label.

    One that names hold, too, is taken where nearly all cells with any such one have it, and nearly all of its parts
    recur beside others.

    Raises:
        UserError: what was asked for would part words.

    >>> separators_of({"a & b", "b & c", "a & c"}), separators_of({"black & white", "salt & pepper", "a & b"})
    ('&', '')
    """
    if asked is not None:
        return _asked(asked)
    usual = next((marks for marks in USUAL if any(mark in text for mark in marks for text in texts)), "")
    return usual or next((mark for mark in IN_NAMES if _parts_recur(set(texts), mark)), "")


def parted(text: str, separators: str) -> list[str]:
    """The parts of a cell."""
    return re.split(f"[{re.escape(separators)}]", text) if separators else [text]


def not_parted(labels: Sequence[Sequence[str]]) -> tuple[str, int, str] | None:
    """A separator that stands in the labels of many pictures: itself, how many, and such a label; None for none.

    >>> not_parted([["animals/cat"], ["animals/dog"], ["tree"]])
    ('/', 2, 'animals/cat')
    """
    all_names = [name for names in labels for name in names]
    several = {mark: {name for name in set(all_names) if _several(name, mark)} for mark in IN_NAMES}
    found = {mark: [name for name in all_names if name in several[mark]] for mark in IN_NAMES if several[mark]}
    if not found:
        return None
    mark, names = max(found.items(), key=lambda each: len(each[1]))
    enough = len(names) >= MANY * sum(map(bool, labels)) and len(set(names)) > 1
    return (mark, len(names), names[0]) if enough else None


def _asked(separators: str) -> str:
    if separators.casefold() == NONE:
        return ""
    marks = separators.strip(" ") or separators
    if not marks or any(mark.isalnum() for mark in marks):
        right = f"give the characters that stand between labels, such as '&' or ';,', or {NONE} where each cell is one"
        raise UserError(f"--label-separator is '{separators}'; {right}")
    return marks


def _parts_recur(cells: Collection[str], mark: str) -> bool:
    several = [names for cell in cells if (names := _several(cell, mark))]
    with_any = sum(any(_several(cell, other) for other in IN_NAMES) for cell in cells)
    if len(several) < max(FEWEST, SURE * with_any):
        return False
    counts = Counter(name for names in several for name in names)
    return sum(all(counts[name] > 1 for name in names) for names in several) >= SURE * len(several)


def _several(cell: str, mark: str) -> set[str]:
    """The different labels into which a separator would part a cell; none where it would leave a part empty, or
    numbers, as of 1/2 and 16:9."""
    parts = {part.strip() for part in cell.split(mark)}
    return parts if len(parts) > 1 and all(part and not part.isdecimal() for part in parts) else set()
