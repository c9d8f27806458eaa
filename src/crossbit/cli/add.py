"""`crossbit add`."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from crossbit.cli.output import calling, note, say, say_next, spelled, with_notes
from crossbit.cli.search import Uri
from crossbit.cli.train import Run
from crossbit.runs.folder import RunFolder
from crossbit.storage.addresses import shown


def add(
    run: Run,
    data: Annotated[str, typer.Argument(metavar="DATA", help="The data as they are now: those of the run, or others.")],
    drop_missing: Annotated[
        bool,
        typer.Option(
            "--drop-missing",
            help="Removes from the index what is not in DATA any more. What came through the service stays.",
        ),
    ] = False,
    uri: Uri = None,
) -> None:
    """Index what is new or has changed, and nothing else.

    The columns of a table are taken for what the run was told they are.
    All rows of DATA are looked at, queries too. Rows are known by their paths and compared by content. If it is killed,
    the index is the old one or the new one; one on a server is partly new, and the same command goes on.

    \b
    Examples:
      crossbit add run photos/
      crossbit add run photos/ --drop-missing
    """
    import crossbit
    from crossbit.search.adding import add as add_rows

    folder = RunFolder(run)
    target = uri or str(folder.index)
    model = crossbit.load_model(run)
    loaded = with_notes(folder.load(data))
    note("queries, which `crossbit index` leaves out, are added as all other rows")
    done = add_rows(model, loaded, target, drop_missing=drop_missing, progress=note)
    for modality, counts in done.counts.items():
        say(f"{modality}: {counts.added:,} added, {counts.changed:,} changed, {counts.unchanged:,} unchanged")
    if done.gone:
        fate = "removed" if done.dropped else "kept; --drop-missing removes them"
        say(f"{done.gone:,} items of the index are not in {loaded.name}: {fate}")
    if done.sent:
        say(f"{done.sent:,} items came through the service: kept; DELETE /api/items/ID removes one")
    command = f"{calling()} {shlex.join(['train', data, *spelled(loaded.options), '--out', 'NEW'])}"
    for line in done.warnings:
        note(f"{line}; a new training would pay: {command}")
    say_next(["search", run, "some words", *(["--uri", shown(uri)] if uri else [])])
