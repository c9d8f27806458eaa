"""The search that answers now, how it takes changes, and the next one, which takes its place between two requests."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from crossbit.errors import UserError
from crossbit.model import Model, load_model
from crossbit.runs.folder import RunFolder
from crossbit.search.changing import Changes, ready, write_changes
from crossbit.search.journal import Entry, Journal, folded
from crossbit.search.searcher import Searcher
from crossbit.serve.columns import columns_of
from crossbit.serve.snapshots import Snapshots
from crossbit.storage.addresses import is_address

log = logging.getLogger("crossbit.serve")

Stamp = tuple[tuple[int, int, int], ...]


@dataclass
class Generation:
    """One state of the run and its index, open until its last request is done.

    Attributes:
        number: 1, 2, ...
        search: the open search.
        folder: where its index is, a folder of its own or an address.
        held: the number of the last change that its files hold.
        n: that of the last change that is found; of an address both stay 0.
    """

    number: int
    search: Searcher
    folder: Path | str
    held: int
    n: int
    users: int = field(default=0)
    _columns: tuple[int, list[dict[str, object]]] | None = field(default=None)

    @property
    def columns(self) -> list[dict[str, object]]:
        """As `columns_of` gives them now."""
        known = self._columns
        if known is None or known[0] != self.n:
            known = self._columns = (self.n, columns_of(self.search))
        return known[1]

    @property
    def items(self) -> int:
        """How many items there are."""
        return max(self.search.opened(modality).size for modality in self.search.model.modalities)


class Generations:
    """The generations of a run; `use` gives the present one to a request.

    Args:
        run: the run's folder.
        uri: where its index is, if that is not the run's; what others add at an address is found without a new
            generation.

    Raises:
        UserError: no run or no index there.
    """

    def __init__(self, run: RunFolder, uri: str | None = None, exact: bool = False) -> None:
        self._exact = exact
        self.run = run
        self.index: Path | str = uri if uri and is_address(uri) else Path(uri or run.index)
        if isinstance(self.index, Path) and not self.index.is_dir():
            run.config  # noqa: B018 (refuses what is no run)
            option = f" --uri {uri}" if uri else ""
            raise UserError(f"{run} has no index at {self.index}; make it with: crossbit index {run}{option}")
        self.journal = Journal(self.index) if isinstance(self.index, Path) else None
        self._snapshots = Snapshots(run.path)
        self._lock, self._opening = Lock(), Lock()
        self._stamps = (_model_stamp(run), _index_stamp(self.index))
        self._now = self._opened(load_model(run))

    @property
    def now(self) -> Generation:
        """The present one, for a glance; `use` it for more."""
        return self._now

    @contextmanager
    def use(self) -> Iterator[Generation]:
        """The present one, kept open meanwhile."""
        with self._lock:
            mine = self._now
            mine.users += 1
        try:
            yield mine
        finally:
            with self._lock:
                mine.users -= 1
                done = mine.users == 0 and mine is not self._now
            if done:
                self._close(mine)

    def refresh(self) -> bool:
        """Take over a new run or index, where there is one, and what other workers have changed; whether there was a
        new run or index.

        Raises:
            UserError: what is there cannot be used; the present one goes on answering.
        """
        with self._opening:
            stamps = (_model_stamp(self.run), _index_stamp(self.index))
            if stamps == self._stamps or () in stamps:  # the same, or half replaced
                self._catch_up(self._now)
                return False
            model = self._now.search.model if stamps[0] == self._stamps[0] else load_model(self.run)
            self._stamps = stamps  # what cannot be used is tried once
            self._take_over(self._opened(model))
            return True

    def change(self, changes: Changes) -> None:
        """Make changes: they are found by the next search, and are on the disk, or on the server. `journal.alone` is
        held, and all earlier ones were taken over.

        Raises:
            UserError: a value of another type than its column's; nothing is changed.
        """
        with self._opening:
            now = self._now
            if self.journal is None:
                return write_changes(now.search.model, self.index, changes)
            self._catch_up(now)  # or it is refused: a number is given once
            try:
                now.search.change(changes)
                entries = [Entry(now.n + 1 + at, *change) for at, change in enumerate(changes.items())]
                self.journal.append(entries)
            except BaseException:
                self._stamps = ((), ())  # what is in memory only is opened anew
                raise
            now.n += len(entries)
            return None

    def close(self) -> None:
        """Close all; requests must be done by then."""
        self._now.search.close()
        self._snapshots.close()

    def _take_over(self, new: Generation) -> None:
        with self._lock:
            old, self._now = self._now, new
            done = old.users == 0
        if done:
            self._close(old)

    def _catch_up(self, generation: Generation) -> None:
        if self.journal is not None and (entries := self.journal.after(generation.n)):
            generation.search.change(ready(generation.search.model, self.journal, entries, log.warning))
            generation.n = entries[-1].n

    def _opened(self, model: Model) -> Generation:
        folder = self.index if isinstance(self.index, str) else self._snapshots.take(self.index)
        try:
            search = Searcher(model, folder, grows=self.journal is not None, exact=self._exact)
            search.open_all()
            _search_once(search)
            number = self._now.number + 1 if hasattr(self, "_now") else 1
            held = 0 if isinstance(folder, str) else folded(folder)
            new = Generation(number, search, folder, held, held)
            self._catch_up(new)
            new.columns  # noqa: B018 (nobody waits for them)
            return new
        except BaseException:
            self._drop(folder)
            raise

    def _close(self, old: Generation) -> None:
        old.search.close()
        self._drop(old.folder)

    def _drop(self, folder: Path | str) -> None:
        if isinstance(folder, Path):
            self._snapshots.drop(folder)


def _search_once(search: Searcher) -> None:
    """So that the first request waits for no compiled code and no page of a file."""
    index = search.opened(search.model.modalities[0]).index
    for id_, item in index.items(index.keys()[:1]).items():
        search(item=id_, k=1)
        with suppress(UserError):  # a model that reads no words
            search(str((item or {}).get("caption") or "a"), k=1)


def _model_stamp(run: RunFolder) -> Stamp:
    return _stamp([run.config_file, run.weights_file, run.featurisers_file])


def _index_stamp(index: Path | str) -> Stamp:
    """Of the index and of what is written beside it later, such as how sure a hit must be; always the same of an
    address."""
    if isinstance(index, str):
        return ((0, 0, 0),)
    try:
        return _stamp(sorted(file for file in index.iterdir() if file.is_file()))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _stamp(files: list[Path]) -> Stamp:
    """Tells whether files are others than before; empty where one is not there."""
    try:
        found = [os.stat(file) for file in files]
    except FileNotFoundError:
        return ()
    return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)
