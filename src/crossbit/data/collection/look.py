"""A collection looked through before anything is trained: what was understood, and what will be left out."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.data.collection.columns import Columns, Roles, choose_columns
from crossbit.data.collection.duplicates import Duplicates, find_duplicates
from crossbit.data.collection.extras import item_columns
from crossbit.data.collection.files import Places
from crossbit.data.collection.labels import label_lists, matrix
from crossbit.data.collection.places import read_place
from crossbit.data.collection.separators import not_parted
from crossbit.data.collection.skipped import Skipped
from crossbit.data.collection.split import split_rows
from crossbit.data.collection.tables import Table
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.storage.picture_facts import PictureFacts, facts_of
from crossbit.storage.picture_files import PictureFiles

LONGEST = 1000  # characters of a caption; all captions take as much memory as the longest
FEWEST = 2  # pictures
LISTED = "; `crossbit data show` lists them"


@dataclass
class Picture:
    """A picture that can be read, and all that the table says of it.

    Attributes:
        path: of the file.
        row: the first row of the table that names it.
        labels: of all rows that name it.
        captions: each with the row that it stands in.
    """

    path: str
    row: int
    labels: list[str]
    captions: dict[str, int]


@dataclass
class Collection:
    """What was understood of a collection.

    Attributes:
        path: as given.
        table: its rows.
        roles: what each column is taken for.
        written: how labels are written: "joined by ';'", "lists", ...
        pictures: those that can be read, in the table's order.
        duplicates: which of them are the same, or nearly.
        skipped: every row and file that is left out.
        asked: the columns that the user named.
    """

    path: Path
    table: Table
    roles: Roles
    written: str
    pictures: list[Picture]
    duplicates: Duplicates
    skipped: list[Skipped]
    asked: Columns

    def __repr__(self) -> str:
        return f"Collection({str(self.path)!r}, {len(self.pictures):,} pictures, {len(self.skipped):,} left out)"

    @property
    def name(self) -> str:
        return self.path.absolute().stem if self.path.is_file() else self.path.resolve().name

    @property
    def has_captions(self) -> bool:
        return any(picture.captions for picture in self.pictures)

    def labels(self) -> list[tuple[str, int]]:
        """Each label with the number of its pictures, the most frequent first."""
        return Counter(name for picture in self.pictures for name in picture.labels).most_common()

    def data(self) -> PairedData:
        """The pairs: one for each caption of a picture, or one for a picture without any.

        Raises:
            UserError: too few pictures can be read, or there are neither captions nor labels.
        """
        self._check()
        pairs = [(number, caption, row) for number, p in enumerate(self.pictures) for caption, row in self._texts(p)]
        numbers = np.array([number for number, _, _ in pairs])
        of = [self.pictures[number] for number in numbers]
        group = self.duplicates.group[numbers]
        splits, said = split_rows([self._split(row) for _, _, row in pairs], group)
        label, names, rare = matrix([picture.labels for picture in of])
        columns = {name: [self.table.columns[name][row] for _, _, row in pairs] for name in self.roles.rest}
        if rare:
            others = set(rare)
            columns["other_labels"] = [[name for name in picture.labels if name in others] for picture in of]
        return PairedData(
            self.name,
            {"image": PictureFiles(p.path for p in of), "text": np.array([text for _, text, _ in pairs])},  # type: ignore[dict-item]
            label if names else None,
            splits,
            label_names=names or None,
            path=np.array([picture.path for picture in of]),
            group=group if len(np.unique(group)) < len(group) else None,
            columns=item_columns(columns, decimal_comma=self.table.decimal_comma),
            notes=(*self.notes(), said, *([_too_many(rare, len(names))] if rare else [])),
            options=self.asked.asked,
        )

    def notes(self) -> Iterator[str]:
        """What a person should know, a sentence each."""
        if self.skipped:
            counts = Counter(one.reason for one in self.skipped)
            each = ", ".join(f"{number:,} {reason}" for reason, number in counts.most_common())
            yield f"left out {len(self.skipped):,}: {each}{LISTED}"
        if self.asked.separator is None and (self.written == "one a row" or "'" in self.written):
            yield from self._other_separator()
        if not self.has_captions and any(picture.labels for picture in self.pictures):
            yield "there are no captions: the labels of a picture stand in as its words"
        bare = sum(not picture.captions and not picture.labels for picture in self.pictures)
        if bare:
            yield f"{bare:,} pictures have neither caption nor label: they have no words, and are found by their looks"
        long = sum(len(caption) >= LONGEST for picture in self.pictures for caption in picture.captions)
        if long:
            yield f"{long:,} captions were cut at {LONGEST:,} characters"

    def _other_separator(self) -> Iterator[str]:
        if (found := not_parted([picture.labels for picture in self.pictures])) is not None:
            mark, count, label = found
            known = self.written.partition("'")[2].rstrip("'")
            several = f"where it stands between labels, add: --label-separator '{known}{mark}'"
            yield f"{count:,} labels such as '{label}' hold '{mark}' and are taken as one each; {several}"

    def _texts(self, picture: Picture) -> list[tuple[str, int]]:
        return list(picture.captions.items()) or [(", ".join(picture.labels)[:LONGEST], picture.row)]

    def _split(self, row: int) -> str | None:
        value = self.table.columns[self.roles.split][row] if self.roles.split else None
        return None if value is None else str(value)

    def _check(self) -> None:
        if len(self.pictures) < FEWEST:
            first = f", such as {self.skipped[0]}" if self.skipped else ""
            raise UserError(
                f"{self.path}: {len(self.pictures)} of {len(self.table):,} pictures can be read, and "
                f"{len(self.skipped):,} are left out{first}; {FEWEST} are the fewest that can be trained on"
            )
        if not any(picture.captions or picture.labels for picture in self.pictures):
            held = ", ".join(self.table.columns)
            raise UserError(
                f"{self.path} has neither captions nor labels; its columns are {held}; name one: --caption-column "
                "COLUMN or --label-column COLUMN"
            )


def look_through(
    path: str | Path, asked: Columns | None = None, *, progress: Callable[[int, int], Any] = lambda done, of: None
) -> Collection:
    """Read a collection's table and look into each of its pictures, once: what is found is kept in the user's cache.

    Args:
        path: a table, or a folder.
        asked: the columns that the user names.
        progress: called with how many pictures were looked at, of how many.

    Raises:
        UserError: there is no table of use, or no column of pictures.
    """
    place, asked = Path(path), asked or Columns()
    table = read_place(place)
    roles = choose_columns(table, asked)
    labels, written = label_lists(table, roles, asked.separator)
    files, skipped = find_files(table, roles)
    facts = dict(
        zip(distinct := list(dict.fromkeys(files.values())), facts_of(distinct, progress=progress), strict=True)
    )
    pictures, unsound = _pictures(table, roles, labels, files, facts)
    duplicates = find_duplicates([facts[picture.path] for picture in pictures])
    left_out = sorted([*table.skipped, *skipped, *unsound], key=_order)
    return Collection(place, table, roles, written, pictures, duplicates, left_out, asked)


def find_files(table: Table, roles: Roles) -> tuple[dict[int, str], list[Skipped]]:
    """The file of each row that names one, by its whole path, however the folder was given; and the rows without."""
    places, found, skipped = Places(table.folder.resolve()), {}, []
    for row, value in enumerate(table.columns[roles.picture]):
        name, place = "" if value is None else str(value), table.places[row]
        if not name:
            skipped.append(Skipped(place, "", "no picture named", "names no picture"))
        elif "://" in name:
            skipped.append(Skipped(place, name, "an address", "is an address, and nothing is downloaded"))
        elif not _can_be_opened(name):
            said = f"has a name that the encoding {sys.getfilesystemencoding()} cannot spell; set PYTHONUTF8=1"
            skipped.append(Skipped(place, name, "name cannot be spelled", said))
        elif (path := places.find(name)) is None:
            skipped.append(Skipped(place, name, "missing", "does not exist"))
        elif not _is_text(path):
            skipped.append(Skipped(place, repr(name), "name is no UTF-8", "has a name that is no UTF-8; rename it"))
        else:
            found[row] = path
    return found, skipped


def _pictures(
    table: Table, roles: Roles, labels: list[list[str]], files: dict[int, str], facts: dict[str, PictureFacts]
) -> tuple[list[Picture], list[Skipped]]:
    """The pictures that can be read, with what all rows say of them; and the rows left out."""
    found: dict[str, Picture] = {}
    skipped = []
    for row, path in files.items():
        if facts[path].problem:
            name, place = str(table.columns[roles.picture][row]), table.places[row]
            skipped.append(Skipped(place, name, facts[path].problem, facts[path].said))
            continue
        picture = found.setdefault(path, Picture(path, row, [], {}))
        new_labels = [name for name in labels[row] if name not in picture.labels]
        new_captions = [caption for caption in _captions(table, roles, row) if caption not in picture.captions]
        if picture.row != row and not new_labels and not new_captions:
            said = f"is in {table.places[picture.row]} already, and nothing is new here"
            skipped.append(Skipped(table.places[row], str(table.columns[roles.picture][row]), "repeated", said))
        picture.labels += new_labels
        picture.captions |= dict.fromkeys(new_captions, row)
    return list(found.values()), skipped


def _captions(table: Table, roles: Roles, row: int) -> list[str]:
    values = [table.columns[name][row] for name in roles.captions]
    cells = [one for value in values for one in (value if isinstance(value, list) else [value]) if one is not None]
    texts = (" ".join(str(cell).split()) for cell in cells)
    return [(text if text.isascii() else unicodedata.normalize("NFC", text))[:LONGEST] for text in texts if text]


def _order(one: Skipped) -> tuple[str, int]:
    """As they stand in the table: line 9 before line 10."""
    words, _, number = one.place.rpartition(" ")
    return words, int(number) if number.isdecimal() else 0


def _can_be_opened(name: str) -> bool:
    """Whether this process can spell the name of a file; one that runs without UTF-8 cannot spell most of them."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_many(rare: list[str], kept: int) -> str:
    others = f"{len(rare):,} others, such as '{rare[0]}', are in the items"
    return f"the {kept:,} most frequent labels are trained on; {others}"
