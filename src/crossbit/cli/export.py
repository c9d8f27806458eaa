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
    integer: Annotated[
        bool,
        typer.Option("--integer", help="Writes encoders in whole numbers, too: the same codes in every engine."),
    ] = False,
    web: Annotated[
        bool, typer.Option("--web", help="Writes a page that searches without a server, and what --integer writes.")
    ] = False,
) -> None:
    """Write the model, the index and a card into a folder that searches without PyTorch.

    On the machine that searches: pip install "crossbit\\[search]". The same queries give the same hits.

    \b
    Examples:
      crossbit export run --out taken
      crossbit export run --out taken --onnx
      crossbit export run --out taken --web
    """
    from crossbit.export import export_run

    card = export_run(run, out, onnx=onnx, integer=integer, web=web, progress=note)["export"]
    held = ", ".join(f"{count:,} {name} codes" for name, count in card["codes"].items())
    say(f"{held} and the model are in {out}; {out / 'README.md'} is the card")
    for modality, each in card["compared"].items():
        say(
            f"{modality}: {each['bytes_that_differ']:,} bytes differ from PyTorch's on {each['rows']:,} rows, "
            f"{each['near_zero']:,} of {each['outputs']:,} outputs are within {card['near']:g} of zero"
        )
    for modality, each in card.get("integer", {}).get("compared", {}).items():
        say(
            f"{modality}, in whole numbers: {each['torch_bytes_that_differ']:,} bytes differ between numpy and "
            f"PyTorch; {each['other_bits']:,} of {each['outputs']:,} bits are not the run's"
        )
    for way, each in (card.get("integer", {}).get("cost") or {}).get("map", {}).items():
        say(f"{way}: mAP@all {each['integer']:.4f} in whole numbers, {each['run']:.4f} by the run's codes")
    if page := card.get("web"):
        say(f"{out / 'web'} is a page of {page['items']:,} items and {page['bytes'] / 1e6:.1f} MB; show it with:")
        say(f"  python -m http.server --bind 127.0.0.1 --directory {out / 'web'}")
    say_next(["search", out, "some words"])
