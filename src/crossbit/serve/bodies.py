"""Bodies of requests, read whole before anything is done with them: bounded in bytes, in time, and all together."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crossbit.serve.replies import Refused, refusal
from crossbit.serve.settings import Settings
from crossbit.serve.work import AGAIN

TOGETHER = 8  # bodies of the largest size that are held at the same time
PLAIN = 1_000_000  # bytes of a body that is no form with a picture


class Bodies:
    """Middleware: gives a request with its whole body, or refuses it."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.held = 0  # bytes, of all requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        body = bytearray()
        try:
            await self._read(scope, receive, body)
            await self.app(scope, _given(bytes(body), receive), send)
        except Refused as error:
            response = refusal(error)
            response.headers["Connection"] = "close"  # what else comes of the body is not read
            await response(scope, receive, send)
        finally:
            self.held -= len(body)

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
        part = message.get("body", b"")
        if len(body) + len(part) > most:
            raise _too_large(most)
        if self.held + len(part) > TOGETHER * self.settings.max_body:
            raise Refused(429, "too much is being sent at the same time; send it again in a second", AGAIN)
        body += part
        self.held += len(part)
        return message["type"] == "http.request" and bool(message.get("more_body"))

    def _most(self, headers: dict[bytes, bytes]) -> int:
        with_picture = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        return self.settings.max_body if with_picture else min(PLAIN, self.settings.max_body)


def _too_large(most: int) -> Refused:
    return Refused(413, f"the body has more than {most:,} bytes; send less, or a smaller picture")


def _given(body: bytes, receive: Receive) -> Receive:
    """What gives the body, and afterwards what comes of the connection."""
    waiting = [body]

    async def give() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return give
