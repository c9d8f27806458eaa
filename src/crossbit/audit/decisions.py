"""What a person decided about suspect labels, and the labels that follow."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossbit.audit.acts import KINDS, Asked, Decision, read_acts
from crossbit.data.collection.relabel import table_ending, write_corrected
from crossbit.data.relabelled import LABELS, ROW, label_matrix, names_text, own_columns
from crossbit.errors import UserError
from crossbit.storage.files import check_new, writing

if TYPE_CHECKING:
    from crossbit.audit import Audit
    from crossbit.audit.entries import SuspectRow
    from crossbit.data.types import PairedData

GIVEN, CHANGED, DECIDED = "given", "changed", "decided"  # what became of labels, of data without a table of their own
LEAST_SURE = 0.5  # below, a proposal would be less likely than what it replaces


@dataclass(frozen=True)
class Repair:
    """Corrected labels.

    Attributes:
        labels: of each row that was decided about, or whose proposal was taken.
        kinds: of the decision about each row that a person decided about.
        taken: how many proposals were taken without a decision.
        changed: how many rows have other labels than before.
    """

    labels: dict[int, list[str]]
    kinds: dict[int, str]
    taken: int
    changed: int

    @property
    def decided(self) -> dict[str, int]:
        """How many decisions of each kind there were."""
        kinds = list(self.kinds.values())
        return {kind: kinds.count(kind) for kind in KINDS}


def read_decisions(
    path: str | os.PathLike[str], found: Audit, note: Callable[[str], Any] = lambda line: None
) -> list[Decision]:
    """The decisions of a file of JSON lines, as the audit's sheet and the page save them; of several about a row the
    last that was not undone.

    Args:
        path: of the file.
        found: the audit that they are about.
        note: called with a line where the last line of the file is torn and left out.

    Raises:
        UserError: it cannot be read; a line that is no decision; decisions about other data; a row that was not
            audited, or has other labels by now; an unknown label.
    """
    observed = {entry.row: entry.observed for entry in found.entries if entry.probability is not None}
    asked = Asked(found.seen, observed, found.single, same_picture(found.seen.data))
    decisions: dict[int, Decision] = {}
    for decision in (decision for act in asked.checked(read_acts(path, note)) for decision in act):
        decisions.pop(decision.row, None)  # the last decides about all rows of its picture, too
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
    if above is not None:
        check_sure(above)
    label_matrix(found.seen.data)  # refuses labels of each modality
    decided = {decision.row: decision for decision in decisions}
    alike = same_picture(found.seen.data)
    labels = decided_labels(found.seen.data, decided.values())
    taken = 0
    for entry in found.suspects if above is not None else ():
        if entry.row not in labels and (proposed := proposal(entry, above or 0.0, found.single)) != entry.observed:
            labels |= dict.fromkeys(alike(entry.row), proposed)
            taken += 1
    before = {entry.row: set(entry.observed) for entry in found.entries}
    changed = sum(set(names) != before[row] for row, names in labels.items() if row in before)
    return Repair(labels, {row: decision.kind for row, decision in decided.items()}, taken, changed)


def check_sure(above: float) -> None:
    """Refuse a probability from which proposals cannot be taken."""
    if not LEAST_SURE <= above <= 1:
        raise UserError(f"--accept-above is {above}; it must be from {LEAST_SURE} to 1, such as 0.9")


def decided_labels(data: PairedData, decisions: Iterable[Decision]) -> dict[int, list[str]]:
    """The labels of rows after decisions, one after another; one holds for all rows of the same picture."""
    alike = same_picture(data)
    labels: dict[int, list[str]] = {}
    for decision in decisions:
        labels |= dict.fromkeys(alike(decision.row), decision.labels)
    return labels


def proposal(entry: SuspectRow, above: float, single: bool) -> list[str]:
    """A row's labels without those that are wrong, and with those that are missing, with at least this probability."""
    missing = [name for name, p in entry.missing if p >= above]
    if single:
        return missing[:1] or entry.observed
    wrong = {name for name, p in entry.wrong if p >= above}
    return [name for name in entry.observed if name not in wrong] + missing


def check_labels_file(data: PairedData, out: str | os.PathLike[str]) -> Path:
    """The path, if a table of labels for these data may be written there."""
    target, ending = check_new(out), ending_of(data)
    if target.suffix.lower() != ending:
        raise UserError(f"{target} must end in {ending}, as the table of {data.name} does")
    return target


def ending_of(data: PairedData) -> str:
    """The ending of a table of labels for these data, such as ".csv"."""
    return ".csv" if own_columns(data) is None else table_ending(Path(data.source))


def write_labels(found: Audit, made: Repair, out: str | os.PathLike[str]) -> None:
    """Write the labels that the run saw, corrected: in the form of the collection's table, else as rows and names."""
    data = found.seen.data
    held = {entry.row: entry.observed for entry in found.entries if entry.probability is not None}
    write_table(data, held | made.labels, held, made.kinds, check_labels_file(data, out))


def write_table(
    data: PairedData,
    held: Mapping[int, list[str]],
    given: Mapping[int, list[str]],
    kinds: Mapping[int, str],
    target: Path,
) -> None:
    """Write labels of rows: in the form of the collection's table, else as rows and names, beside those that the run
    saw, a mark where they are others, and the kind of what was decided, also where the labels were kept."""
    if (own := own_columns(data)) is not None:
        write_corrected(Path(data.source), own, _by_picture(data, held), target)
        return
    extra = {name: array for name in ("path", "caption") if (array := getattr(data, name)) is not None}
    with writing(target) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([ROW, *extra, LABELS, GIVEN, CHANGED, DECIDED])
        for row in sorted(held):
            names, before = held[row], given.get(row, [])
            mark = "yes" if set(names) != set(before) else ""
            told = [array[row] for array in extra.values()]
            table.writerow([row, *told, names_text(names), names_text(before), mark, kinds.get(row, "")])


def _by_picture(data: PairedData, held: Mapping[int, list[str]]) -> dict[str, list[str]]:
    """Labels by the path of the picture, with those that are not trained on."""
    assert data.path is not None
    others = data.columns.get("other_labels")
    return {
        os.path.abspath(data.path[row]): [*held[row], *((others[row] or ()) if others is not None else ())]
        for row in held
    }


def same_picture(data: PairedData) -> Any:
    """Rows of the same picture, of a row: in a collection a picture with several captions is several rows."""
    if own_columns(data) is None or data.path is None:
        return lambda row: [row]
    number = np.unique(data.path, return_inverse=True)[1]
    train = np.isin(np.arange(data.n), data.splits["train"])
    return lambda row: np.flatnonzero((number == number[row]) & train).tolist()
