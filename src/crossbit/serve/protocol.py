"""Connections that may be slow, but not for long, and not many at the same time."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def patient_for(seconds: float, connections: int) -> type[H11Protocol]:
    """A protocol of uvicorn that closes a connection whose request's head has not arrived after some seconds, and
    opens no more than so many."""

    class Patient(H11Protocol):
        """Uvicorn's own protocol, with these two limits."""

        waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            """See asyncio."""
            super().connection_made(transport)
            if len(self.connections) > connections:
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
            self.waiting = self.loop.call_later(seconds, self.transport.close)

        def _wait_no_more(self) -> None:
            if self.waiting is not None:
                self.waiting.cancel()
                self.waiting = None

    return Patient
