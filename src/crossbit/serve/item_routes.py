"""`/api/items/{id}` with its picture and thumbnail."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path
from starlette.responses import Response

from crossbit.search.results import SearchHit
from crossbit.serve import forms
from crossbit.serve.asked import id_of
from crossbit.serve.items import about, item_of
from crossbit.serve.pictures import whole, written
from crossbit.serve.replies import json_reply, tagged
from crossbit.serve.state import State
from crossbit.storage.thumbnails import thumbnail

Id = Annotated[str, Path(pattern=forms.ID)]
Known = Annotated[str | None, Header()]


def router(state: State) -> APIRouter:
    """What the index holds about an id, and its picture."""
    routes = APIRouter(prefix="/api/items", responses=forms.ERRORS)

    @routes.get("/{id}", responses={200: {"model": forms.WholeItem}})
    async def item(id: Id) -> Response:
        """An item."""
        return json_reply(await state.work.do(_told, state, id_of(id)))

    @routes.get(
        "/{id}/picture", response_class=Response, responses=pictures_reply("image/png", "image/jpeg", "image/gif")
    )
    async def picture(id: Id, if_none_match: Known = None) -> Response:
        """The picture of an item, whole."""
        content, kind = await state.drawing.do(_whole, state, id_of(id))
        return tagged(content, kind, if_none_match)

    @routes.get("/{id}/thumbnail", response_class=Response, responses=pictures_reply("image/webp"))
    async def small(id: Id, if_none_match: Known = None) -> Response:
        """The picture of an item, 192 pixels at most."""
        return tagged(await state.drawing.do(_small, state, id_of(id)), "image/webp", if_none_match)

    return routes


def pictures_reply(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """The answers of an address that gives a picture of one of these kinds."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {200: {"content": dict.fromkeys(kinds, binary)}, 304: {"description": "The asker has it."}}


def _item(state: State, id: int) -> SearchHit:
    with state.generations.use() as generation:
        return item_of(generation, id)


def held_item(state: State, id: int) -> dict[str, Any]:
    """What the index holds about an id; Refused, 404, where it holds nothing."""
    return dict(_item(state, id).item)


def _told(state: State, id: int) -> dict[str, Any]:
    item = _item(state, id)
    path = item.item.get("path")
    return {**about(item, state.pictures), "path": None if path is None else _below(str(path), state)}


def _below(path: str, state: State) -> str:
    """A path as the user's table has it: below the folder of the data, else the file's name alone."""
    data = PurePath(str(state.generations.now.search.model.config["data"]))
    for folder in (data, data.parent):
        if folder.parts and PurePath(path).is_relative_to(folder):
            return str(PurePath(path).relative_to(folder))
    return PurePath(path).name if PurePath(path).is_absolute() else path


def _whole(state: State, id: int) -> tuple[bytes, str]:
    return whole(state.pictures.of(_item(state, id).item, state.settings.request_seconds / 2))


def _small(state: State, id: int) -> bytes:
    item = _item(state, id).item
    picture = state.pictures.of(item, state.settings.request_seconds / 2)
    key = written(picture) if isinstance(picture, str) else item.get("row")
    return state.thumbnails.of(key, lambda: thumbnail(picture))
