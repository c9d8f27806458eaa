"""Tomorrow's rows: what is new or changed comes into an index, and how much it looks like what is there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.index import LocalIndex, open_index
from crossbit.model import Model
from crossbit.search.build import Counts, Progress, add_data, encoder_of, index_path
from crossbit.search.changing import fold_into
from crossbit.search.fits import Fits
from crossbit.search.items import ids_of
from crossbit.search.journal import Journal
from crossbit.search.unlike import unlike
from crossbit.storage.addresses import is_address
from crossbit.storage.exchange import alone_with, copy_beside, take_place
from crossbit.storage.files import refuse_file


@dataclass(frozen=True)
class Added:
    """What `add` did.

    Attributes:
        counts: per modality how many rows were added, changed and unchanged.
        gone: how many indexed items are not in the data, and did not come through a service.
        dropped: whether these were removed.
        sent: how many items came through a service; they are kept.
        warnings: a sentence for each way in which the new rows look unlike those that were there, and one where the
            index has grown or shrunk so much that searches no longer say whether anything fits.
    """

    counts: Mapping[str, Counts]
    gone: int
    dropped: bool
    sent: int = 0
    warnings: list[str] = field(default_factory=list)


def add(
    model: Model,
    data: PairedData,
    uri: str | os.PathLike[str],
    *,
    drop_missing: bool = False,
    progress: Progress = lambda line: None,
) -> Added:
    """Encode and index all rows of data that are new or have changed by their content.

    The index of every modality changes at once: a copy is changed and takes the index's place, so that a process that
    is killed leaves the old state or the new one. On a server it changes step by step, and the same call goes on from
    where one was killed.

    Args:
        model: the one that encoded what is there.
        data: rows are known by their paths, see `add_data`; its queries are indexed, too.
        uri: the folder or the address that `index_data` was given.
        drop_missing: remove items of the index that are not in the data, but for those that came through a service; on
            a server these are not known, and removed, too.
        progress: called with a line now and then.

    Raises:
        UserError: no index there, or one of another model; another process adds to it; see `add_data`.
    """
    rows = np.arange(data.n)
    if is_address(uri):
        return _added_far(model, data, os.fspath(uri), rows, drop_missing, progress)
    folder = Path(uri)
    refuse_file(folder, "give the folder of an index")
    if not folder.parent.is_dir():
        raise UserError(f"no index at {folder}; make it with: crossbit index RUN")
    ids = ids_of(data, rows)
    with alone_with(folder):
        known = _known(model, os.fspath(folder))  # refuses another model's before anything is copied
        journal = Journal(folder)
        sent = np.array(sorted(journal.live()), np.int64)
        missing = np.setdiff1d(np.setdiff1d(known, ids), sent)
        counts, n = _changed(model, data, folder, journal, missing if drop_missing else missing[:0], progress)
    journal.shorten(n)
    there = np.isin(ids, known)
    warnings = unlike(model, data, rows[~there], rows[there])
    held = len(np.union1d(known, ids)) - drop_missing * len(missing)
    fits = Fits.read(folder, encoder_of(model)["hash"])
    if fits is not None and fits.scales and fits.outgrown(held):
        since = f"{fits.codes:,} items when it was learnt how likely a hit fits, and has {held:,} now"
        warnings.append(f"the index had {since}: searches no longer say where nothing fits")
    return Added(counts, len(missing), drop_missing and len(missing) > 0, len(sent), warnings)


def _added_far(
    model: Model, data: PairedData, uri: str, rows: np.ndarray, drop_missing: bool, progress: Progress
) -> Added:
    """As `add`, on a server."""
    ids, known = ids_of(data, rows), _known(model, uri)
    counts = add_data(model, data, uri, rows=rows, progress=progress)
    gone = np.setdiff1d(known, ids)
    dropping = drop_missing and len(gone) > 0
    if dropping:
        _drop(model, uri, gone)
    there = np.isin(ids, known)
    return Added(counts, len(gone), dropping, warnings=unlike(model, data, rows[~there], rows[there]))


def _changed(
    model: Model, data: PairedData, folder: Path, journal: Journal, gone: np.ndarray, progress: Progress
) -> tuple[dict[str, Counts], int]:
    """Change a copy and put it in the folder's place; the counts, and the last of a service's changes there."""
    with copy_beside(folder, ".npy", ".npz") as copy:
        sent, n = fold_into(model, copy, journal, progress)
        counts = add_data(model, data, copy, rows=np.arange(data.n), progress=progress)
        if len(gone):
            _drop(model, os.fspath(copy), gone)
        if sent or len(gone) or any(each.added or each.changed for each in counts.values()):
            take_place(copy, folder)
    return counts, n


def _known(model: Model, uri: str) -> np.ndarray:
    """All ids of the index, of whatever modality."""
    found = []
    for modality in model.modalities:
        path = index_path(uri, modality)
        if not is_address(uri) and not Path(path).exists():
            raise UserError(f"no index at {path}; make it with: crossbit index RUN")
        with open_index(path, bits=model.bits, read_only=True, encoder=encoder_of(model)) as index:
            found.append(index.keys())
    return np.unique(np.concatenate(found))


def _drop(model: Model, uri: str, ids: np.ndarray) -> None:
    for modality in model.modalities:
        with open_index(index_path(uri, modality), encoder=encoder_of(model)) as index:
            index.remove(ids, missing_ok=True)
            if isinstance(index, LocalIndex):
                index.prepare()
