"""`crossbit demo`: the main job, end to end, on the built-in set, beside other methods."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from crossbit.cli.output import Stopped, calling, fitted, say, say_next, say_table
from crossbit.cli.serve import check_installed
from crossbit.cli.serve import serve as serve_run
from crossbit.errors import UserError
from crossbit.runs.folder import RunFolder
from crossbit.storage.files import check_new, read_json

SHOWN = 3  # different names among the pictures found


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make, for the report and the run.")] = Path(
        "demo"
    ),
    noise: Annotated[
        str,
        typer.Option(metavar="RULE:RATE", help="How the training labels are made wrong; docs/data.md has the rules."),
    ] = "swap-one:0.5",
    seed: Annotated[int, typer.Option(help="Draws the noise and the first weights.")] = 0,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Goes on with the demo in --out that was interrupted. Give the same settings."),
    ] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Shows the run in a browser when all is done.")] = False,
) -> None:
    """Do everything on a built-in set: train with wrong labels, search, evaluate, audit, and write an HTML report.

    Trains LOOK, and NRCH and InfoNCE beside it, and shows the same queries by
    each of them and by random codes. DIR/run is LOOK's run folder, which the
    other commands take.

    \b
    Examples:
      crossbit demo
      crossbit demo --out wild --noise swap-one:0.8
    """
    _check_out(out, resume)
    if serve:
        check_installed()
    from crossbit.demo import next_commands, run_demo

    try:
        report = run_demo(out, noise=noise, seed=seed, resume=resume, call=calling())
    except KeyboardInterrupt:
        raise Stopped("interrupted; the same command with --resume goes on") from None
    _say_figures(read_json(report.with_suffix(".json")))
    say(f"\nthe report, to open in a browser: {report}")
    if serve:
        return serve_run(out / "run")
    return say_next(*next_commands(out))


def _check_out(out: Path, resume: bool) -> None:
    if RunFolder(out / "run").has_begun and not resume:
        raise UserError(f"{out} exists already; choose another path, or go on with that demo by --resume")
    if not (resume and out.is_dir()):
        check_new(out)


def _say_figures(told: dict[str, Any]) -> None:
    """What words find by the first way, and how good each way is."""
    first = next(iter(told["reports"]))
    say(f"\nwords -> pictures by {first}, among pictures that are new to it; * is the very one\n")
    for query in (query for query in told["queries"] if query["of"] == "words"):
        found = dict.fromkeys(("*" if hit["own"] else "") + hit["text"] for hit in query["found"][first])
        say(fitted(f"  {query['text']}"))
        say(fitted(f"    {', '.join(list(found)[:SHOWN])}"))
    say()
    measures = list(told["table"]["chance"])
    rows = [[way, *(f"{cells[name][0]:.3f}" for name in measures)] for way, cells in told["table"].items()]
    say_table(["words -> pictures", *measures], rows, right=measures)
