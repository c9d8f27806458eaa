"""A service over a run: search by words and pictures, items with their pictures, and the pages that show them."""

from __future__ import annotations

from crossbit.serve.app import create_app
from crossbit.serve.server import run
from crossbit.serve.settings import Settings

__all__ = ["Settings", "create_app", "run"]
