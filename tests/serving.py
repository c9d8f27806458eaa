"""Services for tests: in this process, or as one of their own."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from crossbit.serve import Settings, create_app

TOKEN = "a long random word"
WITH_SETTINGS = """
import sys
import tempfile
from crossbit.serve import Settings, run
{}
run(sys.argv[1], Settings(port=0, **{}), lambda address: print("it is served at", address, flush=True))
"""
WRITER = {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def opened(run: Path, **settings: Any) -> Iterator[TestClient]:
    """A client of a service in this process."""
    app = create_app(run, Settings(**{"token": TOKEN, **settings}))
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        yield client


class Served:
    """A service in a process of its own, at a port of its own."""

    def __init__(self, run: Path, *options: str, settings: dict[str, Any] | None = None, first: str = "") -> None:
        command = ["-m", "crossbit", "serve", str(run), "--port", "0", *options]
        if settings is not None:  # which the command does not give
            command = ["-c", f"{WITH_SETTINGS.format(first, settings)}", str(run)]
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (its process writes it)
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", *command],
            stdout=subprocess.PIPE,
            stderr=self.errors,  # a file: who fills a pipe that nobody reads waits
            text=True,
            env={**os.environ, "CROSSBIT_TOKEN": TOKEN},
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        assert " is served at " in self.line, self._said()
        self.address = self.line.split(" is served at ")[1].split()[0]
        self.client = httpx.Client(base_url=self.address, headers=WRITER, timeout=300)  # workers load meanwhile

    @property
    def port(self) -> int:
        return int(self.address.rstrip("/").rpartition(":")[2])

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End it; the exit code and what it wrote to standard error."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.communicate(timeout=60)
        return self.process.returncode, self._said()

    def _said(self) -> str:
        self.process.wait(60)
        self.errors.seek(0)
        return self.errors.read()


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
