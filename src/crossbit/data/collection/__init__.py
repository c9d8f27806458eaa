"""A person's own collection: pictures with a table of captions and labels, or in folders that are classes."""

from __future__ import annotations

from crossbit.data.collection.columns import Columns
from crossbit.data.collection.look import Collection, look_through
from crossbit.data.collection.skipped import Skipped

__all__ = ["Collection", "Columns", "Skipped", "look_through"]
