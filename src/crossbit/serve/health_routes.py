"""Whether the process lives, whether it can answer, and its figures."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from crossbit.serve.replies import ErrorReply, error_reply
from crossbit.serve.state import State


def router(state: State) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics`."""
    routes = APIRouter()

    @routes.get("/healthz", response_class=PlainTextResponse)
    async def health() -> Response:
        """The process lives."""
        return PlainTextResponse("ok\n")

    @routes.get("/readyz", response_class=PlainTextResponse, responses={503: {"model": ErrorReply}})
    async def ready() -> Response:
        """Searches are answered."""
        if state.closing:
            return error_reply(503, "the service is closing")
        return PlainTextResponse("ready\n")

    @routes.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes
