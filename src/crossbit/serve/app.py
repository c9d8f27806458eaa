"""The application: all addresses, behind the gate and the limits."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from crossbit import __version__
from crossbit.errors import UserError
from crossbit.index.milvus.calls import Lost
from crossbit.runs.folder import RunFolder
from crossbit.serve import (
    change_routes,
    health_routes,
    item_routes,
    page_routes,
    run_routes,
    search_routes,
)
from crossbit.serve.bodies import Bodies
from crossbit.serve.guard import Guard
from crossbit.serve.replies import Refused, error_reply, refusal
from crossbit.serve.settings import Settings
from crossbit.serve.snapshots import PREFIX
from crossbit.serve.state import State
from crossbit.serve.work import AGAIN

ROUTERS = (search_routes, item_routes, change_routes, run_routes, health_routes)


def create_app(run: str | os.PathLike[str], settings: Settings | None = None) -> FastAPI:
    """A service over a run and its index.

    Args:
        run: the run's folder.
        settings: its limits, and who may write.

    Returns:
        An ASGI application; `app.state.served` is what its addresses share.

    Raises:
        UserError: no run or no index there.
    """
    state = State(RunFolder(Path(run).absolute()), settings or Settings())

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(state.watch())
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        state.close()

    app = FastAPI(
        title="crossbit", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=life
    )
    app.state.served = state
    for module in ROUTERS:
        app.include_router(module.router(state))
    if not state.run.is_export:  # which has no labels to mend
        from crossbit.serve import audit_routes  # here: it imports PyTorch

        app.include_router(audit_routes.router(state))
    app.include_router(page_routes.router())
    _answer_errors(app, state.run)
    app.add_middleware(Bodies, settings=state.settings)
    app.add_middleware(Guard, state=state)
    _without_422(app)
    return app


def _answer_errors(app: FastAPI, run: RunFolder) -> None:
    places = re.compile(rf"{re.escape(str(run))}(/{re.escape(PREFIX)}\w+/\d+|/index)?|milvus://\S+\w|Milvus at \S+\w")

    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, Lost):
            return error_reply(503, "the server of the index does not answer; try again later", AGAIN)
        if isinstance(error, UserError):
            return error_reply(400, places.sub("the index", str(error)))  # no path of this machine is told
        return refusal(error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return error_reply(400, said_of(error.errors()))

    async def plain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return error_reply(error.status_code, SAID.get(error.status_code, str(error.detail)), error.headers)

    answers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        Refused: refused,
        UserError: refused,
        RequestValidationError: invalid,
        HTTPException: plain,
    }
    for kind, answer in answers.items():
        app.add_exception_handler(kind, answer)


SAID = {
    404: "there is nothing at this address; /openapi.json lists what there is",
    405: "this address does not take this method; /openapi.json says which it takes",
}


def said_of(errors: Any) -> str:
    """What is wrong with the first field of a request that is wrong, in a line.

    >>> said_of([{"loc": ("query", "k"), "msg": "Input should be a valid integer", "input": "x"}])
    "k is 'x': input should be a valid integer"
    """
    first = errors[0]
    name = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    message = first["msg"][:1].lower() + first["msg"][1:]
    if first.get("type") == "missing":
        return f"{name} is missing; send it"
    return f"{name} is {str(first.get('input'))[:60]!r}: {message}"


def _without_422(app: FastAPI) -> None:
    """Let `/openapi.json` say nothing of 422, which FastAPI adds and this service never sends."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        schema = made()
        for path in schema["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
