"""The forms of questions and answers, as `/openapi.json` tells them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from crossbit.serve.replies import ErrorReply

ID = r"^-?[0-9]{1,19}$"
LONGEST = 2_000  # characters of a query
LONGEST_FILTER = 10_000
LONGEST_NAME = 200
MOST_UNLIKE = 50
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorReply} for status in (400, 403, 404, 405, 408, 413, 415, 429, 503, 504)
}
NEEDS_TOKEN: dict[int | str, dict[str, Any]] = {401: {"model": ErrorReply}}


class Label(BaseModel):
    """A label of an item: how probable it is, where that is known, and whether it was given."""

    name: str
    p: float | None
    given: bool


class Item(BaseModel):
    """What there is of an item; `picture` and `thumbnail` are addresses."""

    id: str
    caption: str | None
    labels: list[Label]
    columns: dict[str, Any]
    picture: str | None
    thumbnail: str | None


class WholeItem(Item):
    """An item with its path as the table has it."""

    path: str | None


class Hit(Item):
    """An item that was found; `bits` is its code XOR the query's, in hex; `picture_cosine`: of its picture and the
    query's, where pictures were compared."""

    distance: int | None
    cosine: float | None
    picture_cosine: float | None
    by: list[str]
    more: int
    why: list[str]
    bits: str | None


class Results(BaseModel):
    """The hits of a search by modality, the best first."""

    query: str
    hits: dict[str, list[Hit]]
    seconds: float
    compared: int
    exact: bool
    fits: float | None
    notes: list[str]


class Value(BaseModel):
    """A value of a column, how often it occurs, and the filter that takes it."""

    value: str
    count: int
    where: str


class Column(BaseModel):
    """A column that a filter may use, and whether it has more values than these."""

    name: str
    kind: str
    values: list[Value]
    more: bool


class Columns(BaseModel):
    """All of them, labels first."""

    columns: list[Column]


class Figure(BaseModel):
    """A figure of a run, by direction, beside untrained features and chance."""

    name: str
    asks: str
    value: dict[str, float]
    floor: dict[str, float]
    chance: dict[str, float]
    protocol: str


class Run(BaseModel):
    """What there is to say of a run."""

    run: str
    method: str
    bits: int
    data: str
    figures: list[Figure]
    history: list[dict[str, Any]]
    noise: list[str]
    items: int
    modalities: list[str]
    features: dict[str, str]
    classes: list[str]


class NewId(BaseModel):
    """The id of what was added."""

    id: str
