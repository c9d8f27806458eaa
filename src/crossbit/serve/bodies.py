"""Bodies of requests, read whole before anything is done with them: bounded in bytes, in time, and all together."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crossbit.serve.replies import Refused, refusal
from crossbit.serve.settings import Settings
from crossbit.serve.work import AGAIN

TOGETHER = 8  # bodies of the largest size that are held at the same time
PLAIN = 1_000_000  # bytes of a body that is no form with a picture
LINGER = 5.0  # seconds that what is sent to no purpose is thrown away: who sends it reads the answer afterwards


class Gone(Exception):
    """The connection ended before the body did."""


class Bodies:
    """Middleware: gives a request with its whole body, or refuses it."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.held = 0  # bytes, of all requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        body, incoming = bytearray(), _until_its_end(receive)
        try:
            await self._read(scope, incoming, body)
        except Refused as error:
            self._forget(body)
            return await refuse(error, scope, incoming, send)
        except Gone:  # half of a body is not worked on
            return self._forget(body)
        try:
            await self.app(scope, _given(bytes(body), receive), send)
        finally:
            self._forget(body)

    def _forget(self, body: bytearray) -> None:
        self.held -= len(body)
        body.clear()

    async def _read(self, scope: Scope, receive: Receive, body: bytearray) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        most = self._most(headers)
        if (told := headers.get(b"content-length", b"0")).isdigit() and int(told) > most:
            raise _too_large(most)
        try:
            async with asyncio.timeout(self.settings.request_seconds):
                while await self._part(receive, body, most):
                    pass
        except TimeoutError:
            seconds = f"{self.settings.request_seconds:g} s"
            raise Refused(408, f"the body did not arrive within {seconds}; send less, or faster") from None

    async def _part(self, receive: Receive, body: bytearray, most: int) -> bool:
        """Read a part of the body; whether there is more."""
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        part = message.get("body", b"")
        if len(body) + len(part) > most:
            raise _too_large(most)
        if self.held + len(part) > TOGETHER * self.settings.max_body:
            raise Refused(429, "too much is being sent at the same time; send it again in a second", AGAIN)
        body += part
        self.held += len(part)
        return bool(message.get("more_body"))

    def _most(self, headers: dict[bytes, bytes]) -> int:
        with_picture = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        return self.settings.max_body if with_picture else min(PLAIN, self.settings.max_body)


async def refuse(error: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request whose body is not read, and end its connection; what still comes is thrown away for a while."""

    async def lingering(message: Message) -> None:
        ends = message["type"] == "http.response.body"
        await send({**message, "more_body": True} if ends else message)
        if ends:
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    while (await receive()).get("more_body"):
                        pass
            await send({"type": "http.response.body", "body": b""})

    response = refusal(error)
    if not _has_body(scope):
        return await response(scope, receive, send)
    response.headers["Connection"] = "close"
    await response(scope, receive, lingering)


def _until_its_end(receive: Receive) -> Receive:
    """What gives the parts of a body, and nothing after the last: to wait for more would be in vain."""
    is_whole = False

    async def take() -> Message:
        nonlocal is_whole
        if is_whole:
            return {"type": "http.disconnect"}
        message = await receive()
        is_whole = not message.get("more_body")
        return message

    return take


def _has_body(scope: Scope) -> bool:
    told = {name.lower(): value for name, value in scope["headers"]}
    return b"transfer-encoding" in told or told.get(b"content-length", b"0") != b"0"


def _too_large(most: int) -> Refused:
    return Refused(413, f"more than {most:,} bytes were sent; send less, or a smaller picture")


def _given(body: bytes, receive: Receive) -> Receive:
    """What gives the body, and afterwards what comes of the connection."""
    waiting = [body]

    async def give() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return give
