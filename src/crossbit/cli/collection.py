"""What the verbs say of an own collection, and the options that name its columns."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossbit.cli.output import counted, say, say_json, say_next, say_table, spelled
from crossbit.errors import UserError
from crossbit.storage.lines import shown

if TYPE_CHECKING:
    from crossbit.data.collection import Collection, Columns

PictureColumn = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="The column of a table that names the picture files.", show_default=False),
]
CaptionColumn = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN", help="The column of captions; several with commas between; none for none.", show_default=False
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN", help="The column of labels; several with commas between; none for none.", show_default=False
    ),
]
LabelSeparator = Annotated[
    str | None,
    typer.Option(
        metavar="CHARACTERS",
        help="What stands between several labels in one cell, such as '&'; none where each cell is one label.",
        show_default=False,
    ),
]
LOOKED_AT = "looked at {done} of {of} pictures"
SKIPPED, LABELS, EXAMPLES, GROUPS = 20, 10, 3, 5  # lines shown of each
PLAIN = re.compile("[A-Za-z][A-Za-z0-9_]*")  # a column's name that needs no quotes in a filter
KINDS: list[tuple[type, str, str]] = [  # what values are, and how a filter would compare them
    (bool, "true or false", "="),
    (int, "whole numbers", ">="),
    (float, "numbers", ">="),
    (list, "lists", ""),
    (object, "texts", "="),
]


def columns_of(picture: str | None, caption: str | None, label: str | None, separator: str | None) -> Columns:
    """What the options ask for."""
    from crossbit.data import Columns

    return Columns(picture, caption, label, separator)


def show_collection(data: str, columns: Columns, as_json: bool) -> None:
    """Look a collection through and say what was understood."""
    from crossbit.data import describe, look_through
    from crossbit.data.collection.look import LISTED

    found = look_through(data, columns, progress=counted(LOOKED_AT))
    described: dict[str, Any] = _described(found)
    try:
        pairs = found.data()
        described |= describe(pairs) | {"columns": described["columns"], "notes": list(pairs.notes)}
    except UserError as error:
        described |= {"problem": str(error), "notes": list(found.notes())}
    described["notes"] = [line.removesuffix(LISTED) for line in described["notes"]]  # it lists them itself
    if as_json:
        return say_json(described)
    say_table(["", found.name], _lines(described))
    _say_skipped(found)
    if described["problem"] is None:
        say_next(["train", data, *spelled(columns.asked), "--out", "run"])
    return None


def _described(found: Collection) -> dict[str, Any]:
    """All that was understood, as plain values."""
    roles, groups = found.roles, found.duplicates.groups()
    examples = [_example(found, number) for number in _spread(len(found.pictures))]
    return {
        "name": found.name,
        "collection": str(found.table.path),
        "read_as": found.table.said,
        "rows": len(found.table) + len(found.table.skipped),
        "pictures": len(found.pictures),
        "texts": sum(len(picture.captions) for picture in found.pictures),
        "columns": {name: _role(found, name) for name in found.table.columns},
        "labels_written": found.written,
        "unlabelled": sum(not picture.labels for picture in found.pictures),
        "frequent_labels": dict(found.labels()[:LABELS]),
        "examples": examples,
        "near_duplicates": {
            "same_bytes": found.duplicates.same,
            "look_alike": found.duplicates.alike,
            "groups": len(groups),
            "largest": [[found.pictures[at].path for at in group] for group in groups[:GROUPS]],
        },
        "skipped": [one._asdict() for one in found.skipped],
        "problem": None,
    } | ({"split_column": roles.split} if roles.split else {})


def _role(found: Collection, name: str) -> str:
    roles = found.roles
    known = [
        (name == roles.picture, "pictures"),
        (name in roles.captions, "captions"),
        (name in roles.labels, f"labels, {found.written}"),
        (name == roles.split, "split"),
    ]
    return next((role for is_it, role in known if is_it), None) or _further(found, name)


def _further(found: Collection, name: str) -> str:
    """What the items of an index hold of a column, and how to filter by it."""
    from crossbit.data.collection.extras import item_columns

    made = item_columns({name: found.table.columns[name]}, decimal_comma=found.table.decimal_comma)
    (called, values), *_ = made.items()
    value = next((value for value in values if value is not None), "")
    kind, sign = next((kind, sign) for types, kind, sign in KINDS if isinstance(value, types))
    is_plain = PLAIN.fullmatch(called) and called.casefold() not in _words_of_sql()
    column = called if is_plain else '"' + called.replace('"', '""') + '"'
    if isinstance(value, list):
        example = f"list_contains({column}, {_constant(next(iter(value), ''))})"
    else:
        example = f"{column} {sign} {_constant(value)}"
    return f"items: {kind}, --where {_quoted(example)}"


def _quoted(text: str) -> str:
    """A text as a shell takes it: in double quotes where that needs no more."""
    return shlex.quote(text) if set(text) & set('"$`\\!') else f'"{text}"'


@cache
def _words_of_sql() -> set[str]:
    """The words that cannot be a column's name without quotes."""
    import duckdb

    with duckdb.connect() as base:
        words = base.sql("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'").fetchall()
    return {word for (word,) in words}


def _constant(value: Any) -> str:
    """A value as a filter spells it."""
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value).lower()


def _spread(n: int) -> list[int]:
    """Numbers of a few examples: the first, one in the middle, the last."""
    return sorted({0, n // 2, n - 1}) if n else []


def _example(found: Collection, number: int) -> dict[str, Any]:
    picture = found.pictures[number]
    return {"path": picture.path, "captions": list(picture.captions), "labels": picture.labels}


def _lines(described: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What `show` says, as (what, value)."""
    yield "read as", f"{described['read_as']}: {described['collection']}"
    yield "rows", f"{described['rows']:,}; {len(described['skipped']):,} left out"
    yield "pictures", f"{described['pictures']:,}, {described['texts']:,} captions"
    if described["problem"]:
        yield "problem", described["problem"]
    for name, role in described["columns"].items():
        yield "column", f"{name}: {role}"
    yield from _label_lines(described)
    for name, rows in described.get("splits", {}).items():
        yield name, f"{rows:,} pairs"
    yield "near-duplicates", _duplicates(described["near_duplicates"])
    for group in described["near_duplicates"]["largest"]:
        yield "", f"{len(group)} pictures: {', '.join(shown(Path(path).name) for path in group[:EXAMPLES])}"
    for example in described["examples"]:
        said = "; ".join(example["captions"]) or "no caption"
        yield "example", f"{shown(Path(example['path']).name)}: {said} [{', '.join(example['labels'])}]"
    for line in described["notes"]:
        yield "note", line


def _label_lines(described: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not (frequent := described["frequent_labels"]):
        yield "labels", "none; where a column has them: --label-column COLUMN"
        return
    bare = described["unlabelled"]
    classes = f"{described['classes']:,} labels; " if "classes" in described else ""
    yield "labels", f"{classes}{bare:,} pictures have none"
    yield "most frequent", ", ".join(f"{name} ({count:,})" for name, count in frequent.items())


def _duplicates(found: dict[str, Any]) -> str:
    if not found["groups"]:
        return "none"
    pictures = found["same_bytes"] + found["look_alike"]
    why = f"{found['same_bytes']:,} have the same bytes as another, {found['look_alike']:,} look alike"
    groups = f"{found['groups']:,} group{'' if found['groups'] == 1 else 's'}"
    return f"{pictures:,} pictures in {groups}: {why}; no split tears a group apart"


def _say_skipped(found: Collection) -> None:
    """The first rows that are left out, and how many there are for each reason."""
    if not found.skipped:
        return
    say(f"\nleft out, {len(found.skipped):,}:")
    for one in found.skipped[:SKIPPED]:
        say(f"  {one}")
    if len(found.skipped) > SKIPPED:
        counts = Counter(one.reason for one in found.skipped)
        each = ", ".join(f"{number:,} {reason}" for reason, number in counts.most_common())
        say(f"  ... in all {each}; --json lists every one")
