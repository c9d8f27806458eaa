"""A search that stays open: the model, its indexes and embeddings are loaded once and serve many queries."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from crossbit.errors import UserError, unknown
from crossbit.index.base import Changed, check_k
from crossbit.index.filters import TIME_LIMIT_MS
from crossbit.model import Model, load_model
from crossbit.runs.folder import RunFolder
from crossbit.search.build import encoder_of, index_path
from crossbit.search.captions import Captions
from crossbit.search.changing import Changes, ready
from crossbit.search.evidence import beside_of, evidence
from crossbit.search.fits import Fits
from crossbit.search.journal import Journal, folded
from crossbit.search.opened import FoundHere, OpenIndex
from crossbit.search.query import Held, Query, query_of, query_of_item, without
from crossbit.search.results import SearchResults
from crossbit.storage.addresses import is_address, shown
from crossbit.storage.files import refuse_file

if TYPE_CHECKING:
    from crossbit.data.types import PairedData
    from crossbit.search.sheet import Shown

TRIES = 4  # of a search that changes of others fall into, beside the last
BY = ("codes", "words", "pictures", "both")  # what may be asked for


def open_search(
    run: str | os.PathLike[str],
    *,
    uri: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    exact: bool = False,
) -> Searcher:
    """Open a run for search.

    Args:
        run: the run's folder.
        uri: the folder of its index, `<run>/index` by default; or `milvus://host:port/NAME`.
        device: where queries are encoded.
        exact: compare all codes, though `crossbit index --approximate` made an approximate tier.

    Raises:
        UserError: no run or no index there.
    """
    searcher = open_for_one(run, uri=uri, device=device, exact=exact)
    searcher.open_all()
    return searcher


def open_for_one(
    run: str | os.PathLike[str],
    *,
    uri: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    exact: bool = False,
) -> Searcher:
    """As `open_search`, for a process that ends after a search or a few: what it does not need is not loaded."""
    place = RunFolder(run).index if uri is None else uri
    if Path(run).is_dir() and not is_address(place) and not Path(place).is_dir():
        refuse_file(place, "give the folder of an index")
        option = "" if uri is None else f" --uri {uri}"
        raise UserError(f"{run} has no index at {place}; make it with: crossbit index {run}{option}")
    model = load_model(run, device=device)
    if is_address(place):
        return Searcher(model, place, run, exact=exact)
    journal = Journal(Path(place))
    waiting = journal.after(folded(Path(place)))
    searcher = Searcher(model, place, run, grows=bool(waiting), exact=exact)
    if waiting:  # a service has not written it into the index yet
        searcher.change(ready(model, journal, waiting))
    return searcher


class Searcher:
    """A model with its indexes, open until `close`. Any number of threads may search at the same time.

    What another process adds later is found after opening anew. After a fork, a child opens its own.

    Args:
        model: encodes the queries.
        uri: the folder with an index for each modality, or the address of a server that has them.
        run: the run's folder, by whose data `show` finds pictures; None takes those at the items' paths.
        exact: whether all codes are compared, though there is an approximate tier.
        grows: whether `change` may be called; then it is the only one in its process that has the index open.

    Raises:
        UserError: no index there.
    """

    def __init__(
        self,
        model: Model,
        uri: str | os.PathLike[str],
        run: str | os.PathLike[str] | None = None,
        *,
        grows: bool = False,
        exact: bool = False,
    ) -> None:
        self.model = model
        self.run = run
        self.uri = os.fspath(uri)
        self.shown = shown(self.uri)
        self._encoder = encoder_of(model)
        self._process = os.getpid()
        self._exact, self._grows, self._changes = exact, grows, 0  # odd while something changes
        self._lock, self._changing = Lock(), Lock()
        self._opened: dict[str, OpenIndex] = {}
        self._closed = False
        for modality in model.modalities:
            if not is_address(uri) and not (path := Path(index_path(uri, modality))).exists():
                raise UserError(f"no index at {path}; make it with: crossbit index RUN")

    def __repr__(self) -> str:
        return f"<Searcher in {self.shown}: {self.model!r}>"

    def __call__(
        self,
        words: str | None = None,
        *,
        picture: Any = None,
        item: int | None = None,
        k: int = 10,
        where: str | None = None,
        modality: str | None = None,
        rerank: bool = True,
        by: str | None = None,
        not_this: Sequence[int] = (),
        time_limit_ms: float = TIME_LIMIT_MS,
    ) -> SearchResults:
        """Find what is nearest to words, to a picture, to both together, or to an item.

        Words and a picture together are one query: the sum of their embeddings, each of length 1. An item's query is
        the same sum over its modalities; the item itself is left out of the results.

        Args:
            words: a text.
            picture: a path, a PIL picture, or uint8 (h, w, 3).
            item: an id of the index.
            k: how many of each modality, at most.
            where: only items for which this SQL expression over their columns is true.
            time_limit_ms: a `where` that takes longer is ended.
            modality: the one to search; by default all that the query does not come from, or all where none is left.
            rerank: order what is nearest by Hamming distance by the cosine of the embeddings, where the index has
                them; False leaves the order of codes by (distance, id), and takes distances in place of cosines.
            by: "codes" (by default of an item); words also by "words" (those of captions and labels, by BM25) or
                "both", by what both say, which is the default; a picture also by "pictures" (the pictures of what is
                searched) or "both", by the mean of the two likenesses, which is the default.
            not_this: ids of items that are not wanted: they are left out, with all that is of the same group or path,
                and the query is moved away from them (`crossbit.search.query.without`).

        Raises:
            UserError: no query or one that cannot be used; an unknown id or modality; a `where` that is wrong or too
                slow; a closed search.
        """
        self._check_open()
        return self._still(
            lambda: self._found(words, picture, item, k, where, modality, rerank, by, not_this, time_limit_ms)
        )

    search = __call__

    def _found(
        self,
        words: str | None,
        picture: Any,
        item: int | None,
        k: int,
        where: str | None,
        modality: str | None,
        rerank: bool,
        by: str | None,
        not_this: Sequence[int],
        time_limit_ms: float,
    ) -> SearchResults:
        start = time.perf_counter()
        wanted, ways = check_k(k), self._ways(by, words, picture, modality)
        query = self._query(words, picture, item, rerank, "words" in ways, modality)
        query = without(query, self._unwanted(not_this, rerank))
        ways = ways if query.understood or picture is not None else ["words"]
        limits: dict[str, Any] = {"rerank": rerank, "where": where, "time_limit_ms": time_limit_ms}
        opened = {name: self.opened(name) for name in self._searched(query, modality)}
        own = self.opened(next(iter(query.modalities))) if "pictures" in ways else None
        found = {name: index.search(query, wanted, ways, own=own, **limits) for name, index in opened.items()}
        return SearchResults(
            query.said,
            {name: each.hits for name, each in found.items()},
            time.perf_counter() - start,
            sum(each.compared for each in found.values()),
            all(each.exact for each in found.values()),
            None
            if item is not None or (words is not None and picture is not None)
            else self._fits(query, words, ways, found),
            query.notes,
        )

    def _still(self, search: Callable[[], SearchResults]) -> SearchResults:
        """What a search finds while nothing changes. One that a change falls into is made again. Changes wait then, but
        for those that others make on a server."""
        for _ in range(TRIES):
            with suppress(Changed):
                return self._in_peace(search)
        return self._in_peace(search)

    def _in_peace(self, search: Callable[[], SearchResults]) -> SearchResults:
        before = self._changes
        try:
            found = search()
            if before == self._changes and not before % 2:
                return found
        except Exception:
            if before == self._changes and not before % 2:
                raise
        with self._changing:
            return search()

    def change(self, changes: Changes) -> None:
        """Add items under their ids, in place of those that are there, and remove those that are None: in memory alone.

        Args:
            changes: by id; encoded by this model.

        Raises:
            UserError: a value of another type than its column's.
        """
        removed = np.array([id_ for id_, new in changes.items() if new is None], np.int64)
        added = {id_: new for id_, new in changes.items() if new is not None}
        ids, items = np.array(list(added), np.int64), [dict(new.item) for new in added.values()]
        opened = {name: self.opened(name) for name in self.model.modalities}
        with self._changing:
            self._changes += 1
            try:
                for name, index in opened.items():
                    embeddings = np.array([new.embeddings[name] for new in added.values()])
                    index.change(removed, ids, embeddings, items)
            finally:
                self._changes += 1

    def _fits(
        self, query: Query, words: str | None, ways: Sequence[str], found: Mapping[str, FoundHere]
    ) -> float | None:
        """The probability that the best hit of one index fits; None of several, or where it is not known."""
        if len(found) != 1 or self._known_fits is None:
            return None
        ((name, here),) = found.items()
        kind = "pictures" if words is None else "words"
        scale = self._known_fits.scale(kind, name, tuple(ways), self.opened(name).size)
        if scale is None or here.seen is None:
            return None
        beside = self.opened(beside_of(self.model, name)).likeness(query, here.seen.ids)
        return scale.probability(evidence(here.seen, beside, self._known_fits.labels))

    def many(
        self,
        words: Sequence[str] | None = None,
        *,
        picture: Sequence[Any] | None = None,
        item: Sequence[int] | None = None,
        **options: Any,
    ) -> list[SearchResults]:
        """Several queries, each as a call of its own: results in the order of the queries.

        Args:
            words, picture, item: lists; where words and pictures are given, the first of both are one query, and so on.
            options: of a call, such as k= and where=; the same for all queries.

        Raises:
            UserError: as a call, with the number of the query; lists of different lengths, or none.
        """
        lists = {"words": words, "picture": picture, "item": item}
        given = {name: each for name, each in lists.items() if each is not None}
        for name, each in given.items():
            if isinstance(each, str) or not isinstance(each, Sequence | np.ndarray):
                raise UserError(f"many queries are a list of {name}, got {type(each).__name__} {each!r:.60}")
        lengths = {name: len(each) for name, each in given.items()}
        if len(set(lengths.values())) != 1:
            counted = " and ".join(f"{count} of {name}" for name, count in lengths.items()) or "none"
            raise UserError(f"many queries need a list, or lists of one length; got {counted}")
        results = []
        for number, query in enumerate(zip(*given.values(), strict=True)):
            try:
                results.append(self(**dict(zip(given, query, strict=True)), **options))
            except UserError as error:
                raise UserError(f"query {number}: {error}") from error
        return results

    def show(self, results: SearchResults) -> Shown:
        """Results as a notebook shows them, with pictures; see `crossbit.search.sheet.show`."""
        from crossbit.search.sheet import show  # here: few searches are shown

        return show(results, self._data)

    @cached_property
    def _data(self) -> PairedData | None:
        """The run's; None where they are not there any more."""
        with suppress(UserError):
            return None if self.run is None else RunFolder(self.run).data()
        return None

    def open_all(self) -> None:
        """Open all indexes now, and load compiled code; otherwise an index is opened when it is first searched, and
        numpy does what it can.

        Raises:
            UserError: an index of another model, or one that is damaged.
        """
        from crossbit.bits import kernels  # noqa: F401 (searches take it from now on)

        for modality in self.model.modalities:
            self.opened(modality).open_all()

    def close(self) -> None:
        """Close the indexes; closing twice is allowed, and closing in a forked child leaves the parent's open."""
        if os.getpid() != self._process:
            return
        with self._lock:
            self._closed = True
            for opened in self._opened.values():
                opened.close()
            self._opened = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def _known_fits(self) -> Fits | None:
        return None if is_address(self.uri) else Fits.read(Path(self.uri), self._encoder["hash"])

    def _check_open(self) -> None:
        if os.getpid() != self._process:
            raise UserError(f"this search in {self.shown} was opened by another process; after a fork, open it again")
        if self._closed:
            raise UserError(f"this search in {self.shown} is closed; open it again with crossbit.open_search")

    def opened(self, modality: str) -> OpenIndex:
        """The index of a modality, opened when it is first asked for."""
        with self._lock:
            self._check_open()
            if modality not in self._opened:
                labels = map(str, self.model.config.get("label_names") or ())
                self._opened[modality] = OpenIndex(
                    self.uri, modality, self._encoder, self.model.bits, labels, self._grows, self._exact
                )
            return self._opened[modality]

    def _searched(self, query: Query, modality: str | None) -> list[str]:
        known = self.model.modalities
        if modality is None:
            return [name for name in known if name not in query.modalities] or known
        if modality not in known:
            raise unknown("modality", modality, known)
        return [modality]

    def _ways(self, by: str | None, words: str | None, picture: Any, modality: str | None) -> list[str]:
        """The ways to search."""
        if by is not None and by not in BY:
            raise unknown("by", by, list(BY))
        if by == "pictures" and (picture is None or words is not None):
            raise UserError("by=pictures needs a picture, and no words: pictures are compared with it alone")
        if (by == "words" and words is None) or (by == "both" and words is None and picture is None):
            raise UserError(
                f"by={by} needs words, which are looked for in captions and labels; give words, or by=codes"
            )
        if by == "codes" or (words is None and picture is None):
            return ["codes"]
        if words is None:
            return self._of_picture(by, modality)
        if not len(self._captions(modality)):
            if by is None:
                return ["codes"]
            why = (
                "are on a server, which looks for no words"
                if is_address(self.uri)
                else "have neither captions nor labels"
            )
            raise UserError(f"the items in {self.shown} {why}, so by={by} finds none; take by=codes")
        return ["words"] if by == "words" else ["codes", "words"]

    def _of_picture(self, by: str | None, modality: str | None) -> list[str]:
        """The ways to search for a picture; where the index of pictures is what is searched, its codes are all there
        is."""
        readers = [name for name, featuriser in self.model.featurisers.items() if featuriser.reads == "pictures"]
        if modality in readers[:1]:
            return ["codes"]
        return ["pictures"] if by == "pictures" else ["codes", "pictures"]

    def _captions(self, modality: str | None) -> Captions:
        """Those of one modality's index; all hold the same."""
        known = self.model.modalities
        reading = {name for name in known if self.model.featurisers[name].reads == "words"}
        searched = [name for name in known if name not in reading] or known
        return self.opened(modality if modality in known else searched[0]).captions

    def _query(
        self, words: str | None, picture: Any, item: int | None, rerank: bool, captions: bool, modality: str | None
    ) -> Query:
        if item is None and (words is not None or picture is not None):
            return query_of(self.model, words, picture, self._captions(modality) if captions else None)
        if item is None or words is not None or picture is not None:
            raise UserError("give words, picture=, or both; or item= alone")
        return query_of_item(item, self._held(item, rerank))

    def _held(self, item: int, rerank: bool) -> Held:
        """What the indexes hold of an item."""
        held = [self.opened(modality).get(item, rerank) for modality in self.model.modalities]
        if not (found := [each for each in held if each is not None]):
            raise UserError(f"no item {item!r} in {self.shown}; take the `id` of a hit, as --json prints it")
        return Held(*zip(*found, strict=True))

    def _unwanted(self, ids: Sequence[int], rerank: bool) -> dict[int, Held]:
        if not isinstance(ids, Sequence | np.ndarray) or isinstance(ids[:1], str):
            raise UserError(f"not_this is a list of ids, got {type(ids).__name__} {ids!r:.60}; such as not_this=[7]")
        return {id: self._held(id, rerank) for id in ids}
