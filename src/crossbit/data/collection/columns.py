"""What each column of a table is taken for: by what was asked, else by its name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from crossbit.data.collection.tables import Table
from crossbit.errors import UserError, unknown

# Usual names, the more telling ones first; compared without case, "-" and spaces as "_".
PICTURES = ("file_name", "file", "path", "image", "filename", "picture", "image_path", "file_path")
CAPTIONS = ("caption", "captions", "text", "texts", "title", "description")
LABELS = ("labels", "label", "tags", "category", "categories", "class", "classes")
SPLIT = "split"
NUMBERED = re.compile(rf"({'|'.join(CAPTIONS)})_?[0-9]+")
KEYWORDS = {  # of `load_data`, and with a hyphen the options, by the part of `Columns`
    "picture": "picture_column",
    "caption": "caption_column",
    "label": "label_column",
    "separator": "label_separator",
}
NONE = "none"  # asked for in place of a column: there is none
BITS = {0: False, "0": False, "0.0": False, "false": False, 1: True, "1": True, "1.0": True, "true": True}


class NoColumn(UserError):
    """A column that was named is not in the table."""


@dataclass(frozen=True)
class Columns:
    """What the user asks for, each a column's name or several with commas between; None takes the usual names.

    Attributes:
        separator: what stands between several labels in one cell; None takes a usual one.
    """

    picture: str | None = None
    caption: str | None = None
    label: str | None = None
    separator: str | None = None

    @classmethod
    def of(cls, value: Callable[[str], str | None]) -> Columns:
        """Of a function that gives what was asked for by each of the keywords of `load_data`."""
        return cls(**{name: value(keyword) for name, keyword in KEYWORDS.items()})

    @property
    def asked(self) -> dict[str, Any]:
        """As the keywords of `load_data`."""
        return {KEYWORDS[name]: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Roles:
    """Which columns are what.

    Attributes:
        picture: the column of file names.
        captions, labels: columns; none, or one, or several that belong together.
        bits: whether the labels are a column of 0 and 1 each.
        split: the column that says the split; empty for none.
        rest: all others.
    """

    picture: str
    captions: list[str]
    labels: list[str]
    bits: bool
    split: str
    rest: list[str] = field(default_factory=list)


def choose_columns(table: Table, asked: Columns) -> Roles:
    """Decide what each column is.

    Raises:
        UserError: no column of pictures, or one asked for that is not there.
    """
    by_form = {_form(name): name for name in reversed(table.columns)}
    picture = _asked(table, asked.picture, "picture")[:1] or _usual(by_form, PICTURES)
    if not picture:
        held, usual = ", ".join(table.columns), ", ".join(PICTURES[:5])
        raise UserError(
            f"{table.path} has no column of pictures ({usual}); it has: {held}; name it: --picture-column COLUMN"
        )
    taken = set(picture)
    captions = _asked(table, asked.caption, "caption") if asked.caption else _captions(by_form, taken)
    taken |= {*captions}
    labels = _asked(table, asked.label, "label") if asked.label else _usual(by_form, LABELS, taken)
    if not labels and not asked.label:
        labels = _bits(table, taken)
    bits = len(labels) > 1 and all(_is_bits(table, name) for name in labels)
    taken |= {*labels}
    split = next((name for name in _usual(by_form, (SPLIT,), taken)), "")
    rest = [name for name in table.columns if name not in taken | {split}]
    return Roles(picture[0], captions, labels, bits, split, rest)


def _form(name: str) -> str:
    return re.sub(r"[\s-]+", "_", _composed(name).strip()).casefold()


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)  # a table from a Mac may spell ö as o and a sign above it


def _usual(by_form: dict[str, str], names: Sequence[str], taken: Container[str] = ()) -> list[str]:
    found = (by_form[name] for name in names if name in by_form and by_form[name] not in taken)
    return [first] if (first := next(found, None)) is not None else []


def _captions(by_form: dict[str, str], taken: set[str]) -> list[str]:
    """The caption's column, or all of caption_1, caption_2, ..."""
    numbered = [name for form, name in by_form.items() if NUMBERED.fullmatch(form) and name not in taken]
    return _usual(by_form, CAPTIONS, taken) or sorted(numbered, key=lambda name: (len(name), name))


def _asked(table: Table, given: str | None, role: str) -> list[str]:
    if given is None or given.casefold() == NONE:
        return []
    spelled = {_composed(name): name for name in table.columns}
    given = _composed(given)
    names = [given] if given in spelled else [name.strip() for name in given.split(",")]
    for name in names:
        if name not in spelled:
            raise NoColumn(f"--{role}-column: {unknown('column', name, table.columns)} ({table.path})")
    return [spelled[name] for name in names]


def _bits(table: Table, taken: set[str]) -> list[str]:
    """Columns of 0 and 1 alone, where there are at least two of them: a label each."""
    found = [name for name in table.columns if name not in taken and _is_bits(table, name)]
    return found if len(found) > 1 else []


def _is_bits(table: Table, name: str) -> bool:
    return all(value is None or bit(value) is not None for value in table.columns[name])


def bit(value: Any) -> bool | None:
    """What a cell of a column of 0 and 1 says; None where it is neither.

    >>> bit("TRUE"), bit(0.0), bit("2")
    (True, False, None)
    """
    if isinstance(value, list | dict):
        return None
    return BITS.get(value.casefold() if isinstance(value, str) else value)
