"""`crossbit audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossbit.cli.output import Json, note, say, say_json, say_table, with_notes
from crossbit.cli.train import Run
from crossbit.errors import UserError
from crossbit.runs.folder import RunFolder
from crossbit.storage.files import check_new

if TYPE_CHECKING:
    from crossbit.audit import Audit, SuspectRow

CLASSES = 10  # shown, at most
CAPTION = 40  # characters of it that are shown


def audit(
    run: Run,
    top: Annotated[int, typer.Option(metavar="N", help="How many rows and pairs to show.")] = 20,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="The data that the run was trained on, if they moved.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Writes all rows to this CSV file, which must not exist.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find training rows whose labels look wrong, the most likely first.

    Works on the run of any method. Each row is compared with all others. Shown
    are the probability that its labels are wrong, the labels it should have,
    and the labels of its ten nearest neighbours. All rows are written to
    RUN/audit.parquet; docs/audit.md explains its columns.

    \b
    Examples:
      crossbit audit run
      crossbit audit run --top 100 --csv suspects.csv
      crossbit audit run --json > audit.json
    """
    if top < 1:
        raise UserError(f"--top is {top}; it must be at least 1")
    if csv is not None and as_json:
        raise UserError("give --json or --csv FILE, one of them; RUN/audit.parquet has all rows either way")
    if csv is not None:
        check_new(csv)
    from crossbit.audit import audit_run

    found = audit_run(run, None if data is None else with_notes(RunFolder(run).data(data)), progress=note)
    target = RunFolder(run).audit_file
    found.write_parquet(target)
    if csv is not None:
        found.write_csv(csv)
    if as_json:
        return say_json(found.to_dict(top) | {"file": str(target)})
    _say_summary(found)
    _say_suspects(found, top)
    _say_pairs(found, top)
    say(f"\nall {len(found.entries):,} rows: {target}" + ("" if csv is None else f" and {csv}"))
    return None


def _say_summary(found: Audit) -> None:
    """Shares of wrong labels, overall and by class."""
    say(f"{found.data}, run of {found.method}")
    say(found.words[0])
    if found.kind == "none":  # else the table has what the other words say of single classes
        return
    apart = found.classes[0].modality is not None
    head = ["label", *(["of"] if apart else []), "rows", "wrong", "missing"]
    rows = [
        [one.label, *([one.modality] if apart else []), one.given, f"{100 * one.wrong:.0f} %", f"{one.missing:.0f}"]
        for one in found.classes[:CLASSES]
        if one.wrong is not None
    ]
    say()
    say_table(head, rows, right=["rows", "wrong", "missing"])
    if len(found.classes) > CLASSES:
        say(f"{len(found.classes) - CLASSES} more labels are in --json")


def _say_suspects(found: Audit, top: int) -> None:
    suspects = found.suspects
    if not suspects:
        return say("\nno row's labels are worth a look")
    say(f"\n{len(suspects):,} rows' labels are worth a look" + (f"; the first {top}" if len(suspects) > top else ""))
    say()
    head = ["p", "row", "given", "suggested", "why"]
    say_table(head, [_cells(entry) for entry in suspects[:top]], right=["p", "row"])
    return None


def _cells(entry: SuspectRow) -> list[str]:
    """Probability, row and item, labels, suggested labels, reason."""
    row = f"{entry.row}" + (f" {entry.modality}" if entry.modality else "")
    item = _item(entry)
    why = entry.reason + (f"\n{item}" if item else "")
    return [f"{entry.probability:.2f}", row, ", ".join(entry.observed), ", ".join(entry.suggested), why]


def _say_pairs(found: Audit, top: int) -> None:
    pairs = found.pairs
    if not pairs:
        return
    say(f"\n{len(pairs):,} rows' pairs are worth a look" + (f"; the first {top}" if len(pairs) > top else ""))
    say()
    rows = []
    for entry in pairs[:top]:
        item = _item(entry)
        rows.append([f"{entry.wrong_pair:.2f}", f"{entry.row}", entry.pair_reason + (f"\n{item}" if item else "")])
    say_table(["p", "row", "why"], rows, right=["p", "row"])


def _item(entry: SuspectRow) -> str:
    """What the row is, as far as the data say: its caption and its path."""
    caption = " ".join((entry.caption or "").split())
    short = caption if len(caption) <= CAPTION else f"{caption[: CAPTION - 1]}…"
    return "  ".join(part for part in (short, entry.path) if part)
