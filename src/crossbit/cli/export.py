"""`crossbit export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossbit.cli.output import note, say, say_next
from crossbit.cli.train import Run


def export(
    run: Run,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make. An older export there is replaced.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="Writes the encoders as ONNX graphs, too.")] = False,
) -> None:
    """Write the model, the index and a card into a folder that searches without PyTorch.

    On the machine that searches: pip install "crossbit\\[search]". The same queries give the same hits.

    \b
    Examples:
      crossbit export run --out taken
      crossbit export run --out taken --onnx
    """
    from crossbit.export import export_run

    card = export_run(run, out, onnx=onnx, progress=note)["export"]
    held = ", ".join(f"{count:,} {name} codes" for name, count in card["codes"].items())
    say(f"{held} and the model are in {out}; {out / 'README.md'} is the card")
    for modality, each in card["compared"].items():
        say(
            f"{modality}: {each['bytes_that_differ']:,} bytes differ from PyTorch's on {each['rows']:,} rows, "
            f"{each['near_zero']:,} of {each['outputs']:,} outputs are within {card['near']:g} of zero"
        )
    say_next(["search", out, "some words"])
