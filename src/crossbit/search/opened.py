"""One modality's index with its embeddings and captions, held open for many searches."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import chain
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from crossbit.bits import pack, unpack
from crossbit.index import open_index
from crossbit.index.base import Item
from crossbit.index.embeddings import cosines
from crossbit.index.local import LocalIndex
from crossbit.index.overlay import Overlay
from crossbit.search.build import index_path
from crossbit.search.captions import BELIEVED, Among, Captions, text_of
from crossbit.search.evidence import LOOKED_AT, READ, Seen
from crossbit.search.fusion import SHOWS, Found, Fused, fused, nearest_of, thing_of
from crossbit.search.probabilities import Probabilities
from crossbit.search.query import Query
from crossbit.search.results import SearchHit
from crossbit.storage.words import singular, words_of

SAME = 0.999  # likeness from which a picture is the same
SAID = 0.7  # how much the match of words counts beside the likeness of codes
TEXTS, BESIDE = 200, 2000  # whose words match best are looked at; beside a picture
DEPTH = 40  # hits of each way that are fused, or more where many are of few things
Ids = npt.NDArray[np.int64]


class FoundHere(NamedTuple):
    """Hits of an index, the best first, how many codes were compared, whether none that is nearer can have been missed,
    and what says whether the best hit fits (see `evidence`); None where it cannot be said."""

    hits: tuple[SearchHit, ...]
    compared: int
    exact: bool
    seen: Seen | None


class OpenIndex:
    """An index of codes, the embeddings that order what it finds, and the captions, where it has some.

    Args:
        labels: of the data; a word that is one of them says something, however frequent it is.
        grows: take changes, in memory; a local index alone can.
        exact: compare all codes, though there is an approximate tier.

    Attributes:
        index: a local one, or one on a server. That has no captions, and what others add to it is found.
    """

    def __init__(
        self,
        uri: str,
        modality: str,
        encoder: Mapping[str, str],
        bits: int,
        labels: Iterable[str] = (),
        grows: bool = False,
        exact: bool = True,
    ) -> None:
        self.modality, path = modality, index_path(uri, modality)
        self.index = (
            Overlay(path, bits=bits, encoder=encoder, approximate=not exact)
            if grows
            else open_index(path, bits=bits, read_only=True, encoder=encoder, approximate=not exact)
        )
        self._local = self.index if isinstance(self.index, LocalIndex) else None
        self._size = len(self.index)
        self._captions: Captions | None = None
        self._lowest: tuple[Ids, Ids] | None = None
        self.probabilities = Probabilities(self._local)
        self._labels = frozenset(singular(words[0]) for label in labels if len(words := words_of(label)) == 1)
        self._items: dict[int, Any] = {}
        self._lock = Lock()

    @property
    def size(self) -> int:
        """How many codes there are; of a local index, but for what `change` did, how many there were when it was
        opened."""
        return len(self.index) if self._local is None else self._size

    @property
    def captions(self) -> Captions:
        """Its captions, read when they are first needed."""
        with self._lock:
            if self._captions is None:
                self._captions = Captions(self._local, self.probabilities.of)
            return self._captions

    @property
    def lowest(self) -> tuple[Ids, Ids] | None:
        """All ids, ascending, and the lowest id that shows the same thing as each (see `thing_of`); None on a
        server."""
        with self._lock:
            if self._lowest is None and self._local is not None:
                self._lowest = self._local.snapshot()[0].ids, self._local.lowest_alike(SHOWS)
            return self._lowest

    def open_all(self) -> None:
        """Read now what is otherwise read when it is first needed."""
        self.captions, self.lowest  # noqa: B018

    def change(self, removed: Ids, added: Ids, embeddings: npt.NDArray[Any], items: Sequence[Item]) -> None:
        """Remove ids, as far as they are there, and add others in place of those that are there; in memory alone.

        Args:
            removed, added: int64 (r,), (n,).
            embeddings: real (n, width), of those that are added.
            items: n, what is remembered of them.

        Raises:
            UserError: a value of another type than its column's.
        """
        if len(added):
            codes = pack(embeddings[:, : self.index.bits])
            self.index.add(added, codes, items, replace=True, embeddings=embeddings)
        if len(removed):
            self.index.remove(removed, missing_ok=True)
        with self._lock:
            self._size, gone = len(self.index.keys()), np.concatenate([removed, added])
            if self._captions is not None:
                self._captions = self._captions.changed(gone, added, [text_of(item or {}) for item in items])
            if self._lowest is not None:
                things = {id_: thing_of(id_, item or {}) for id_, item in zip(added.tolist(), items, strict=True)}
                self._lowest = changed_lowest(*self._lowest, gone, things, self._alike)

    def _alike(self, name: str, value: object) -> Ids:
        """The ids whose first of `SHOWS` with a value is this one, with this value."""
        literal = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
        before = [one for one in SHOWS[: SHOWS.index(name)] if one in self.index.columns]
        return self.index.matching(" AND ".join([f'"{name}" = {literal}', *(f'"{one}" IS NULL' for one in before)]))

    def search(
        self,
        query: Query,
        k: int,
        ways: Sequence[str],
        *,
        rerank: bool,
        where: str | None,
        time_limit_ms: float,
        without: Ids | None = None,
        own: OpenIndex | None = None,
    ) -> FoundHere:
        """The k best things but those that the query leaves out, the best first; as if the ids `without` were not
        there.

        Args:
            query, k, rerank, where, time_limit_ms: see `Searcher`.
            ways: "codes", "words", "pictures".
            own: the index of what the query is; for the way "pictures".
        """
        limits = {"where": where, "time_limit_ms": time_limit_ms, "without": without}
        own = own if "pictures" in ways else None
        size, match = max(self.size, own.size if own else 0), 0.0
        depth = max(k + len(query.left_out), DEPTH)
        while True:
            depth, ranked, ended, compared, exact = min(depth, max(1, size)), {}, True, 0, True
            if "words" in ways:
                ranked["words"], match = self._by_words(query, depth, rerank, limits, alone="codes" not in ways)
            if "codes" in ways:
                ranked["codes"], compared, exact = self._by_codes(query, depth, rerank, limits)
            if own is not None:
                there, more, nearest = own._by_codes(query, depth, rerank, limits)
                ranked["pictures"], ended = self._also_here(query, there, rerank), len(there) < depth
                compared, exact = compared + more, exact and nearest
            looks = {} if own is None else own._looks(query, ranked, rerank)
            likeness = self._likeness(query, ranked, looks)
            most = k + len(query.left_out)  # no other is shown, and no other's item is read
            order = fused(ranked, self._things(ranked), most, likeness)
            near = nearest_of(ranked, likeness)[:LOOKED_AT]
            items = self._items_of([*(each.found for each in order), *near[:READ]])
            best = [each for each in order if thing_of(each.found[0], items[each.found[0]]) not in query.left_out][:k]
            ended &= all(len(each) < depth for each in ranked.values())
            if len(best) == k or ended or depth == size:
                by_cosine = rerank and own is not None and own.index.embeddings is not None
                told = self._told(query, best, items, looks if by_cosine else {}, words="words" in ways)
                return FoundHere(told, compared, exact, self._seen(query, told, self._plain(near, items), match))
            depth *= 4

    def keep_items(self) -> None:
        """Read all items now, for many searches: each read takes milliseconds, be it of one item or of thousands."""
        self._items = self.index.items(self.index.keys())

    def get(self, id: int, rerank: bool) -> tuple[npt.NDArray[Any], dict[str, Any]] | None:
        """The embedding of an id - its code's signs where only codes are compared - and its item; None for no such."""
        try:
            code, item = self.index[id]
        except KeyError:
            return None
        if rerank and self.index.embeddings is not None:
            return self.index.embeddings.of(np.array([id]))[0], item
        return unpack(code[None])[0], item

    def likeness(self, query: Query, ids: Ids, rerank: bool = True) -> npt.NDArray[np.float64]:
        """Of the query to what is held of ids, -1 to 1, NaN where nothing is: the cosine of the embeddings; without
        them, or without re-ranking, the share of bits that agree less the share that differ."""
        found, (there, places) = np.full(len(ids), np.nan), self._held(ids)
        if rerank and self.index.embeddings is not None:
            rows = self.index.embeddings.of(ids[there], places)
            found[there] = cosines(rows, query.embedding.astype(np.float64))
        else:
            distances, _ = self._compared(query, ids[there], rerank=False)
            found[there] = 1 - 2 * np.array(distances, np.float64) / self.index.bits
        return found

    def close(self) -> None:
        """Close the index."""
        self.index.close()

    def _by_codes(self, query: Query, k: int, rerank: bool, limits: Mapping[str, Any]) -> tuple[list[Found], int, bool]:
        """What is found, how many codes were compared, and whether that is exact."""
        code = pack(query.embedding[None, : self.index.bits])
        if rerank and self.index.embeddings is not None:
            hits = self.index.embeddings.search(query.embedding, code, k, **limits)
        else:
            hits, _ = self.index.search_places(code, k, **limits)
        near = [None] * k if hits.cosines is None else hits.cosines[0].tolist()
        found = zip(hits.ids[0].tolist(), hits.distances[0].tolist(), near, strict=False)
        return [one for one in found if one[1] >= 0], hits.compared, hits.exact

    def _by_words(
        self, query: Query, k: int, rerank: bool, limits: Mapping[str, Any], *, alone: bool
    ) -> tuple[list[Found], float]:
        """What is found, the best first, and how well the best text matches. Where words are not `alone`, codes choose
        among the texts that match best: many match alike, such as all that have a label."""
        texts = BESIDE if query.has_picture else TEXTS
        ids, match = self.captions.search(query.words, k if alone else max(k, texts), self._among(**limits))
        best = float(match[0]) if len(match) else 0.0
        if alone or len(ids) <= k:
            return list(zip(ids.tolist(), *self._compared(query, ids, rerank), strict=True)), best
        likeness = self.likeness(query, ids, rerank)
        match = self.captions.coverage(query.words, ids) if query.has_picture else match
        chosen = np.argsort(-(SAID * match + (1 - SAID) * likeness), kind="stable")[:k]
        near = likeness[chosen].tolist() if rerank and self.index.embeddings is not None else [None] * k
        ids = ids[chosen]
        return list(zip(ids.tolist(), self._distances(query, ids), near, strict=True)), best

    def _also_here(self, query: Query, found: Sequence[Found], rerank: bool) -> list[Found]:
        """What was found in another index, as far as it is in this one, with its distance and cosine here."""
        ids = np.array([id_ for id_, _, _ in found], np.int64)
        ids = ids[self._held(ids)[0]]
        return list(zip(ids.tolist(), *self._compared(query, ids, rerank), strict=True))

    def _looks(self, query: Query, ranked: Mapping[str, Sequence[Found]], rerank: bool) -> dict[int, float]:
        """What was found in another index: of each id that is held here, too, the likeness to the query."""
        ids = np.unique(np.array([id_ for found in ranked.values() for id_, _, _ in found], np.int64))
        likeness = self.likeness(query, ids, rerank)
        there = ~np.isnan(likeness)
        return dict(zip(ids[there].tolist(), likeness[there].tolist(), strict=True))

    def _likeness(
        self, query: Query, ranked: Mapping[str, Sequence[Found]], looks: Mapping[int, float]
    ) -> dict[int, float] | None:
        """Of each id that was found; None of codes or words alone, whose order it is.

        * Words: how well those of its text match counts `SAID`, the likeness of its code the rest. Beside a picture
          it is how much of the words its text holds: which of all that hold them is like the picture, is asked.
        * A picture: the mean of its likeness here and of how it looks; how it looks alone, where nothing is searched
          here, or where it is the same picture, whatever its text is.
        """
        if ranked.keys() in ({"codes"}, {"words"}):
            return None
        here = {
            id_: 1 - 2 * (distance or 0) / self.index.bits if cosine is None else cosine
            for id_, distance, cosine in chain(*ranked.values())
        }
        if "words" in ranked:
            match = self.captions.coverage if query.has_picture else self.captions.match
            each = match(query.words, np.fromiter(here, np.int64, len(here))).tolist()
            return {id_: SAID * said + (1 - SAID) * here[id_] for id_, said in zip(here, each, strict=True)}
        found = {}
        for id_, near in here.items():
            look = looks.get(id_, near)
            found[id_] = look if look >= SAME or "codes" not in ranked else (near + look) / 2
        return found

    def _held(self, ids: Ids) -> tuple[npt.NDArray[np.bool_], Ids | None]:
        """Of which ids it has a code, and the places of these ids' embeddings, where it is known."""
        if self._local is None:
            return np.isin(ids, list(self.index.items(ids))), None
        codes, _ = self._local.snapshot()
        at = codes.find(ids)
        return at >= 0, codes.places[at[at >= 0]]

    def _among(self, **limits: Any) -> Among | None:
        """The codes whose captions may be found; None for all, and on a server, which has none."""
        if self._local is None:
            return None
        held, mask = self._local.snapshot(**limits)
        return None if mask is None else (held, mask)

    def _seen(self, query: Query, hits: Sequence[SearchHit], near: Sequence[SearchHit], match: float) -> Seen | None:
        """None where cosines are not known, or something is left out."""
        if not hits or not near or near[0].cosine is None or query.left_out:
            return None
        return Seen(hits, near, self.index.bits, match, query.words)

    def _compared(self, query: Query, ids: Ids, rerank: bool) -> tuple[Sequence[int | None], Sequence[float | None]]:
        """Distances and cosines of ids; None for each that cannot be known."""
        unknown = [None] * len(ids)
        if not query.understood or not len(ids):
            return unknown, unknown
        distances = self._distances(query, ids)
        if not rerank or self.index.embeddings is None:
            return distances, unknown
        return distances, cosines(self.index.embeddings.of(ids), query.embedding.astype(np.float64)).tolist()

    def _distances(self, query: Query, ids: Ids) -> list[int]:
        code = pack(query.embedding[None, : self.index.bits])
        found: list[int] = np.bitwise_count(self.index.codes_of(ids) ^ code).sum(axis=1, dtype=np.int64).tolist()
        return found

    def _told(
        self,
        query: Query,
        best: Sequence[Fused],
        items: Mapping[int, Item],
        looks: Mapping[int, float],
        *,
        words: bool,
    ) -> tuple[SearchHit, ...]:
        """Hits with what they have in common with the query, the bits in which their codes differ from its, and the
        cosines of their pictures, as far as `looks` holds them. Where `words` were searched they found what holds one,
        also beyond the texts that match best."""
        near = [each.found[0] for each in best if each.found[1] is not None]
        codes = self.index.codes_of(np.array(near, np.int64)) ^ pack(query.embedding[None, : self.index.bits])
        bits = {id_: code.tobytes().hex() for id_, code in zip(near, codes, strict=True)}
        idle = self.captions.texts.idle(query.words, self._labels) if query.words else frozenset()
        likely = self.probabilities.of(np.array([each.found[0] for each in best], np.int64))
        told = []
        for ((id_, distance, cosine), by, more), p in zip(best, likely, strict=True):
            why = query.in_common(items[id_], idle)
            if words and "words" not in by and any(p.get(each, 1.0) >= BELIEVED for each in why):
                by = ("words", *by)
            told.append(
                SearchHit(
                    id_, self.modality, distance, cosine, items[id_], why, by, more, bits.get(id_), p, looks.get(id_)
                )
            )
        return tuple(told)

    def _plain(self, found: Sequence[Found], items: Mapping[int, Item]) -> list[SearchHit]:
        return [SearchHit(id_, self.modality, distance, cosine, items.get(id_, {})) for id_, distance, cosine in found]

    def _items_of(self, found: Sequence[Found]) -> dict[int, Item]:
        """Their items, which are read together; an empty one where none is there."""
        ids = np.unique(np.array([id_ for id_, _, _ in found], np.int64))
        items = self._items or self.index.items(ids)
        return {id_: items.get(id_) or {} for id_ in ids.tolist()}

    def _things(self, ranked: Mapping[str, Sequence[Found]]) -> Mapping[int, Hashable]:
        """What each id that was found shows (see `thing_of`)."""
        ids = np.array([id_ for found in ranked.values() for id_, _, _ in found], np.int64)
        if self.lowest is None:
            return {
                id_: thing_of(id_, item) for id_, item in self._items_of([(id_, None, None) for id_ in ids]).items()
            }
        keys, lowest = self.lowest
        return dict(zip(ids.tolist(), lowest[np.searchsorted(keys, ids)].tolist(), strict=True))


def changed_lowest(
    keys: Ids,
    lowest: Ids,
    gone: Ids,
    things: Mapping[int, tuple[str, Hashable]],
    alike: Callable[[str, object], Ids],
) -> tuple[Ids, Ids]:
    """`OpenIndex.lowest` after a change.

    Args:
        keys, lowest: before it, (n,).
        gone: ids that were removed or replaced, and those that were added.
        things: of those that were added, as `thing_of` tells them.
        alike: gives the ids that show such a thing now.

    >>> before = np.array([3, 5, 7]), np.array([3, 3, 7])
    >>> changed_lowest(*before, np.array([3, 4]), {4: ("path", "a")}, lambda name, value: np.array([4, 7]))
    (array([4, 5, 7]), array([4, 5, 4]))
    """
    out, lowest = np.zeros(len(keys), bool), lowest.copy()
    out[places_of(gone, keys)] = True
    for at in np.flatnonzero(out & (lowest == keys)).tolist():
        rest = np.flatnonzero(~out & (lowest == keys[at]))  # it stood for others, too
        lowest[rest] = keys[rest[:1]]
    new = np.sort(np.fromiter(things, np.int64, len(things)))
    before = np.searchsorted(keys[~out], new)
    keys, lowest = np.insert(keys[~out], before, new), np.insert(lowest[~out], before, new)
    for name, value in {thing for thing in things.values() if thing[0] != "id"}:
        same = places_of(alike(name, value), keys)
        lowest[same] = keys[same].min()
    return keys, lowest


def places_of(ids: Ids, keys: Ids) -> Ids:
    """Where ids are among ascending keys, those that are there."""
    at = np.minimum(np.searchsorted(keys, ids), len(keys) - 1)
    return at[keys[at] == ids] if len(keys) else at[:0]
