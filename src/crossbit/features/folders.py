"""Models in folders, as transformers and open_clip write them; a hub's name stands for the folder it was fetched to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from crossbit.errors import UserError
from crossbit.storage.packages import optional

INSTALL = '"crossbit[pretrained]"'
NAMED = "a folder or a hub's name"
SETTINGS = (".json", ".txt", ".model")
HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def folder_of(what: str, argument: str, *, fetch: bool = False) -> Path:
    """The folder of a model; a folder is never looked for in the network.

    Args:
        what: asks for it, for the error: "features clip".
        argument: a folder, or a model's name on the hub of Hugging Face, such as "openai/clip-vit-base-patch32".
        fetch: whether what is named may be fetched, where it was not before.

    Raises:
        UserError: it is not there.
    """
    folder = Path(argument).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.exists() or not HUB_NAME.fullmatch(argument):
        raise UserError(f"{what}: there is no folder {argument}; give the folder of a model, or its name on a hub")
    hub: Any = optional("huggingface_hub", what, INSTALL)
    patterns = [f"*{suffix}" for suffix in (*SETTINGS, ".safetensors", "pytorch_model*.bin")]
    for offline in (True, False) if fetch else (True,):
        try:
            return Path(hub.snapshot_download(argument, local_files_only=offline, allow_patterns=patterns))
        except Exception as error:  # no such name, no network, no right: many kinds
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise UserError(f"{what}: {argument} is neither a folder here nor to be had from the hub: {why}")


def model_files(folder: Path) -> list[Path]:
    """The files of a folder that decide what its model computes.

    Raises:
        UserError: there are no weights.
    """
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".")]
    weights = [file for file in files if file.suffix == ".safetensors"]
    weights = weights or [file for file in files if file.suffix == ".bin"]
    if not weights:
        raise UserError(f"{folder} holds no weights; give a model's folder, with .safetensors or .bin in it")
    return weights + [file for file in files if file.suffix in SETTINGS]


def transformers_for(what: str) -> Any:
    """The package transformers, which draws no bars of its own from now on; UserError where it is absent."""
    module: Any = optional("transformers", what, INSTALL)
    module.utils.logging.disable_progress_bar()
    return module
