"""`crossbit demo`: the main job, end to end, on the built-in set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossbit.cli.output import Stopped, calling, say, say_next
from crossbit.storage.files import check_new


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make, for the report and the run.")] = Path(
        "demo"
    ),
    method: Annotated[str, typer.Option(help="The method to train; `crossbit methods` lists all.")] = "nrch",
    noise: Annotated[
        str,
        typer.Option(metavar="RULE:RATE", help="How the training labels are made wrong; docs/data.md has the rules."),
    ] = "swap-one:0.5",
    seed: Annotated[int, typer.Option(help="Draws the noise and the first weights.")] = 0,
) -> None:
    """Do everything on a built-in set: train with wrong labels, evaluate, search, and write an HTML report.

    \b
    Examples:
      crossbit demo
      crossbit demo --out wild --noise swap-one:0.8
    """
    check_new(out)
    from crossbit.demo import next_commands, run_demo

    try:
        report = run_demo(out, method=method, noise=noise, seed=seed, call=calling())
    except KeyboardInterrupt:
        raise Stopped(f"interrupted; what was finished is in {out}") from None
    say(f"\nthe report, to open in a browser: {report}")
    say_next(*next_commands(out))
