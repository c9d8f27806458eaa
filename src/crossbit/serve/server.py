"""The service as a process, or as several that share an address."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from crossbit.errors import UserError
from crossbit.runs.folder import RunFolder
from crossbit.serve.app import create_app
from crossbit.serve.generations import Generations
from crossbit.serve.logs import start_logging
from crossbit.serve.metrics import SHARED
from crossbit.serve.protocol import Config, Patient
from crossbit.serve.settings import Settings

GRACE = 10  # seconds that requests have to end after SIGTERM
IDLE = 15  # seconds that a connection may wait between two requests
START = 60  # seconds that a worker may take to load before it is taken for dead


def run(run: str | os.PathLike[str], settings: Settings, ready: Callable[[str], Any] = lambda address: None) -> None:
    """Serve a run until SIGTERM or SIGINT.

    Args:
        run: the run's folder.
        settings: see `Settings`.
        ready: called with the address, once it can be reached; that of loopback where it listens at every address.

    Raises:
        UserError: no run or no index there; an address that cannot be taken.
    """
    listening = _listen(settings.host, settings.port)
    address = address_of(settings, listening.getsockname()[1])
    if settings.workers > 1:
        return _several(os.fspath(run), settings, listening, lambda: ready(address))
    app = _loaded(run, settings)
    ready(address)
    uvicorn.Server(_config(app, settings)).run([listening])


def _several(run: str, settings: Settings, listening: socket.socket, ready: Callable[[], Any]) -> None:
    Generations(RunFolder(run), settings.uri).close()  # what is wrong is told here, and not by each worker
    with tempfile.TemporaryDirectory(prefix="crossbit-metrics-") as folder:
        os.environ[SHARED] = folder  # before a worker imports what reads it
        config = _config(Worker(run, settings), settings, factory=True)
        ready()
        Multiprocess(config, [listening]).run()


class Worker:
    """Makes the application in a process of its own."""

    def __init__(self, run: str, settings: Settings) -> None:
        self.run, self.settings = run, settings

    def __call__(self) -> Any:
        """The application; it ends with the process that watches over it, which would make another in its place."""
        threading.Thread(target=_end_with_parent, daemon=True, name="crossbit-parent").start()
        return _loaded(self.run, self.settings)


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _loaded(run: str | os.PathLike[str], settings: Settings) -> FastAPI:
    """The application, in a process that does nothing else."""
    app = create_app(run, settings)
    start_logging()
    if torch := sys.modules.get("torch"):  # an exported folder is served without
        torch.set_num_threads(1)  # a query is small, and several are worked on at the same time
    os.environ.setdefault("CROSSBIT_THREADS", "1")  # for the same reason: two threads were slower than one
    gc.collect()
    gc.freeze()  # what was loaded stays: no request waits while it is looked through for garbage
    return app


def _config(app: Any, settings: Settings, factory: bool = False) -> Config:
    config = Config(
        app,
        factory=factory,
        workers=settings.workers,
        http=Patient,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=IDLE,
        timeout_worker_healthcheck=START,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=16_384,
    )
    config.head_seconds, config.connections = settings.request_seconds, settings.connections
    return config


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio looks at the protocol: without it an answer's body waits 40 ms for its head to be acknowledged
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(1024)
        listening.set_inheritable(True)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"cannot listen at {host}, port {port}: {why}; take another --port or --host") from error
    return listening


def address_of(settings: Settings, port: int) -> str:
    """An address that a person at this machine can open.

    >>> [address_of(Settings(host, token="x"), 80) for host in ("0.0.0.0", "::", "photos")]
    ['http://127.0.0.1:80/', 'http://[::1]:80/', 'http://photos:80/']
    """
    host = settings.host.strip("[]")
    if settings.is_everywhere:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
