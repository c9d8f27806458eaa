"""A Ray cluster: whether it is there, and calls whose results come in their order."""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from crossbit.errors import UserError

Call = tuple[Any, ...]

RETRIES = 5  # times that a call is made again whose worker died
AHEAD = 2  # calls that wait for each core of the cluster


@contextmanager
def connected(address: str, instead: str = "leave --ray out") -> Iterator[Any]:
    """The module `ray`, connected to a cluster and let go of at the end.

    Args:
        address: as for `ray.init`: "auto", "host:port" or "ray://host:port".
        instead: what to do where Ray is not installed, for the error.

    Raises:
        UserError: Ray is not installed, or there is no cluster.
    """
    try:
        ray: Any = import_module("ray")
    except ImportError as error:
        raise UserError(f"Ray is not installed; pip install 'crossbit[ray]', or {instead}") from error
    _check_answers(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # each kind of address fails in its own way
        raise UserError(f"no Ray cluster at {address}: {_first_line(error)}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def in_order(
    ray: Any, function: Callable[..., Any], calls: Iterable[Call], known: Callable[[Call], Any] = lambda call: None
) -> Iterator[tuple[Call, Any]]:
    """Each call, and `function(*call)`, in the order of the calls.

    A core makes one call at a time, and a few more than there are cores are under way. One whose worker dies is made
    again.

    Args:
        ray: as `connected` gives it.
        function: what workers call; each must be able to import its module.
        calls: its arguments.
        known: the result of a call that need not be made, or None.

    Raises:
        UserError: a call's, or its worker died several times.
    """
    task = ray.remote(num_cpus=1, max_retries=RETRIES)(function)
    most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting: deque[tuple[Call, Any, Any]] = deque()
    try:
        for call in calls:
            result = known(call)
            waiting.append((call, result, None if result is not None else task.remote(*call)))
            if len(waiting) >= most:
                yield _first(ray, waiting)
        while waiting:
            yield _first(ray, waiting)
    finally:
        for _, _, reference in waiting:
            if reference is not None:
                ray.cancel(reference, force=True)


def _first(ray: Any, waiting: deque[tuple[Call, Any, Any]]) -> tuple[Call, Any]:
    call, result, reference = waiting[0]
    if reference is not None:
        try:
            result = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise (error.cause or error) from None
        except ray.exceptions.RayError as error:
            raise UserError(f"Ray: {_first_line(error)}") from error
    waiting.popleft()
    return call, result


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _check_answers(address: str) -> None:
    """Refuse at once an address where nobody answers; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise UserError(f"no Ray cluster at {address}: {error}") from error
