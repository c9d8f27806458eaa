"""Single items that come and go: changes of an index that are there for good afterwards, or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.index import Index, open_index
from crossbit.index.local import LocalIndex
from crossbit.model import Model
from crossbit.search.build import encoder_of, index_path
from crossbit.search.captions import write_captions
from crossbit.storage.addresses import is_address, shown
from crossbit.storage.exchange import alone_with, copy_beside, take_place


@dataclass(frozen=True)
class Encoded:
    """An item to be added.

    Attributes:
        embeddings: by modality, real (width,), as `Model.ordering` gives them; of every modality of the model.
        item: what the index remembers of it.
        digest: of the model that encoded it.
    """

    embeddings: Mapping[str, np.ndarray]
    item: Mapping[str, Any]
    digest: str


class OtherModel(UserError):
    """An item that was encoded by another model than the index."""


def change(model: Model, uri: str | os.PathLike[str], changes: Mapping[int, Encoded | None]) -> None:
    """Add items under their ids, in place of those that are there, and remove those that are None.

    A copy of the index is changed and takes its place in one step, so a process that is killed leaves the old index or
    the new one. Those that read it go on with the old one. On a server the modalities change one after the other.

    Args:
        model: the one that encoded what is there.
        uri: the folder or the address that `index_data` was given.
        changes: by id.

    Raises:
        UserError: another process changes the index; it is another model's; a value of another type than its column's.
        OtherModel: what is added was encoded by another model; nothing is changed.
    """
    if any(new is not None and new.digest != model.digest for new in changes.values()):
        raise OtherModel(
            f"{shown(os.fspath(uri))} belongs to another model than the one that encoded what is added; encode it again"
        )
    added = {id_: new for id_, new in changes.items() if new is not None}
    removed = [id_ for id_, new in changes.items() if new is None]
    if is_address(uri):
        return _change(model, uri, added, removed)
    folder = Path(uri)
    with alone_with(folder), copy_beside(folder, ".npy", ".npz") as copy:
        _change(model, copy, added, removed)
        take_place(copy, folder)


def _change(model: Model, uri: str | os.PathLike[str], added: Mapping[int, Encoded], removed: Sequence[int]) -> None:
    for modality in model.modalities:
        with open_index(index_path(uri, modality), bits=model.bits, encoder=encoder_of(model)) as index:
            if removed:
                index.remove(removed, missing_ok=True)
            _add(index, modality, list(added), list(added.values()))
            if isinstance(index, LocalIndex):
                write_captions(index)
            len(index)  # on a server: what is written is seen from here on by whoever searches


def _add(index: Index, modality: str, ids: Sequence[int], new: Sequence[Encoded]) -> None:
    if new:
        embeddings = np.stack([each.embeddings[modality] for each in new])
        items = [each.item for each in new]
        index.add(ids, pack(embeddings[:, : index.bits]), items, replace=True, embeddings=embeddings)
