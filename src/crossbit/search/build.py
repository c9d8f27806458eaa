"""Data encoded into an index per modality, with embeddings beside it; and rows that come later.

An index of data is a folder with a file per modality, `<modality>.index`, whose items say what each code stands for:
`row`, `caption`, `path`, and `label` (one class) or `labels` (several), as far as the data has them. Beside it are the
real-valued embeddings that the codes are signs of (`crossbit.index.segments`): a search finds a shortlist by Hamming
distance and orders it by cosine. The words of the captions are there, too (`crossbit.search.captions`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from crossbit.bits import pack
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.index import Index, backend_of, open_index
from crossbit.index.local import LocalIndex
from crossbit.index.milvus.calls import address_of
from crossbit.index.paths import check_path
from crossbit.model import Model
from crossbit.search.captions import write_captions
from crossbit.search.items import hashes_of, ids_of, items_of
from crossbit.storage.addresses import is_address, of_modality, shown
from crossbit.storage.exchange import alone_with
from crossbit.storage.files import check_new, writing_folder

CHUNK = 16_384  # rows encoded and added at a time; a search reads few segments sooner than many

Progress = Callable[[str], Any]


class Counts(NamedTuple):
    """What `add_data` did with the rows of one modality."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0


def index_path(uri: str | os.PathLike[str], modality: str) -> str:
    """Where the index of one modality is.

    >>> index_path("run/index", "image"), index_path("milvus://localhost/photos", "image")
    ('run/index/image.index', 'milvus://localhost/photos_image')
    """
    return of_modality(os.fspath(uri), modality) if is_address(uri) else f"{os.fspath(uri)}/{modality}.index"


def index_data(
    model: Model,
    data: PairedData,
    uri: str | os.PathLike[str],
    *,
    rows: np.ndarray | None = None,
    encoder: Mapping[str, str] | None = None,
    progress: Progress = lambda line: None,
) -> dict[str, int]:
    """Encode rows of data and write an index per modality, with its embeddings, into a new folder, whole or not at all.
    Ids are made of the data's paths, and are row numbers where it has none. What a killed process left half made beside
    the folder is removed.

    An address of a server may have some of these rows already, of a call that was ended: they are not encoded again.

    Args:
        model: encodes; modalities that the data lacks are an error.
        data: holds what is encoded and what the items say.
        uri: the folder to make, or an address.
        rows: row numbers; the retrieval rows if None.
        encoder: what the index remembers of the model, if that is not `encoder_of(model)`: where `data` holds the
            features of another model that searches.
        progress: called with a line now and then.

    Returns:
        How many codes each modality's index holds.

    Raises:
        UserError: `uri` is there already or cannot be written; another process makes it; the data does not fit the
            model.
    """
    _check_place(uri, model, data)
    rows = np.sort(data.splits["retrieval"] if rows is None else rows)
    if is_address(uri):
        for modality in model.modalities:
            _add_changed(model, modality, data, uri, rows, progress, encoder)
        return {modality: len(rows) for modality in model.modalities}
    target = check_new(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    ids, made_by = ids_of(data, rows), encoder_of(model) if encoder is None else encoder
    with alone_with(target), writing_folder(target) as folder:
        for modality in model.modalities:
            with LocalIndex(index_path(folder, modality), bits=model.bits, encoder=made_by) as index:
                for done, some, named in _chunks(rows, ids):
                    _add(index, model, modality, data, some, named)
                    progress(f"{modality}: {done:,} of {len(rows):,} encoded")
                write_captions(index)
                index.prepare()
    return {modality: len(rows) for modality in model.modalities}


def add_data(
    model: Model,
    data: PairedData,
    uri: str | os.PathLike[str],
    *,
    rows: np.ndarray | None = None,
    progress: Progress = lambda line: None,
) -> dict[str, Counts]:
    """Encode and index what is new or has changed in the rows of data, and nothing else.

    A row is known by its path. Without paths it is known by its number, and one that differs from what is indexed
    under that number is refused: it may be another thing. What was added when an error or Ctrl-C comes stays added; the
    same call goes on from there.

    Args:
        model: the one that encoded what is there.
        data: as for `index_data`.
        uri: the folder or the address that `index_data` was given.
        rows: row numbers; the retrieval rows if None.
        progress: called with a line now and then.

    Raises:
        UserError: no index there, or one of another model; the data does not fit the model; a row without a path that
            differs.
    """
    _check_place(uri, model, data)
    rows = np.sort(data.splits["retrieval"] if rows is None else rows)
    for modality in model.modalities:
        _check_there(index_path(uri, modality))
        if is_address(uri):
            open_index(index_path(uri, modality), read_only=True).close()  # no address is made by mistake
    return {modality: _add_changed(model, modality, data, uri, rows, progress) for modality in model.modalities}


def check_index(model: Model, uri: str | os.PathLike[str]) -> list[str]:
    """A line for each thing that is wrong with the indexes in a folder or at an address (see `Index.check`), or their
    being the model's; nothing is changed."""
    found, counts = [], {}
    for modality in model.modalities:
        try:
            _check_there(index_path(uri, modality))
            with open_index(index_path(uri, modality), read_only=True) as index:
                found += index.check(encoder_of(model))
                counts[modality] = len(index)
        except UserError as error:
            found.append(str(error))
    if len(set(counts.values())) > 1:
        held = ", ".join(f"{count:,} {modality}" for modality, count in counts.items())
        found.append(f"{shown(os.fspath(uri))} holds {held} codes; a run indexes as many of each")
    return found


def encoder_of(model: Model) -> dict[str, str]:
    """What an index remembers of the model that encodes for it."""
    return {"name": model.method, "hash": model.digest}


def _check_place(uri: str | os.PathLike[str], model: Model, data: PairedData) -> None:
    if is_address(uri):
        backend_of(os.fspath(uri))
    for modality in model.modalities:
        if is_address(uri):
            address_of(index_path(uri, modality))
        else:
            check_path(index_path(uri, modality))
        data[modality]  # an unknown one is refused before anything is encoded


def _check_there(path: str) -> None:
    if not is_address(path) and not Path(path).exists():
        raise UserError(f"no index at {path}; make it with: crossbit index RUN")


def _add_changed(
    model: Model,
    modality: str,
    data: PairedData,
    uri: str | os.PathLike[str],
    rows: np.ndarray,
    progress: Progress,
    encoder: Mapping[str, str] | None = None,
) -> Counts:
    counts, ids_of_rows, made_by = Counts(), ids_of(data, rows), encoder_of(model) if encoder is None else encoder
    with open_index(index_path(uri, modality), bits=model.bits, encoder=made_by) as index:
        known = np.intersect1d(ids_of_rows, index.keys())  # before anything is added: no row's id is another's
        for done, some, ids in _chunks(rows, ids_of_rows):
            there = np.isin(ids, known)
            same = np.array(index.hashes(ids), object) == np.array(hashes_of(data, modality, some), object)
            _check_same_items(index, data, some[there & ~same], ids[there & ~same])
            _add(index, model, modality, data, some[~(there & same)], ids[~(there & same)])
            news = Counts(int((~there).sum()), int((there & ~same).sum()), int((there & same).sum()))
            counts = Counts(*map(sum, zip(counts, news, strict=True)))
            progress(f"{modality}: {done:,} of {len(rows):,} looked at, {counts.added + counts.changed:,} encoded")
        if isinstance(index, LocalIndex):
            write_captions(index)
            index.prepare()
    return counts


def _check_same_items(index: Index, data: PairedData, rows: np.ndarray, ids: np.ndarray) -> None:
    """UserError where rows that differ from what is indexed under their ids may be other things."""
    for row, id_ in zip(rows.tolist(), ids.tolist(), strict=True):
        if data.path is None:
            raise UserError(
                f"row {row} of {data.name} is not what the index holds as row {row}; rows without a path are known by "
                "their number: give the data paths, or index it anew"
            )
        if (held := index[id_][1].get("path")) != data.path[row]:
            raise UserError(f"the paths {held!r} and {str(data.path[row])!r} have one id, {id_}; rename one of them")


def _add(index: Index, model: Model, modality: str, data: PairedData, rows: np.ndarray, ids: np.ndarray) -> None:
    if len(rows):
        embeddings = model.ordering(modality, data[modality][rows])
        index.add(
            ids,
            pack(embeddings[:, : model.bits]),
            items=items_of(data, rows),
            replace=True,
            embeddings=embeddings,
            hashes=hashes_of(data, modality, rows),
        )


def _chunks(rows: np.ndarray, ids: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Some rows after others with their ids, and how many rows are done with them."""
    for start in range(0, len(rows), CHUNK):
        some = slice(start, start + CHUNK)
        yield min(start + CHUNK, len(rows)), rows[some], ids[some]
