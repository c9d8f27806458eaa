"""`POST /api/items` and `DELETE /api/items/{id}`, for who has the token."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Path, Request, UploadFile
from fastapi.security import HTTPBearer
from starlette.responses import Response

from crossbit.serve import forms
from crossbit.serve.added import LONGEST_CAPTION, addition, labels_from, removal
from crossbit.serve.asked import id_of
from crossbit.serve.replies import json_reply
from crossbit.serve.state import State
from crossbit.serve.tokens import check_token


def router(state: State) -> APIRouter:
    """Add and remove items; what is answered is on the disk."""

    async def with_token(request: Request) -> None:
        check_token(request, state)

    needed = [Depends(with_token), Depends(HTTPBearer(auto_error=False))]
    errors = {**forms.ERRORS, **forms.NEEDS_TOKEN}
    routes = APIRouter(prefix="/api/items", responses=errors, dependencies=needed)

    @routes.post("", status_code=201, responses={201: {"model": forms.NewId}})
    async def add(
        picture: Annotated[UploadFile | None, File()] = None,
        caption: Annotated[str | None, Form(max_length=LONGEST_CAPTION)] = None,
        labels: Annotated[str | None, Form(max_length=forms.LONGEST_FILTER)] = None,
    ) -> Response:
        """Add an item: a picture, its caption, its labels as a JSON list."""
        content = None if picture is None else await picture.read()
        wanted = await state.work.do(addition, state, content, caption or None, labels_from(labels))
        await state.changes.do(wanted)
        return json_reply({"id": str(wanted.id)}, 201)

    @routes.delete("/{id}", status_code=204, response_class=Response)
    async def remove(id: Annotated[str, Path(pattern=forms.ID)]) -> Response:
        """Remove an item."""
        await state.changes.do(await state.work.do(removal, state, id_of(id)))
        return Response(status_code=204)

    return routes
