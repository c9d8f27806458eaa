"""The command line: a function per verb, a module per group. Verbs parse, call and print; heavy imports are inside."""

from __future__ import annotations

import errno
import functools
import gc
import io
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from crossbit.cli import add, audit, bench, data, demo, evaluate, export, features, methods, search, serve, train
from crossbit.cli.output import Stopped, note, say, speaks
from crossbit.errors import UserError
from crossbit.storage.packages import without_train

HELP = """Search pictures by words and words by pictures, with short binary codes.
It keeps working when many labels are wrong.

\b
Begin with:
  crossbit demo                       train, search and report on a built-in set
Then, step by step:
  crossbit train glyphs --out run     learn codes; or name your own data
  crossbit evaluate run               how good the codes are
  crossbit index run                  write the codes of the collection
  crossbit search run "greek omega"   find pictures by words
  crossbit audit run                  which labels look wrong, and why
  crossbit serve run                  search and mend labels in a browser

[dim]`crossbit COMMAND --help` explains a command.
After a mistake one line says what is wrong and what to type instead; the exit code is 2.[/dim]
"""

app = typer.Typer(help=HELP, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


def _say_version(asked: bool) -> None:
    if asked:
        import crossbit

        say(f"crossbit {crossbit.__version__}")
        raise typer.Exit


@app.callback()
def _crossbit(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Prints the version, and ends.")
    ] = False,
) -> None: ...


app.command()(demo.demo)
app.add_typer(data.app, name="data")
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(evaluate.score)
app.command()(audit.audit)
app.command()(bench.bench)
app.command()(search.encode)
app.command()(search.index)
app.command()(add.add)
app.command()(search.search)
app.command()(serve.serve)
app.command()(export.export)
app.command()(methods.methods)
app.command()(features.features)

INTERRUPTED = 130  # as shells say it: 128 + SIGINT
COLLECT_AFTER = 50_000  # new objects; Python's 700 has it look through all rows of a table again and again
LAST = 10  # seconds that a process which does not speak waits after a mistake
# What a user can mend: a full or closed disk, a name that no disk takes.
MENDED = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP}
SHOWN = 80  # characters of a path


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns 0, 2 after a user's mistake (one line on standard error), or 130 after Ctrl-C."""
    args = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    gc.set_threshold(COLLECT_AFTER)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold what the terminal's encoding cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = _commands()(args, prog_name="crossbit", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:  # a usage error: unknown command or option, missing argument, no number
        return _refuse(f"{error.format_message().rstrip('.')}{_example(error)} (see: {_command(error)} --help)")
    except UserError as error:
        return _refuse(str(error))
    except ModuleNotFoundError as error:
        if (told := without_train(error)) is None:
            raise
        return _refuse(str(told))
    except Stopped as stop:
        note(f"crossbit: {stop}")
        return INTERRUPTED
    except BrokenPipeError:  # who read our output has gone, which is no mistake
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in MENDED:
            raise
        name = str(error.filename or "output")
        return _refuse(f"{name if len(name) <= SHOWN else f'{name[:SHOWN]}...'}: {error.strerror}")
    if code == INTERRUPTED:
        note("crossbit: interrupted; nothing was written")
    return code if isinstance(code, int) else 0


@functools.cache
def _commands() -> Callable[..., Any]:
    """What Typer makes of the functions; a process that runs many command lines waits for it once."""
    return typer.main.get_command(app)


def _refuse(message: str) -> int:
    said = " ".join(message.split())
    note(f"crossbit: error: {said}")
    if not speaks():
        time.sleep(LAST)  # `torchrun` ends all when one has ended: the one that speaks must be first
        typer.echo(f"crossbit: error in process {os.environ.get('RANK')}: {said}", err=True)  # it goes on: not its own
    return 2


def _example(error: typer.TyperException) -> str:
    """The first example of the command's help, where something is missing."""
    context = getattr(error, "ctx", None)
    if context is None or not error.format_message().startswith("Missing"):
        return ""
    lines = iter((context.command.help or "").splitlines())
    found = next((next(lines, "") for line in lines if line.strip() == "Examples:"), "").strip()
    return f"; for example: {found}" if found else ""


def _command(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context else "crossbit"
