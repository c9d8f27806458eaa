"""`/api/search` and `/api/columns`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, UploadFile
from starlette.responses import Response

from crossbit.errors import unknown
from crossbit.serve import forms
from crossbit.serve.asked import Asked, searched
from crossbit.serve.columns import column_with
from crossbit.serve.replies import json_reply
from crossbit.serve.state import State

Ids = Annotated[str, Query(pattern=forms.ID)]


def router(state: State) -> APIRouter:
    """Search by words, by a picture, by both, or by an item."""
    routes = APIRouter(prefix="/api", responses=forms.ERRORS)

    async def answered(asked: Asked) -> Response:
        return json_reply(await state.work.do(searched, state, asked))

    @routes.get("/search", responses={200: {"model": forms.Results}})
    async def search(
        q: Annotated[str | None, Query(max_length=forms.LONGEST)] = None,
        k: Annotated[int, Query(ge=1)] = 10,
        where: Annotated[str | None, Query(max_length=forms.LONGEST_FILTER)] = None,
        modality: Annotated[str | None, Query(max_length=forms.LONGEST_NAME)] = None,
        item: Ids | None = None,
        by: Annotated[str | None, Query(max_length=forms.LONGEST_NAME)] = None,
        not_this: Annotated[list[Ids], Query(alias="not", max_length=forms.MOST_UNLIKE)] = [],  # noqa: B006
    ) -> Response:
        """Find items by words, or what is like an item."""
        return await answered(Asked(q, None, item, k, where, modality, by, tuple(not_this)))

    @routes.post("/search", responses={200: {"model": forms.Results}})
    async def search_picture(
        q: Annotated[str | None, Form(max_length=forms.LONGEST)] = None,
        picture: Annotated[UploadFile | None, File()] = None,
        k: Annotated[int, Form(ge=1)] = 10,
        where: Annotated[str | None, Form(max_length=forms.LONGEST_FILTER)] = None,
        modality: Annotated[str | None, Form(max_length=forms.LONGEST_NAME)] = None,
        item: Annotated[str | None, Form(pattern=forms.ID)] = None,
        by: Annotated[str | None, Form(max_length=forms.LONGEST_NAME)] = None,
        not_this: Annotated[list[Ids], Form(alias="not", max_length=forms.MOST_UNLIKE)] = [],  # noqa: B006
    ) -> Response:
        """Find items by a picture, by words and a picture, or what is like an item."""
        content = await picture.read() if picture is not None else None
        return await answered(Asked(q, content, item, k, where, modality, by, tuple(not_this)))

    @routes.get("/columns", responses={200: {"model": forms.Columns}})
    async def columns() -> Response:
        """The columns that a filter may use, with their most frequent values."""
        return json_reply({"columns": await state.work.do(_columns, state)})

    @routes.get("/columns/values", responses={200: {"model": forms.Column}})
    async def values(
        column: Annotated[str, Query(max_length=forms.LONGEST_NAME)],
        part: Annotated[str, Query(max_length=forms.LONGEST_NAME)] = "",
    ) -> Response:
        """A column with its values that hold a text: first what begins with it, then the most frequent."""
        return json_reply(await state.work.do(_values, state, column, part))

    return routes


def _columns(state: State) -> list[dict[str, object]]:
    with state.generations.use() as generation:
        return generation.columns


def _values(state: State, column: str, part: str) -> dict[str, Any]:
    with state.generations.use() as generation:
        known = {str(one["name"]): one for one in generation.columns}
        if column not in known:
            raise unknown("column", column, known)
        return column_with(generation.search, known[column], part, 1000 * state.settings.request_seconds)
