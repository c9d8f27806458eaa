"""A file of decisions, line by line: what was decided at a time, and what was undone since.

A line is one act: a decision about one row, `{"data": ..., "row": 3, "decision": "accept", "observed": [...], "labels":
[...]}`; decisions about several rows, `{"data": ..., "range": [...]}`, which hold or are undone together; or
`{"undo": true}`, which takes back the last act that holds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from crossbit.audit.seen import Seen
from crossbit.data.relabelled import has_label_columns, label_names
from crossbit.errors import UserError, unknown
from crossbit.storage.lines import read_text, split_lines

KINDS = ("accept", "keep", "other")
UNDO = {"undo": True}
FORM = '{"data": ..., "row": 3, "decision": "accept", "observed": [...], "labels": [...]}'


@dataclass(frozen=True)
class Decision:
    """About one row: the proposal is accepted, the labels are kept, or they are others.

    Attributes:
        row: its number in the data.
        kind: "accept", "keep" or "other".
        labels: that the row has after it.
        observed: that the run saw; None where that is not known.
        about: the one label that was decided about; None: all of them.
        p: how probable a change was when it was decided about; None where that is not known.
        new: those of the labels that the data did not have, and that were meant to be new.
    """

    row: int
    kind: str
    labels: list[str]
    observed: list[str] | None = None
    about: str | None = None
    p: float | None = None
    new: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a line."""
        told = {"row": self.row, "decision": self.kind, "observed": self.observed, "labels": self.labels}
        more = {"about": self.about, "p": None if self.p is None else round(self.p, 4), "new": self.new or None}
        return told | {name: value for name, value in more.items() if value is not None}


@dataclass(frozen=True)
class Act:
    """What was decided at a time.

    Attributes:
        place: in the file, such as "decisions.jsonl: line 3".
        data: fingerprint of the data that it is about.
        decisions: a row each.
    """

    place: str
    data: str
    decisions: list[Decision]

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a line."""
        told = [decision.to_dict() for decision in self.decisions]
        return {"data": self.data, **told[0]} if len(told) == 1 else {"data": self.data, "range": told}


def read_acts(path: str | os.PathLike[str], note: Callable[[str], Any] = lambda line: None) -> list[Act]:
    """The acts of a file that hold, in order.

    Args:
        path: of JSON lines.
        note: called with a line where the last line of the file is torn, as a killed program leaves it, and left out.

    Raises:
        UserError: it cannot be read; a line that is no act, or that undoes where nothing holds.
    """
    return parse_acts(read_text(path), Path(path), note)


def parse_acts(text: str, path: Path, note: Callable[[str], Any] = lambda line: None) -> list[Act]:
    r"""The same of the text of a file.

    >>> line = '{"data": "x", "row": 3, "decision": "keep", "observed": ["a"], "labels": ["a"]}\n'
    >>> [act.place for act in parse_acts(line + line + '{"undo": true}\n', Path("file"))]
    ['file: line 1']
    """
    acts: list[Act] = []
    lines = split_lines(text)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}: line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(lines) and not text.endswith(("\n", "\r")):
                note(f"{place}, the last, is torn and left out: it was being written when a program was killed")
                break
            raise UserError(f"{place} is not JSON; give the file that the audit's sheet saved") from None
        if value == UNDO:
            _undo(acts, place)
        else:
            acts.append(_act(place, value))
    return acts


def _undo(acts: list[Act], place: str) -> None:
    if not acts:
        raise UserError(f"{place} undoes a decision, and none is left before it; remove the line")
    acts.pop()


def _act(place: str, value: Any) -> Act:
    several = value.get("range") if isinstance(value, dict) else None
    each = several if isinstance(several, list) and several else [value]
    decisions = [_decision(place, one) for one in each]
    return Act(place, str(value.get("data")), decisions)


def _decision(place: str, value: Any) -> Decision:
    """A line's decision, its form checked."""
    held = value if isinstance(value, dict) else {}
    lists = [held.get("observed"), held.get("labels"), held.get("new", [])]
    names = all(isinstance(each, list) and all(isinstance(name, str) for name in each) for each in lists)
    row, kind, about, p = (held.get(name) for name in ("row", "decision", "about", "p"))
    more = isinstance(about, str | None) and isinstance(p, float | int | None)
    if not names or type(row) is not int or row < 0 or kind not in KINDS or not more:
        known = ", ".join(KINDS)
        raise UserError(f"{place} is no decision of an audit, such as {FORM}; the decision is one of {known}")
    return Decision(row, kind, held["labels"], held["observed"], about, p, held.get("new", []))


@dataclass(frozen=True)
class Asked:
    """What decisions can be about: the labelled rows of a run.

    Attributes:
        seen: what the run saw.
        observed: the labels of each row, by its number in the data.
        single: whether every row has one label.
        alike: the rows of a row's picture.
    """

    seen: Seen
    observed: dict[int, list[str]]
    single: bool
    alike: Callable[[int], Iterable[int]]

    def checked(self, acts: Iterable[Act]) -> list[list[Decision]]:
        """The decisions of acts, a list of each, by today's row numbers; of rows that are gone, none.

        Decisions of a run before count, too, where this run was trained on what they made of a row.

        Raises:
            UserError: they are about other data; a row that was not audited, or has other labels by now; an unknown
                label that is not told to be new; several labels where rows have one.
        """
        acts = list(acts)
        last = {row: one for act in acts for one in act.decisions for row in self._same_picture(one.row)}
        each = [[self._checked(act, one, last[one.row]) for one in act.decisions] for act in acts]
        return [[found for found in decisions if found is not None] for decisions in each]

    def _same_picture(self, row: int) -> Iterable[int]:
        """The rows of a row's picture, this one too; it alone in data that have changed since."""
        return {row, *self.alike(row)} if self.seen.place is None and row < self.seen.data.n else (row,)

    def _checked(self, act: Act, decision: Decision, last: Decision) -> Decision | None:
        place, run, then = act.place, self.seen.folder, decision.row
        row = self.seen.row_now(then, act.data)
        if row is None:
            raise UserError(f"{place}: it is about other data than those of {run}; audit {run} again")
        if row < 0:
            return None
        if (observed := self.observed.get(row)) is None:
            raise UserError(f"{place}: row {then} is no labelled training row of {run}")
        trained_on = set(last.labels) - set(last.new) == set(observed) != set()
        if set(decision.observed or ()) != set(observed) and trained_on:
            decision = replace(decision, observed=observed, labels=last.labels, new=last.new)
        if set(decision.observed or ()) != set(observed):
            had, has = ", ".join(decision.observed or ()), ", ".join(observed)
            raise UserError(f"{place}: row {row} had the labels {had} and has {has}; audit {run} again")
        self.check_labels(decision, f"{place}: ")
        return replace(decision, row=row)

    def check_labels(self, decision: Decision, place: str = "") -> None:
        """Refuse labels that the data do not have and that are not told to be new, or several where rows have one."""
        names = label_names(self.seen.data)
        for name in (*decision.labels, decision.about or names[0]):
            if name not in set(names):
                if name not in decision.new:
                    raise UserError(f"{place}{unknown('label', name, names)}")
                self._check_new(name, names, place)
        if self.single and len(decision.labels) != 1:
            many = len(decision.labels)
            raise UserError(f"{place}row {decision.row} gets {many} labels; each row has one class")

    def _check_new(self, name: str, names: list[str], place: str) -> None:
        """Refuse a new label that is none, or that the table has no place for."""
        if not name or name != name.strip() or not name.isprintable():
            raise UserError(f"{place}a new label is a line of text without spaces around it, got {name!r}")
        if same := [known for known in names if known.casefold() == name.casefold()]:
            raise UserError(f"{place}the new label '{name}' differs from '{same[0]}' only by case; take '{same[0]}'")
        if self._has_label_columns:
            table = "the data's table has a column for each label"
            raise UserError(
                f"{place}{table}, and none for '{name}'; add the column to it, train again, and decide then"
            )

    @cached_property
    def _has_label_columns(self) -> bool:
        return has_label_columns(self.seen.data)
