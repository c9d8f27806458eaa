"""The forms of questions and answers about the audit, as `/openapi.json` tells them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from crossbit.serve.forms import LONGEST_NAME

MOST = 5_000  # rows of one decision
MOST_LABELS = 1_000
LARGEST = 2**53  # whole numbers that every reader of JSON takes
Name = Annotated[str, Field(max_length=LONGEST_NAME)]


class DecisionAsked(BaseModel):
    """About one row: the proposal is accepted or the labels are kept (with `labels`: if they are still these), or they
    are others; `about` one label alone. Labels that the data do not have are named in `new`, too.
    `given` and `settled` are as they were seen: nothing is decided where they have changed."""

    model_config = ConfigDict(extra="forbid", strict=True)
    row: Annotated[int, Field(ge=0, lt=LARGEST)]
    kind: Literal["accept", "keep", "other"]
    labels: Annotated[list[Name], Field(max_length=MOST_LABELS)] = []
    about: Name | None = None
    new: Annotated[list[Name], Field(max_length=MOST_LABELS)] = []
    given: Annotated[list[Name], Field(max_length=MOST_LABELS)] | None = None
    settled: bool = False


class DecisionsAsked(BaseModel):
    """Decisions that are made at once, or the undoing of the last: with `version` only of the last that was seen."""

    model_config = ConfigDict(extra="forbid", strict=True)
    decisions: Annotated[list[DecisionAsked], Field(max_length=MOST)] = []
    undo: bool = False
    version: Annotated[int, Field(ge=0, lt=LARGEST)] | None = None
    top: Annotated[int, Field(ge=0, le=1000)] = 50
    label: Name | None = None


class Neighbour(BaseModel):
    """A row that weighs much in what is predicted for another one."""

    row: int
    name: str
    labels: list[str]
    weight: float
    thumbnail: str | None


class AuditRow(BaseModel):
    """A row; `p` is the probability that its labels are wrong, or that its change about the class that was asked for
    is right."""

    row: int
    caption: str | None
    picture: str | None
    thumbnail: str | None
    given: list[str]
    proposed: list[str]
    p: float


class QueueRow(AuditRow):
    """A row of the queue; `alike` are the rows that show the same thing and are decided with it; `settled` says whether
    a person has decided about all its labels."""

    settled: bool
    gain: float
    reason: str
    wrong: list[tuple[str, float]]
    missing: list[tuple[str, float]]
    family: int
    alike: list[int]
    neighbours: list[Neighbour]


class ClassRow(AuditRow):
    """A row that is looked at for one label: whether it has it, whether that is its only one, and whether it is
    decided."""

    has: bool
    alone: bool
    settled: bool


class AuditClass(BaseModel):
    """A label: how many rows have it, and how many of them should not, or should have it and do not."""

    label: str
    given: int
    wrong: float
    missing: float


class AuditRange(BaseModel):
    """Changes of one label that are sure: rows that have it and should not, or that lack it."""

    label: str
    has: bool
    rows: list[int]
    right: float


class Trust(BaseModel):
    """Of the proposals that were sure how many were decided about, and how many accepted."""

    above: float
    asked: int
    right: int


class AuditView(BaseModel):
    """How far the work is, the classes, and the first rows."""

    run: str
    words: list[str]
    rate: float
    wrong_left: float
    decided: int
    settled: int
    rows: int
    can_undo: bool
    version: int
    single: bool
    names: list[str]
    new: list[str]
    classes: list[AuditClass]
    ranges: list[AuditRange]
    trust: Trust
    queue: list[QueueRow | ClassRow]
    in_all: int
    writable: bool
