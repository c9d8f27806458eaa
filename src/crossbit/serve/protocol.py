"""Connections that may be slow, but not for long, and not many at the same time."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol


class Config(uvicorn.Config):
    """Uvicorn's, with two limits more.

    Attributes:
        head_seconds: a connection is closed whose request's head does not arrive in this time.
        connections: open at the same time, at most.
    """

    head_seconds: float
    connections: int


class Patient(H11Protocol):
    """Uvicorn's own protocol, with these two limits."""

    config: Config
    waiting: asyncio.TimerHandle | None = None

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
        super().connection_lost(exc)

    def _wait(self) -> None:
        self.waiting = self.loop.call_later(self.config.head_seconds, self.transport.close)

    def _wait_no_more(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None
