"""`/api/audit`: the queue of labels that look wrong, decisions about them, and the user's table with these."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.security import HTTPBearer
from starlette.responses import Response

from crossbit.audit.queue import AuditQueue, Choice
from crossbit.errors import UserError
from crossbit.serve import forms
from crossbit.serve.asked import id_of
from crossbit.serve.audit_forms import LARGEST, AuditView, DecisionAsked, DecisionsAsked, QueueRow
from crossbit.serve.audited import Audited
from crossbit.serve.item_routes import Id, held_item, pictures_reply
from crossbit.serve.pictures import whole
from crossbit.serve.replies import Refused, json_reply, tagged
from crossbit.serve.state import State
from crossbit.serve.tokens import check_decider
from crossbit.storage.thumbnails import thumbnail

KINDS = {
    ".csv": "text/csv; charset=utf-8",
    ".tsv": "text/tab-separated-values; charset=utf-8",
    ".jsonl": "application/jsonl",
    ".parquet": "application/vnd.apache.parquet",
}
Row = Annotated[int, Path(ge=0, lt=LARGEST)]
Known = Annotated[str | None, Header()]
Top = Annotated[int, Query(ge=0, le=1000)]
Label = Annotated[str | None, Query(max_length=forms.LONGEST_NAME)]


def router(state: State) -> APIRouter:
    """The queue of labels that look wrong."""
    routes = APIRouter(prefix="/api/audit", responses=forms.ERRORS)
    audited = Audited(state.run)

    async def may_decide(request: Request) -> None:
        check_decider(request, state)

    @routes.get("", responses={200: {"model": AuditView}})
    async def view(top: Top = 50, label: Label = None, order: Literal["gain", "evidence"] = "gain") -> Response:
        """The first rows of the queue, or the rows of one class."""
        return json_reply(await state.auditing.do(audited.use, lambda queue: seen(queue, top, label, order)))

    @routes.get("/rows/{row}", responses={200: {"model": QueueRow}})
    async def one(row: Row) -> Response:
        """All that is said of one row."""
        return json_reply(
            await state.auditing.do(audited.use, lambda queue: with_addresses(queue, [queue.row(row)])[0])
        )

    @routes.get("/items/{id}", responses={200: {"model": QueueRow}})
    async def of_item(id: Id) -> Response:
        """All that is said of the row that an item of the index was made of."""
        item = await state.work.do(held_item, state, id_of(id))
        return json_reply(await state.auditing.do(audited.use, lambda queue: row_of(queue, item)))

    @routes.get("/rows/{row}/picture", response_class=Response, responses=pictures_reply("image/png", "image/jpeg"))
    async def picture(row: Row, if_none_match: Known = None) -> Response:
        """The picture of a row, whole."""
        content, kind = await state.drawing.do(lambda: whole(picture_of(audited, row)))
        return tagged(content, kind, if_none_match)

    @routes.get("/rows/{row}/thumbnail", response_class=Response, responses=pictures_reply("image/webp"))
    async def small(row: Row, if_none_match: Known = None) -> Response:
        """The picture of a row, 192 pixels at most."""
        make = lambda: thumbnail(picture_of(audited, row))  # noqa: E731
        content = await state.drawing.do(lambda: state.thumbnails.of((audited.stamp, row), make))
        return tagged(content, "image/webp", if_none_match)

    needed = [Depends(may_decide), Depends(HTTPBearer(auto_error=False))]
    answers: dict[int | str, dict[str, Any]] = {200: {"model": AuditView}, **forms.NEEDS_TOKEN}

    @routes.post("/decisions", dependencies=needed, responses=answers)
    async def decide(asked: DecisionsAsked) -> Response:
        """Decide about rows, all at once, or undo the last decision; what is answered is on the disk."""
        return json_reply(await state.auditing.do(audited.use, lambda queue: decided(queue, asked)))

    table = {"schema": {"type": "string", "format": "binary"}}
    lines: dict[int | str, dict[str, Any]] = {200: {"content": {KINDS[".jsonl"]: table}}}

    @routes.get("/decisions", response_class=Response, responses=lines)
    async def log() -> Response:
        """All decisions, a line of JSON each, also those that kept the labels or were undone."""
        content = await state.auditing.do(audited.use, lambda queue: queue.log.content())
        headers = {"Content-Disposition": 'attachment; filename="decisions.jsonl"', "Cache-Control": "no-store"}
        return Response(content, 200, headers, KINDS[".jsonl"])

    whole_table: dict[int | str, dict[str, Any]] = {200: {"content": dict.fromkeys(KINDS.values(), table)}}

    @routes.get("/export", response_class=Response, responses=whole_table)
    async def export() -> Response:
        """The labels with all decisions, in the form of the data's own table."""
        content, ending = await state.auditing.do(audited.use, exported)
        headers = {"Content-Disposition": f'attachment; filename="labels{ending}"', "Cache-Control": "no-store"}
        return Response(content, 200, headers, KINDS[ending])

    return routes


def seen(queue: AuditQueue, top: int, label: str | None, order: str = "gain") -> dict[str, Any]:
    """A view of the queue with the addresses of its pictures."""
    view = queue.view(top, label or None, order)
    view["queue"] = with_addresses(queue, view["queue"])
    folder = queue.seen.folder
    view |= {"run": folder.resolve().name, "writable": os.access(folder, os.W_OK)}
    return view | {"version": queue.log.size}


def row_of(queue: AuditQueue, item: Mapping[str, Any]) -> dict[str, Any]:
    """All that is said of the row with an item's picture; the item's own row number where the data have no files.

    Raises:
        Refused: 404, it is no labelled training row.
    """
    paths, path = queue.seen.data.path, item.get("path")
    rows = [item.get("row")] if paths is None or path is None else np.flatnonzero(paths == path).tolist()
    for row in rows:
        if row is not None and queue.judges(int(row)):
            return with_addresses(queue, [queue.row(int(row))])[0]
    raise Refused(404, "no label of this item is judged: it was not trained on, or has no label")


def with_addresses(queue: AuditQueue, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the addresses of their pictures in the place of their paths."""

    def addresses(row: int) -> dict[str, str | None]:
        at = f"/api/audit/rows/{row}" if queue.has_pictures else None
        return {name: at and f"{at}/{name}" for name in ("picture", "thumbnail")}

    found = []
    for row in rows:
        told = {name: value for name, value in row.items() if name != "path"} | addresses(row["row"])
        near = [one | {"thumbnail": addresses(one["row"])["thumbnail"]} for one in row.get("neighbours", ())]
        found.append(told | ({"neighbours": near} if "neighbours" in row else {}))
    return found


def decided(queue: AuditQueue, asked: DecisionsAsked) -> dict[str, Any]:
    """The view after a decision, or after the undoing of the last."""
    if asked.undo and asked.decisions:
        raise UserError("decisions and undo came together; send one of them")
    if asked.undo:
        queue.undo(asked.version)
    else:
        queue.decide([_choice(one) for one in asked.decisions])
    return seen(queue, asked.top, asked.label)


def _choice(one: DecisionAsked) -> Choice:
    saw = None if one.given is None else (one.given, one.settled)
    return Choice(one.row, one.kind, one.labels, one.about, one.new, saw)


def picture_of(audited: Audited, row: int) -> Any:
    """A row's picture, as `read_picture` takes it."""
    held = audited.use(lambda queue: queue.picture(row))
    if held is None:
        raise Refused(404, "this row has no picture")
    return held


def exported(queue: AuditQueue) -> tuple[bytes, str]:
    """The table of the labels of now, and its ending."""
    with tempfile.TemporaryDirectory(prefix="crossbit-export-") as folder:
        target = FilePath(folder) / f"labels{queue.ending}"
        queue.export(target)
        return target.read_bytes(), queue.ending
