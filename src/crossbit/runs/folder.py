"""The files of a run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crossbit.errors import UserError
from crossbit.storage.files import read_json, writing

FORMAT = 2


def write_history(folder: Path, history: list[dict[str, Any]]) -> None:
    """history.jsonl: a line per epoch."""
    with writing(folder / "history.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in history), encoding="utf-8")


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a run folder, its format checked."""
    if not folder.is_dir():
        raise UserError(f"no run folder at {folder}; make one with: crossbit train DATA --out {folder}")
    if not (folder / "config.json").exists():
        raise UserError(f"{folder} is not a run folder: it has no config.json")
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        version = config.get("format") if isinstance(config, dict) else None
        raise UserError(
            f"run folder {folder} has format {version!r}, this crossbit reads format {FORMAT}; train it again, or "
            "use the version that made it"
        )
    return config
