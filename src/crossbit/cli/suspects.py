"""Rows of an audit for a person: a few lines for each, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from crossbit.cli.output import fitted, printable, say, say_folded

if TYPE_CHECKING:
    from crossbit.audit import SuspectRow

CAPTION = 40  # characters of it that are shown
INDENT = " " * 6


def say_suspects(entries: Iterable[tuple[SuspectRow, int]]) -> None:
    """Rows whose labels look wrong, each with how many others of its family there are."""
    say(f"{'p':>4}  row, labels given -> proposed")
    for entry, others in entries:
        of = f" {entry.modality}" if entry.modality else ""
        more = f"  (+{others} alike)" if others else ""
        say(fitted(f"{entry.probability:.2f}  row {entry.row}{of}  {_change(entry)}{more}"))
        _say_item(entry)
        given = f"given `{entry.observed[0]}`; " if len(entry.observed) == 1 else ""
        say_folded(entry.reason.removeprefix(given), INDENT)
        if entry.neighbours:
            near = "; ".join(f"{_short(one.name)} [{', '.join(one.labels)}]" for one in entry.neighbours)
            say(fitted(f"{INDENT}weigh most: {near}"))


def say_pairs(entries: Iterable[SuspectRow]) -> None:
    """Rows whose modalities look as if they did not belong together."""
    say(f"{'p':>4}  row")
    for entry in entries:
        say(f"{entry.wrong_pair:.2f}  row {entry.row}")
        _say_item(entry)
        say_folded(entry.pair_reason, INDENT)


def _change(entry: SuspectRow) -> str:
    if entry.suggested == entry.observed:
        return f"{_joined(entry.observed)}: in doubt, and none is likelier"
    return f"{_joined(entry.observed)} -> {_joined(entry.suggested)}"


def _joined(names: Sequence[str]) -> str:
    return ", ".join(names) or "no label"


def _say_item(entry: SuspectRow) -> None:
    """What the row is, as far as the data say: its caption and its path, which is never cut."""
    parts = [_short(entry.caption or ""), entry.path or ""]
    if any(parts):
        say(INDENT + printable("  ".join(part for part in parts if part)))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= CAPTION else f"{line[: CAPTION - 1]}…"
