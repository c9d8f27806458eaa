"""A query: words, a picture or both as one embedding, and what of it can be found again in an item."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from crossbit.data.checks import Kind
from crossbit.errors import UserError
from crossbit.model import Model
from crossbit.search.fusion import thing_of
from crossbit.search.results import labels_of
from crossbit.storage.words import singular, words_of

NAMED = 5  # misspelt words of a query that are told, at most: looking for each takes milliseconds
AWAY = 0.25  # how much unwanted items count beside the query: the best of 0 to 1 on glyphs and clip art


@dataclass(frozen=True)
class Held:
    """What the indexes hold of an item: its embedding and item in each modality that has it."""

    embeddings: Sequence[npt.NDArray[Any]]
    items: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Query:
    """What is searched for.

    Attributes:
        said: in words, for people.
        embedding: real (bits,) or wider; the signs of the first `bits` are the code (see `Model.ordering`).
        modalities: that it comes from, which are not searched; empty where all are.
        words, labels: what items are compared with.
        notes: lines for the user.
        left_out: what is not to be found (see `fusion.thing_of`): the item that the query is, and unwanted ones.
        understood: False where the model knows no word of it; then captions alone are searched.
    """

    said: str
    embedding: npt.NDArray[Any]
    modalities: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    left_out: frozenset[Hashable] = frozenset()
    understood: bool = True

    @property
    def has_picture(self) -> bool:
        """Whether it is a picture beside words."""
        return len(self.modalities) > 1 and bool(self.words)

    def in_common(self, item: Mapping[str, Any], idle: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """Labels and words of an item that the query holds, too, in one number or the other; without words that say
        nothing.

        >>> query = Query("", np.ones(8), words=frozenset(["red", "fox"]))
        >>> query.in_common({"caption": "a fox, a red one", "labels": ["fox", "forest"]})
        ('fox', 'red')
        >>> query.in_common({"caption": "a fox, a red one"}, frozenset(["red"]))
        ('fox',)
        """
        said, telling = ({singular(word) for word in words} for words in (self.words, self.words - idle))
        each = [(label, {singular(word) for word in words_of(label)}) for label in labels_of(item)]
        labels = [label for label, held in each if label in self.labels or (held and held <= said)]
        words = [word for word in words_of(str(item.get("caption") or "")) if singular(word) in telling]
        return tuple(dict.fromkeys([*labels, *words]))


class Vocabulary(Protocol):
    """The words of the captions and labels that are searched; see `captions.Captions`."""

    def knows(self, word: str) -> bool: ...

    def near(self, word: str) -> list[str]: ...


def query_of(model: Model, words: str | None, picture: Any, captions: Vocabulary | None = None) -> Query:
    """The query of words, of a picture (whatever `read_picture` takes), or of both together.

    Args:
        model: encodes it.
        words: a text.
        picture: a picture.
        captions: what is searched for words, too: the model need not know those that are there. None where codes alone
            are searched.

    Raises:
        UserError: empty words, words of which the model knows none, a picture that cannot be read, or a model that
            does not read words, or pictures.
    """
    if picture is None:
        return _of_words(model, words, captions)
    if words is None:
        return _of(model, picture)
    first, second = _of_words(model, words, captions), _of(model, picture)
    return Query(
        f"{first.said} and {second.said}",
        fused([first.embedding, second.embedding]) if first.understood else second.embedding,
        first.modalities | second.modalities,
        first.words,
        notes=first.notes,
    )


def query_of_item(id: int, held: Held) -> Query:
    """The query of an item."""
    words = frozenset(word for item in held.items for word in words_of(str(item.get("caption") or "")))
    labels = frozenset(label for item in held.items for label in labels_of(item))
    itself = frozenset([thing_of(int(id), held.items[0])])
    return Query(f"item {id}", fused(held.embeddings), words=words, labels=labels, left_out=itself)


def without(query: Query, unwanted: Mapping[int, Held]) -> Query:
    """The query moved away from unwanted items, which are left out.

    The mean of their embeddings is subtracted `AWAY` times, that of the query and each of theirs scaled to length 1.

    Args:
        query: any.
        unwanted: by id what is held of each.

    Source: Rocchio, Relevance Feedback in Information Retrieval (1971), without relevant items.

    >>> query = Query("", np.array([3.0, 0.0]))
    >>> without(query, {7: Held([np.array([0.0, 9.0])], [{}])}).embedding.round(2)
    array([ 1.  , -0.25])
    """
    if not unwanted:
        return query
    things = [thing_of(int(id), held.items[0]) for id, held in unwanted.items()]
    left_out = query.left_out.union(things)
    if not query.understood:
        return replace(query, left_out=left_out)
    mean = np.mean([_unit(fused(held.embeddings)) for held in unwanted.values()], axis=0)
    return replace(query, embedding=_unit(query.embedding) - AWAY * mean, left_out=left_out)


def fused(embeddings: Iterable[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    """One embedding for several of the same thing: their sum, each scaled to length 1 before, so all count alike.

    >>> fused([np.array([2.0, 0.0]), np.array([0.0, -3.0])])
    array([ 1., -1.])
    """
    return np.sum([_unit(each) for each in embeddings], axis=0)


def _unit(embedding: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Scaled to length 1; zeros stay."""
    exact = np.asarray(embedding, np.float64)
    return exact / (np.linalg.norm(exact) or 1.0)


def _of_words(model: Model, words: Any, captions: Vocabulary | None) -> Query:
    if not isinstance(words, str):
        raise UserError(f"words are one text, got {type(words).__name__}; for several queries: search.many([...])")
    if not words.strip():
        raise UserError('the query is empty; give words that describe what to find, such as "red fox"')
    held = frozenset(words_of(words))
    there = frozenset(word for word in held if captions is not None and captions.knows(word))
    try:
        modality = _reading(model, "words")
        known = model.featurisers[modality].as_known(words)
        notes = model.featurisers[modality].check_query(known, there) or _misspelt(words, captions)
    except UserError as error:
        if not there:
            raise
        texts = frozenset(name for name, featuriser in model.featurisers.items() if featuriser.reads == "words")
        note = f"{error}; found by words alone"
        return Query(words, np.zeros(model.bits), texts, held, notes=(note,), understood=False)
    return Query(words, model.ordering(modality, known)[0], frozenset([modality]), held, notes=tuple(notes))


def _misspelt(words: str, captions: Vocabulary | None) -> list[str]:
    """A line for each word of a query, the first five at most, that no text holds where one holds a word that is
    written nearly so. A model that knows what words mean does not ask for their spelling."""
    if captions is None:
        return []
    missing = [word for word in dict.fromkeys(words_of(words, pairs=False)) if not captions.knows(word)]
    near = {word: captions.near(word) for word in [word for word in missing if len(word) > 3][:NAMED]}
    return [
        f"{word!r} is not a word of any caption or label; nearest: {', '.join(alike)}"
        for word, alike in near.items()
        if alike
    ]


def _of(model: Model, picture: Any) -> Query:
    from crossbit.storage.pictures import read_picture  # here: words need no decoders

    pixels = read_picture(picture)
    modality = _reading(model, "pictures")
    said = os.fspath(picture) if isinstance(picture, str | os.PathLike) else "a picture"
    return Query(str(said), model.ordering(modality, pixels)[0], frozenset([modality]))


def _reading(model: Model, held: Kind) -> str:
    """The first modality whose rows are words, or pictures.

    Raises:
        UserError: there is none.
    """
    for modality, featuriser in model.featurisers.items():
        if featuriser.reads == held:
            return modality
    known = ", ".join(f"{modality} from {featuriser.reads}" for modality, featuriser in model.featurisers.items())
    raise UserError(f"this model encodes {known}; searching by {held} needs one trained on {held}")
