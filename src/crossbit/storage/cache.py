"""The user's cache folder: what can be made again, and may be removed at any time."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """`$CROSSBIT_CACHE`, else `crossbit` in the user's cache folder; it need not exist, nor be writable."""
    own = os.environ.get("CROSSBIT_CACHE")
    return Path(own) if own else platformdirs.user_cache_path("crossbit", appauthor=False)
