"""`crossbit audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossbit.cli.output import Json, note, say, say_folded, say_json, say_next, say_table, spelled, with_notes
from crossbit.cli.suspects import say_pairs, say_suspects
from crossbit.cli.train import Run
from crossbit.errors import UserError
from crossbit.runs.folder import RunFolder
from crossbit.storage.files import check_new

if TYPE_CHECKING:
    from crossbit.audit import Audit

CLASSES = 10  # shown, at most
TOP, TOP_OF_CLASS = 20, 3


def audit(
    run: Run,
    top: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=f"How many rows and pairs to show: {TOP}, if not given; {TOP_OF_CLASS} of each class; 200 on a sheet.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="The data that the run was trained on, if they moved.")
    ] = None,
    by_class: Annotated[bool, typer.Option("--by-class", help="Shows the first rows of each class.")] = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Writes all rows to this CSV file, which must not exist.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Writes a sheet with the pictures, to decide about by keyboard in a browser."
        ),
    ] = None,
    apply: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Decisions: of the sheet, or RUN/decisions.jsonl; goes with --out."),
    ] = None,
    accept_above: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Also accepts each undecided change of a label that is right with this probability; goes with --out.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The corrected labels, for `crossbit train --labels`.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find training rows whose labels look wrong, the strongest evidence first.

    Works on the run of any method. Each row is compared with all others. Shown
    are the probability that its labels are wrong, the labels it should have,
    the labels of its ten nearest neighbours, and the rows that weigh most. All
    rows are written to RUN/audit.parquet; docs/audit.md explains its columns.

    \b
    Examples:
      crossbit audit run
      crossbit audit run --top 100 --csv suspects.csv
      crossbit audit run --html sheet.html
      crossbit audit run --apply decisions.jsonl --out labels.csv
      crossbit audit run --accept-above 0.9 --out labels.csv
    """
    repairs = apply is not None or accept_above is not None
    _check(top, csv, html, out, as_json, repairs)
    if RunFolder(run).is_export:
        RunFolder(run).arrays()  # refuses it before anything is loaded
    from crossbit.audit import audit_run
    from crossbit.audit.acts import read_acts
    from crossbit.audit.decisions import check_labels_file, check_sure

    if accept_above is not None:
        check_sure(accept_above)  # before minutes of work; so is the file
    if apply is not None:
        read_acts(apply)
    given, again = RunFolder(run).found(data)
    if data is not None or again is not None:
        with_notes(given)
    if out is not None:
        check_labels_file(given, out)
    found = audit_run(run, given, progress=note)
    if out is not None:
        return _repair(found, apply, accept_above, out)
    target = _keep(found, RunFolder(run).audit_file)
    if csv is not None:
        found.write_csv(csv)
    if html is not None:
        found.write_html(html, top)
    if as_json:
        return say_json(found.to_dict(top or TOP) | {"file": target and str(target)})
    _say_summary(found)
    if by_class:
        _say_classes(found, top or TOP_OF_CLASS)
    else:
        _say_suspects(found, top or TOP)
        _say_pairs(found, top or TOP)
    written = " and ".join(str(file) for file in (target, csv) if file is not None) or "--csv FILE writes them"
    say(f"\nall {len(found.entries):,} rows: {written}" + ("" if html is None else f"\nto decide about them: {html}"))
    return None


def _keep(found: Audit, target: Path) -> Path | None:
    """Write all rows into the run's folder; where nothing may be written there, only what is asked for is."""
    try:
        found.write_parquet(target)
    except UserError as error:
        note(str(error))
        return None
    return target


def _check(
    top: int | None, csv: Path | None, html: Path | None, out: Path | None, as_json: bool, repairs: bool
) -> None:
    """Options that do not go together, and files that exist."""
    if top is not None and top < 1:
        raise UserError(f"--top is {top}; it must be at least 1")
    if csv is not None and as_json:
        raise UserError("give --json or --csv FILE, one of them; RUN/audit.parquet has all rows either way")
    if repairs != (out is not None):
        right = "--apply decisions.jsonl --out labels.csv, or --accept-above 0.9 --out labels.csv"
        raise UserError(f"corrected labels take both what to apply and where to write them, such as {right}")
    if repairs and (csv is not None or html is not None or as_json):
        raise UserError("--out writes corrected labels and nothing else; give --json, --csv and --html without it")
    for file in (csv, html):
        if file is not None:
            check_new(file)


def _repair(found: Audit, apply: Path | None, above: float | None, out: Path) -> None:
    """Write corrected labels, and say what they are."""
    from crossbit.audit.decisions import read_decisions, repair, write_labels

    made = repair(found, [] if apply is None else read_decisions(apply, found, note), above)
    write_labels(found, made, out)
    if apply is not None:
        say("decisions: " + ", ".join(f"{many:,} {kind}" for kind, many in made.decided.items()))
    if above is not None:
        say(f"proposals taken without a decision, from p {above:g} on: {made.taken:,}")
    say(f"{made.changed:,} of {found.labelled:,} labelled rows have other labels now: {out}")
    config = found.seen.model.config
    say_next(["train", config["data"], *spelled(config.get("data_options", {})), "--labels", out, "--out", "RUN2"])


def _say_summary(found: Audit) -> None:
    """Shares of wrong labels, overall and by class."""
    say(f"{found.data}, run of {found.method}")
    for line in found.words:
        say_folded(line)
    if found.kind == "none":
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
        say(f"{len(found.classes) - CLASSES} more labels are in --json; --by-class shows rows of each")


def _say_suspects(found: Audit, top: int) -> None:
    families = found.families
    if not families:
        return say("\nno row's labels are worth a look")
    several = len(found.suspects) - len(families)
    many = "is a near-duplicate" if several == 1 else "are near-duplicates"
    alike = f"; {several:,} of them {many} of another" if several else ""
    rows = "1 row's labels are" if len(found.suspects) == 1 else f"{len(found.suspects):,} rows' labels are"
    say(f"\n{rows} worth a look{alike}" + (f"; the first {top}" * (len(families) > top)))
    say()
    say_suspects([(family[0], len(family) - 1) for family in families[:top]])
    return None


def _say_classes(found: Audit, top: int) -> None:
    """The first suspects of each class that has any, the class with the largest share of wrong labels first."""
    for one in found.classes:
        if suspects := found.of_class(one):
            of = f" of {one.modality}" if one.modality else ""
            share = "" if one.wrong is None else f"{100 * one.wrong:.0f} % of {one.given:,} look wrong, "
            say(f"\n{one.label}{of}: {share}about {one.missing:.0f} rows lack it\n")
            say_suspects([(entry, 0) for entry in suspects[:top]])


def _say_pairs(found: Audit, top: int) -> None:
    pairs = found.pairs
    if not pairs:
        return
    say(f"\n{len(pairs):,} rows' pairs are worth a look" + (f"; the first {top}" if len(pairs) > top else ""))
    say()
    say_pairs(pairs[:top])
