"""Services for tests: in this process, or as one of their own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from starlette.testclient import TestClient

import forked
from crossbit.serve import Settings, create_app

TOKEN = "a long random word"
WRITER = {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def opened(run: Path, **settings: Any) -> Iterator[TestClient]:
    """A client of a service in this process."""
    app = create_app(run, Settings(**{"token": TOKEN, **settings}))
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        yield client


class Served:
    """A service in a process of its own, at a port of its own: the command, or with settings that it does not give."""

    def __init__(self, run: Path, *options: str, settings: dict[str, Any] | None = None, first: str = "") -> None:
        self.errors = tempfile.NamedTemporaryFile("w+")  # noqa: SIM115 (its process writes it)
        self.process: ForkServerProcess | subprocess.Popen[str]
        if settings is None:
            self.process, self.line = self._command(run, *options)
            self.address = self.line.split(" is served at ")[1].split()[0]
        else:
            self.process, self.address = forked.service(run, settings, first, Path(self.errors.name))
        self.client = httpx.Client(base_url=self.address, headers=WRITER, timeout=300)  # workers load meanwhile

    def _command(self, run: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "crossbit", "serve", str(run), "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=self.errors,  # a file: who fills a pipe that nobody reads waits
            text=True,
            env={**os.environ, "CROSSBIT_TOKEN": TOKEN},
        )
        assert process.stdout is not None
        if " is served at " not in (line := process.stdout.readline()):
            process.wait(60)
            raise AssertionError(Path(self.errors.name).read_text())
        return process, line

    @property
    def port(self) -> int:
        return int(self.address.rstrip("/").rpartition(":")[2])

    def end(self) -> tuple[int | None, str]:
        """End it; the exit code and what it wrote to standard error."""
        self.client.close()
        self.process.terminate()
        if isinstance(self.process, subprocess.Popen):
            self.process.communicate(timeout=60)
            code = self.process.returncode
        else:
            self.process.join(60)
            code = self.process.exitcode
            assert code is not None, "it does not end"
        return code, Path(self.errors.name).read_text()


@contextmanager
def in_process(run: Path, *options: str, settings: dict[str, Any] | None = None, first: str = "") -> Iterator[Served]:
    """`first` is Python that is run before the service, which needs `settings`."""
    served = Served(run, *options, settings=settings, first=first)
    try:
        yield served
    finally:
        served.end()


def picture(seed: int = 0, side: int = 24, form: str = "PNG") -> bytes:
    """The bytes of a picture file."""
    pixels = np.random.default_rng(seed).integers(256, size=(side, side, 3), dtype=np.uint8)
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, form)
    return held.getvalue()


def error_of(response: Any) -> str:
    """The one line of an answer that must be an error in our form."""
    assert response.headers["content-type"] == "application/json", response.text
    (said,) = response.json().values()
    assert "error" in response.json() and said and "\n" not in said and "Traceback" not in said
    return str(said)
