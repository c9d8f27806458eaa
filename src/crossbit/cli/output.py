"""What the verbs share: notes, tables, JSON, and the way a stop is told."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossbit.runs.folder import RunFolder

if TYPE_CHECKING:
    from crossbit.data.types import PairedData

Json = Annotated[bool, typer.Option("--json", help="Prints one JSON object, and nothing else on standard output.")]

PATIENCE = 5.0  # seconds between two lines about progress


class Stopped(Exception):
    """Interrupted by the user; the text says what was kept."""


def speaks() -> bool:
    """Whether this process speaks: of several that `torchrun` started the first one does."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def say(text: str = "") -> None:
    """A line of the answer, on standard output."""
    if speaks():
        typer.echo(text)


def note(text: str) -> None:
    """A line beside the answer, on standard error."""
    if speaks():
        typer.echo(text, err=True)


def counted(line: str) -> Callable[[int, int], Any]:
    """Says now and then how many of all are done, by a line with {done} and {of}."""
    last = time.monotonic()

    def progress(done: int, of: int) -> None:
        nonlocal last
        if time.monotonic() - last > PATIENCE and done < of:
            last = time.monotonic()
            note(line.format(done=f"{done:,}", of=f"{of:,}"))

    return progress


def printable(text: str) -> str:
    """A text without what would move the terminal's cursor."""
    return "".join(character if character.isprintable() else " " for character in text)


def say_folded(text: str, indent: str = "") -> None:
    """A text of the answer, folded to the terminal's width."""
    width = max(40, shutil.get_terminal_size((80, 24)).columns)
    for line in textwrap.wrap(printable(text), width - len(indent), break_on_hyphens=False):
        say(indent + line)


def fitted(line: str) -> str:
    """A line cut to the terminal's width (80 where there is none), without what would move its cursor."""
    from rich.cells import cell_len, set_cell_size

    shown = printable(line)
    width = shutil.get_terminal_size((80, 24)).columns
    return shown if cell_len(shown) <= width else set_cell_size(shown, width - 3) + "..."


def with_notes(data: PairedData) -> PairedData:
    """Data, after saying beside the answer what was decided when they were read."""
    for line in data.notes:
        note(f"{data.name}: {line}")
    return data


def say_json(value: Any) -> None:
    """The one JSON object of `--json`."""
    say(json.dumps(value, indent=1, ensure_ascii=False))


def say_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """A table; the columns named in `right` are numbers."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # so that brackets in what is shown are no markup

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    Console(highlight=False).print(table)


def say_next(*commands: Sequence[str | Path]) -> None:
    """What to try next, each command as its words; printed so that it works where crossbit was called.

    A search, and the service, is left out where the run cannot encode its query: a run on vectors takes no words.
    """
    possible = [words for words in commands if words[0] not in ("search", "serve") or _can_search(words)]
    if possible:
        say("\nnext:")
    for words in possible:
        say(f"  {calling()} {shlex.join(map(str, words))}")


def spelled(options: Mapping[str, str]) -> list[str]:
    """Options by their Python names as words of a command line.

    >>> spelled({"caption_column": "what is seen"})
    ['--caption-column', 'what is seen']
    """
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]


def _can_search(words: Sequence[str | Path]) -> bool:
    """Whether the run of a command encodes the kind of query, pictures or words; true if it is not a run."""
    run = RunFolder(words[1])
    if not run.is_finished:
        return True
    from crossbit import features

    return ("pictures" if "--image" in words else "words") in {features.get(name).reads for name in run.featurisers}


def calling() -> str:
    """How to call crossbit from here, quoted for a shell: it may be installed where no shell looks for it."""
    if shutil.which("crossbit"):
        return "crossbit"
    called = sys.argv[0]
    return shlex.quote(called) if Path(called).name == "crossbit" else f"{shlex.quote(sys.executable)} -m crossbit"
