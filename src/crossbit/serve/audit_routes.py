"""`/api/audit`."""

from __future__ import annotations

from fastapi import APIRouter

from crossbit.serve.state import State


def router(state: State) -> APIRouter:
    """The queue of labels that look wrong."""
    return APIRouter(prefix="/api/audit")
