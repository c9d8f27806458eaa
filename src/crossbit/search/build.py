"""Data encoded into an index per modality, with embeddings beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.bits import pack
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.index import open_index
from crossbit.index.embeddings import write_ids, writing_embeddings
from crossbit.model import Model
from crossbit.storage.files import check_new, writing_folder

CHUNK = 4096  # rows encoded and added at a time


def index_path(uri: str | os.PathLike[str], modality: str) -> str:
    """Where the index of one modality is.

    >>> index_path("run/index", "image")
    'run/index/image.index'
    """
    return f"{os.fspath(uri)}/{modality}.index"


def index_data(
    model: Model,
    data: PairedData,
    uri: str | os.PathLike[str],
    *,
    rows: np.ndarray | None = None,
    progress: Callable[[str], Any] = lambda line: None,
) -> dict[str, int]:
    """Encode rows of data and write an index per modality, with its embeddings, into a new folder, whole or not at all;
    ids are row numbers.

    Args:
        model: encodes; modalities that the data lacks are an error.
        data: holds what is encoded and what the items say.
        uri: the folder to make.
        rows: row numbers; the retrieval rows if None.
        progress: called with a line now and then.

    Returns:
        How many codes each modality's index holds.

    Raises:
        UserError: `uri` is there already or cannot be written; the data does not fit the model.
    """
    if "://" in str(uri):
        raise UserError(f"{uri} is an address; the index of a run is a new folder on this machine")
    target = check_new(uri)
    rows = np.sort(data.splits["retrieval"] if rows is None else rows)
    for modality in model.modalities:
        data[modality]  # an unknown one is refused before anything is encoded
    with writing_folder(target) as folder:
        write_ids(folder, rows)
        for modality in model.modalities:
            _fill(folder, model, modality, data, rows, progress)
    return {modality: len(rows) for modality in model.modalities}


def items_of(data: PairedData, rows: np.ndarray) -> dict[str, Any]:
    """What an index remembers of these rows, as columns: `row`, and as far as the data has them `caption` (its words,
    if it has no captions), `path`, and the names of its `label` or `labels`."""
    columns: dict[str, Any] = {"row": rows}
    words = next((array for name, array in data.modalities.items() if data.kind(name) == "words"), None)
    for key, strings in (("caption", words if data.caption is None else data.caption), ("path", data.path)):
        if strings is not None:
            columns[key] = strings[rows].tolist()
    if data.label is not None:
        names = data.label_names or [str(number) for number in range(data.classes)]
        if data.label.ndim == 2:
            columns["labels"] = [[names[number] for number in np.flatnonzero(one)] for one in data.label[rows]]
        else:
            columns["label"] = [names[number] for number in data.label[rows]]
    return columns


def _fill(
    folder: Path, model: Model, modality: str, data: PairedData, rows: np.ndarray, progress: Callable[[str], Any]
) -> None:
    with (
        open_index(index_path(folder, modality), bits=model.bits) as index,
        writing_embeddings(folder, modality, len(rows), model.bits) as append,
    ):
        for start in range(0, len(rows), CHUNK):
            some = rows[start : start + CHUNK]
            embeddings = model.embed(modality, data[modality][some])
            index.add(some, pack(embeddings), items=items_of(data, some))
            append(embeddings)
            progress(f"{modality}: {start + len(some):,} of {len(rows):,} encoded")
