"""What came through a service, made ready for an index, and written into its files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.index import open_index
from crossbit.index.local import LocalIndex
from crossbit.model import Model
from crossbit.search.build import encoder_of, index_path
from crossbit.search.captions import write_captions
from crossbit.search.journal import Encoded, Entry, Journal, folded, write_folded
from crossbit.storage.exchange import alone_with, copy_beside, take_place
from crossbit.storage.pictures import read_picture

Changes = dict[int, Encoded | None]
Note = Callable[[str], Any]


def encode(model: Model, picture: np.ndarray | None, words: str) -> dict[str, np.ndarray]:
    """The embeddings of an item by modality, float32 (width,).

    Args:
        model: encodes.
        picture: uint8 (h, w, 3); None where there is none.
        words: of its caption, or its labels.

    Raises:
        UserError: the model takes something else than a picture and words, or one of them is missing.
    """
    return {name: _embedding(model, name, picture, words) for name in model.modalities}


def ready(model: Model, journal: Journal, entries: Iterable[Entry], note: Note = lambda line: None) -> Changes:
    """What is to be done by id, of several changes of one the last; what another model encoded is encoded again.

    Args:
        model: of the index.
        journal: that holds the changes.
        entries: changes in their order.
        note: called with a line for each item that cannot be encoded again, and is left out.
    """
    changes: Changes = {entry.id: entry.new for entry in entries}
    for id_, new in list(changes.items()):
        if new is not None and new.digest != model.digest:
            try:
                changes[id_] = _again(model, journal.folder.parent, new)
            except UserError as error:
                note(f"item {id_}, which came through the service, is left out: {error}")
                del changes[id_]
    return changes


def fold(model: Model, uri: str | os.PathLike[str], note: Note = lambda line: None) -> int:
    """Write what came through the service into the index, which takes its new state in one step: a process that is
    killed leaves the old one or the new one.

    Args:
        model: the one that encoded what is there.
        uri: the folder that `index_data` made.
        note: see `ready`.

    Returns:
        How many changes there were.

    Raises:
        UserError: another process changes the index; it is another model's.
    """
    folder = Path(uri)
    journal = Journal(folder)
    if not journal.after(folded(folder)):
        return 0
    with alone_with(folder), copy_beside(folder, ".npy", ".npz") as copy:
        many, n = fold_into(model, copy, journal, note)
        take_place(copy, folder)
    journal.shorten(n)
    return many


def fold_into(model: Model, copy: Path, journal: Journal, note: Note = lambda line: None) -> tuple[int, int]:
    """Write changes into a copy of an index, that is not searched yet; how many there were, and the last one's number.

    `journal.shorten` is for the caller, once the copy is in its place.
    """
    entries = journal.after(done := folded(copy))
    if not entries:
        return 0, done
    changes = ready(model, journal, entries, note)
    write_changes(model, copy, changes)
    write_folded(copy, entries[-1].n)
    return len(changes), entries[-1].n


def write_changes(model: Model, uri: str | os.PathLike[str], changes: Changes) -> None:
    """Add items under their ids, in place of those that are there, and remove those that are None; one modality after
    the other.

    Args:
        model: the one that encoded what is there, and what is added.
        uri: a folder that is not searched yet, or an address.
        changes: by id.

    Raises:
        UserError: it is another model's index; a value of another type than its column's.
    """
    removed = [id_ for id_, new in changes.items() if new is None]
    added = {id_: new for id_, new in changes.items() if new is not None}
    for modality in model.modalities:
        with open_index(index_path(uri, modality), bits=model.bits, encoder=encoder_of(model)) as index:
            if removed:
                index.remove(removed, missing_ok=True)
            if added:
                embeddings = np.stack([each.embeddings[modality] for each in added.values()])
                items = [each.item for each in added.values()]
                codes = pack(embeddings[:, : index.bits])
                index.add(list(added), codes, items, replace=True, embeddings=embeddings)
            if isinstance(index, LocalIndex):
                write_captions(index)
                index.prepare()
            len(index)  # on a server: what is written is seen from here on by whoever searches


def _again(model: Model, run: Path, new: Encoded) -> Encoded:
    path = new.item.get("path")
    picture = None if path is None else read_picture(str(run / str(path)))
    words = new.item.get("caption") or " ".join(new.item.get("labels") or [new.item.get("label") or ""])
    return Encoded(encode(model, picture, str(words)), new.item, model.digest)


def _embedding(model: Model, modality: str, picture: np.ndarray | None, words: str) -> np.ndarray:
    reads = model.featurisers[modality].reads
    if reads == "vectors":
        raise UserError(f"this model takes vectors as {modality}, which cannot be sent; use crossbit add")
    if reads == "pictures":
        if picture is None:
            raise UserError("picture is missing; send a picture file")
        return np.asarray(model.ordering(modality, [picture])[0])
    if not words.strip():
        raise UserError("caption is missing; send words that say what the picture shows")
    return np.asarray(model.ordering(modality, [words])[0])
