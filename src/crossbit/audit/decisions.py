"""What a person decided about suspect labels, and the labels that follow."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossbit.data.collection.relabel import table_ending, write_corrected
from crossbit.data.relabelled import LABELS, ROW, label_matrix, label_names, names_text, own_columns
from crossbit.errors import UserError, unknown
from crossbit.storage.files import check_new, writing
from crossbit.storage.lines import read_lines

if TYPE_CHECKING:
    from crossbit.audit import Audit
    from crossbit.audit.entries import SuspectRow
    from crossbit.data.types import PairedData

KINDS = ("accept", "keep", "other")
LEAST_SURE = 0.5  # below, a proposal would be less likely than what it replaces


@dataclass(frozen=True)
class Decision:
    """About one row: the proposal is accepted, the labels are kept, or they are others.

    Attributes:
        row: its number in the data.
        kind: "accept", "keep" or "other".
        labels: that the row has after it.
    """

    row: int
    kind: str
    labels: list[str]


@dataclass(frozen=True)
class Repair:
    """Corrected labels.

    Attributes:
        labels: of each row that was decided about, or whose proposal was taken.
        decided: how many decisions of each kind there were.
        taken: how many proposals were taken without a decision.
        changed: how many rows have other labels than before.
    """

    labels: dict[int, list[str]]
    decided: dict[str, int]
    taken: int
    changed: int


def read_decisions(path: str | os.PathLike[str], found: Audit) -> list[Decision]:
    """The decisions of a file of JSON lines, as the audit's sheet saves them; of several about a row the last.

    Raises:
        UserError: it cannot be read; a line that is no decision; decisions about other data; a row that was not
            audited, or has other labels by now; an unknown label.
    """
    held = {entry.row: entry for entry in found.entries if entry.probability is not None}
    names = set(label_names(found.seen.data))
    decisions: dict[int, Decision] = {}
    for place, value in _lines(Path(path)):
        decision = _decision(place, value)
        row = found.seen.row_now(decision.row, str(value.get("data")))
        if row is None:
            raise UserError(f"{place}: it is about other data than those of {found.run}; audit {found.run} again")
        if row < 0:
            continue  # it is gone
        decision = replace(decision, row=row)
        if (entry := held.get(row)) is None:
            raise UserError(f"{place}: row {decision.row} is no labelled training row of {found.run}")
        if set(value["observed"]) != set(entry.observed):
            now, then = ", ".join(entry.observed), ", ".join(value["observed"])
            raise UserError(f"{place}: row {decision.row} had the labels {then} and has {now}; audit {found.run} again")
        if strangers := [name for name in decision.labels if name not in names]:
            raise UserError(f"{place}: {unknown('label', strangers[0], names)}")
        if found.single and len(decision.labels) != 1:
            raise UserError(f"{place}: row {decision.row} gets {len(decision.labels)} labels; each row has one class")
        decisions[decision.row] = decision
    return list(decisions.values())


def repair(found: Audit, decisions: Iterable[Decision] = (), above: float | None = None) -> Repair:
    """The labels that follow from decisions, and from proposals that are sure enough where nothing was decided.

    Args:
        found: the audit.
        decisions: of a person.
        above: probability that a label is wrong, or is missing, from which it is changed undecided; None changes none.

    Raises:
        UserError: the probability is below one half, or the modalities have labels of their own.
    """
    if above is not None and not LEAST_SURE <= above <= 1:
        raise UserError(f"--accept-above is {above}; it must be from {LEAST_SURE} to 1, such as 0.9")
    label_matrix(found.seen.data)  # refuses labels of each modality
    decided = {decision.row: decision for decision in decisions}
    alike = _same_picture(found.seen.data)
    labels: dict[int, list[str]] = {}
    for decision in decided.values():
        labels |= dict.fromkeys(alike(decision.row), decision.labels)
    taken = 0
    for entry in found.suspects if above is not None else ():
        if entry.row not in labels and (proposed := proposal(entry, above or 0.0, found.single)) != entry.observed:
            labels |= dict.fromkeys(alike(entry.row), proposed)
            taken += 1
    before = {entry.row: set(entry.observed) for entry in found.entries}
    changed = sum(set(names) != before[row] for row, names in labels.items() if row in before)
    kinds = [decision.kind for decision in decided.values()]
    return Repair(labels, {kind: kinds.count(kind) for kind in KINDS}, taken, changed)


def proposal(entry: SuspectRow, above: float, single: bool) -> list[str]:
    """A row's labels without those that are wrong, and with those that are missing, with at least this probability."""
    missing = [name for name, p in entry.missing if p >= above]
    if single:
        return missing[:1] or entry.observed
    wrong = {name for name, p in entry.wrong if p >= above}
    return [name for name in entry.observed if name not in wrong] + missing


def check_labels_file(data: PairedData, out: str | os.PathLike[str]) -> Path:
    """The path, if a table of labels for these data may be written there."""
    target = check_new(out)
    ending = ".csv" if own_columns(data) is None else table_ending(Path(data.source))
    if target.suffix.lower() != ending:
        raise UserError(f"{target} must end in {ending}, as the table of {data.name} does")
    return target


def write_labels(found: Audit, made: Repair, out: str | os.PathLike[str]) -> None:
    """Write the labels that the run saw, corrected: in the form of the collection's table, else as rows and names."""
    target, data = check_labels_file(found.seen.data, out), found.seen.data
    held = {entry.row: entry.observed for entry in found.entries if entry.probability is not None} | made.labels
    if (own := own_columns(data)) is not None:
        write_corrected(Path(data.source), own, _by_picture(data, held), target)
        return
    extra = {name: array for name in ("path", "caption") if (array := getattr(data, name)) is not None}
    with writing(target) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([ROW, *extra, LABELS])
        for row in sorted(held):
            table.writerow([row, *(array[row] for array in extra.values()), names_text(held[row])])


def _by_picture(data: PairedData, held: Mapping[int, list[str]]) -> dict[str, list[str]]:
    """Labels by the path of the picture, with those that are not trained on."""
    assert data.path is not None
    others = data.columns.get("other_labels")
    return {
        os.path.abspath(data.path[row]): [*held[row], *((others[row] or ()) if others is not None else ())]
        for row in held
    }


def _same_picture(data: PairedData) -> Any:
    """Rows of the same picture, of a row: in a collection a picture with several captions is several rows."""
    if own_columns(data) is None or data.path is None:
        return lambda row: [row]
    number = np.unique(data.path, return_inverse=True)[1]
    train = np.isin(np.arange(data.n), data.splits["train"])
    return lambda row: np.flatnonzero((number == number[row]) & train).tolist()


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            place = f"{path}: line {number}"
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                raise UserError(f"{place} is not JSON; give the file that the audit's sheet saved") from None
            yield place, value


def _decision(place: str, value: Any) -> Decision:
    """A line's decision, its form checked."""
    lists = [value.get(name) for name in ("observed", "labels")] if isinstance(value, dict) else [None]
    names = all(isinstance(each, list) and all(isinstance(name, str) for name in each) for each in lists)
    if not names or not isinstance(value.get("row"), int) or value.get("decision") not in KINDS:
        form = '{"data": ..., "row": 3, "decision": "accept", "observed": [...], "labels": [...]}'
        raise UserError(
            f"{place} is no decision of an audit, such as {form}; the decision is one of {', '.join(KINDS)}"
        )
    return Decision(value["row"], value["decision"], value["labels"])
