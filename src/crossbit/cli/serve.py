"""`crossbit serve`."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from socket import gethostname
from typing import Annotated

import typer

from crossbit.cli.output import say
from crossbit.cli.search import Exact, Uri
from crossbit.cli.train import Run
from crossbit.errors import UserError
from crossbit.storage.lines import read_text

TOKEN = "CROSSBIT_TOKEN"
NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


def serve(
    run: Run,
    host: Annotated[str, typer.Option(help="Where it listens. One that others can reach needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=f"Holds the token of who may write. {TOKEN} of the environment, if not given."
        ),
    ] = None,
    public_host: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name by which a proxy in front of it is reached.")
    ] = None,
    uri: Uri = None,
    workers: Annotated[int, typer.Option(help="Processes that answer; each holds the index in memory.")] = 1,
    exact: Exact = False,
) -> None:
    """Serve searches, pictures and pages to a browser, until Ctrl-C.

    What is added to the index meanwhile, and a new run in the same folder, are taken over without a pause.

    \b
    Examples:
      crossbit serve run
      crossbit serve run --host 0.0.0.0 --token-file token.txt
      crossbit serve run --uri milvus://localhost:19530/photos
    """
    check_installed()
    from crossbit.serve import Settings
    from crossbit.serve import run as run_service

    settings = Settings(host, port, _token(token_file), public_host, workers, uri=uri, exact=exact)

    def ready(address: str) -> None:
        port = address.rstrip("/").rpartition(":")[2]
        every = f" and at every address of this machine, such as http://{gethostname()}:{port}/"
        say(f"{run} is served at {address}{every if settings.is_everywhere else ''} (Ctrl-C ends it)")

    with suppress(KeyboardInterrupt):  # all requests are done by then
        run_service(run, settings, ready)


def check_installed() -> None:
    """UserError where a library is missing that a service needs."""
    from importlib.util import find_spec

    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UserError(f'a service needs {", ".join(missing)}; type: pip install "crossbit[serve]"')


def _token(file: Path | None) -> str | None:
    """The token, from a file or the environment."""
    token = os.environ.get(TOKEN, "") if file is None else read_text(file)
    if file is not None and not token.strip():
        raise UserError(f"{file} is empty; put a long random word into it")
    if not token.strip().isprintable():
        raise UserError(f"the token of {file or TOKEN} has more than one line, which no header holds; give it one")
    return token.strip() or None
