"""`crossbit demo`: the main job, end to end, on the built-in set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossbit.cli.output import Stopped, calling, say, say_next
from crossbit.storage.files import check_new


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the report and the run; must not exist.")] = Path(
        "demo"
    ),
    method: Annotated[str, typer.Option(help="Method to train; `crossbit methods` lists them.")] = "nrch",
    noise: Annotated[
        str, typer.Option(metavar="RULE:RATE", help="What is done to the training labels.")
    ] = "swap-one:0.5",
    seed: Annotated[int, typer.Option(help="Another seed, other noise and weights.")] = 0,
) -> None:
    """Train, evaluate, index and search the built-in set with wrong labels, and write one HTML report.

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
