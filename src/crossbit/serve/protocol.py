"""Connections that may be slow, but not for long, and not many at the same time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from crossbit.serve.replies import SAFE

NO_HTTP = (
    "this is no HTTP/1.1 request with an address in ASCII and a head of at most 16 kB; escape other characters as %XX"
)
SLOWEST = 1_000  # bytes a second that who reads an answer must take


class Config(uvicorn.Config):
    """Uvicorn's, with two limits more.

    Attributes:
        head_seconds: a connection is closed whose request's head does not arrive in this time, and one that takes
            fewer than `SLOWEST` bytes a second of its answer for so long.
        connections: open at the same time, at most.
    """

    head_seconds: float
    connections: int


class Patient(H11Protocol):
    """Uvicorn's own protocol, with these limits, and with errors in our form."""

    config: Config
    waiting: asyncio.TimerHandle | None = None
    sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        super().connection_made(transport)
        if len(self.connections) > self.config.connections:
            transport.close()
        self._wait()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._wait_no_more()
        elif self.waiting is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._wait_no_more()
        self._sent()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """See asyncio."""
        super().pause_writing()
        self._send_on()

    def resume_writing(self) -> None:
        """See asyncio."""
        self._sent()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, as all errors are answered."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer has begun, and none can follow
            return self.transport.close()
        body = json.dumps({"error": NO_HTTP}).encode()
        length = str(len(body)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length), (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=[*headers, *SAFE]),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def _send_on(self, before: float = float("inf")) -> None:
        """Look now and then whether the answer is being read."""
        left, seconds = self.transport.get_write_buffer_size(), self.config.head_seconds
        if left > before - SLOWEST * seconds:
            self.transport.abort()
        else:
            self.sending = self.loop.call_later(seconds, self._send_on, left)

    def _sent(self) -> None:
        if self.sending is not None:
            self.sending.cancel()
            self.sending = None

    def _wait(self) -> None:
        self.waiting = self.loop.call_later(self.config.head_seconds, self.transport.close)

    def _wait_no_more(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None
