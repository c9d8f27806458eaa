"""Models in folders and on the hub of Hugging Face, by the names that its users know."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossbit.errors import UserError
from crossbit.model.card import card_of, portable, write_card
from crossbit.runs.folder import EXPORT, RunFolder
from crossbit.storage.files import read_json, write_json, writing_folder
from crossbit.storage.packages import optional

if TYPE_CHECKING:
    from crossbit.model.model import Model

WHAT, INSTALL = "models on a hub", '"crossbit[hub]"'
NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
COMMIT = re.compile(r"[0-9a-f]{40}")
FILES = ["*.json", "*.jsonl", "*.safetensors", "*.npz", "*.md"]  # of a model; nothing else is fetched


def save_with_card(model: Model, path: str | os.PathLike[str]) -> None:
    """As `Model.save_pretrained`."""
    with writing_folder(path) as made:
        folder = RunFolder(made)
        write_json(folder.config_file, portable(model.config))
        model.write_into(folder)
        write_card(_card(model), folder)


def fetched(name: str | os.PathLike[str], revision: str | None) -> Path:
    """The folder of a model; errors as `Model.from_pretrained`."""
    folder = Path(name)
    if folder.is_dir():
        if revision is not None:
            raise UserError(f"{folder} is a folder here, which has no revision; leave revision={revision!r} out")
        return folder
    if folder.exists() or not NAME.fullmatch(str(name)):
        raise UserError(
            f"there is no folder {name}; give a model's folder, or a name on the hub such as somebody/glyphs"
        )
    if revision is None or not COMMIT.fullmatch(revision):
        right = "give the commit, 40 hexadecimal characters, that push_to_hub returned or the hub shows"
        raise UserError(f"{name} on the hub needs a fixed revision, got {revision!r}; {right}")
    hub: Any = optional("huggingface_hub", WHAT, INSTALL)
    try:
        return Path(hub.HfApi().snapshot_download(str(name), revision=revision, allow_patterns=FILES))
    except Exception as error:  # no such name, no network, no right: many kinds
        raise UserError(f"{name} cannot be had from the hub: {_first_line(error)}") from error


def pushed(model: Model, name: str, private: bool, message: str) -> str:
    """As `Model.push_to_hub`."""
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name on the hub; give one such as somebody/glyphs")
    hub: Any = optional("huggingface_hub", WHAT, INSTALL)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "model")
        save_with_card(model, folder)
        api = hub.HfApi()
        try:
            api.create_repo(name, private=private, exist_ok=True)
            return str(api.upload_folder(repo_id=name, folder_path=folder, commit_message=message).oid)
        except Exception as error:  # no token, no network, no right: many kinds
            raise UserError(f"{name} cannot be put on the hub: {_first_line(error)}") from error


def _card(model: Model) -> dict[str, Any]:
    """The card of a model; that of an exported one, but for its index."""
    if model.folder is None or not model.folder.is_export:
        return card_of(model, model.folder)
    card: dict[str, Any] = read_json(model.folder.card_file)
    card[EXPORT] = {name: value for name, value in card[EXPORT].items() if name not in ("codes", "index")}
    return card


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
