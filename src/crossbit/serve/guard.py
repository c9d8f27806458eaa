"""The gate before all addresses: who may ask, what an answer says to browsers, and a count of what was answered."""

from __future__ import annotations

import logging
import time
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crossbit.serve.bodies import refuse
from crossbit.serve.logs import say_request
from crossbit.serve.replies import SAFE, Refused, error_reply
from crossbit.serve.settings import is_loopback
from crossbit.serve.state import State
from crossbit.serve.work import AGAIN, BUSY

READING = {"GET", "HEAD", "OPTIONS"}
log = logging.getLogger("crossbit.serve")


class Guard:
    """Middleware: refuses what may not ask, adds the headers, counts and logs each answer."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app, self.state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        start, status = time.perf_counter(), 0

        async def safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *SAFE]
            await send(message)

        self.state.metrics.in_flight.inc()
        try:
            await self._answered(scope, receive, safely)
        except Exception:  # a mistake of ours
            log.exception("a request failed")
            if not status:
                await error_reply(500, "a mistake in the service; its log says more")(scope, receive, safely)
        finally:
            self.state.metrics.in_flight.dec()
            self._count(scope, status, time.perf_counter() - start)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check(scope, self.state)
        except Refused as error:
            return await refuse(error, scope, receive, send)
        await self.app(scope, receive, send)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self.state.metrics.count(route, status, seconds)
        say_request(scope, route, status, seconds)


def check(scope: Scope, state: State) -> None:
    """Refuse a request by its head alone.

    Raises:
        Refused: 403 for another host's name, which a page elsewhere may have been given (DNS rebinding), and for a
            write that another site's page sends; 429 for a search while too many wait.
    """
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get(b"host", "")
    settings = state.settings
    if settings.is_loopback and not _known_host(host, settings.public):
        said = f"this service is reached as {settings.public or 'localhost'}, not as {host[:100]!r}"
        raise Refused(403, f"{said}; behind a proxy, start it with --public-host NAME")
    if scope["method"] not in READING:
        _check_same_site(headers, host)
    if state.work.is_full and scope["path"] == "/api/search":
        raise Refused(429, BUSY, AGAIN)


def _known_host(host: str, public: str | None) -> bool:
    name = _name(host)
    return is_loopback(name) or (public is not None and name == _name(public))


def _name(host: str) -> str:
    """A host without its port."""
    if host.startswith("["):
        return host.partition("]")[0].strip("[]")
    return host.partition(":")[0].casefold()


def _check_same_site(headers: dict[bytes, str], host: str) -> None:
    site = headers.get(b"sec-fetch-site", "none")
    origin = headers.get(b"origin")
    if site not in ("same-origin", "none") or (origin is not None and host_of(origin) != host.casefold()):
        raise Refused(403, "another site's page sent this; send it from this service's own pages, or without a browser")


def host_of(origin: str) -> str:
    """The host and port of an origin; empty for what is none.

    >>> host_of("http://localhost:8000"), host_of("null")
    ('localhost:8000', '')
    """
    try:
        return urlsplit(origin).netloc.casefold()
    except ValueError:
        return ""
