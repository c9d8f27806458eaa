"""A query against the indexes of a run: what is found, and in which order."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np

from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.features.base import Reads
from crossbit.index import open_index
from crossbit.index.base import Hit
from crossbit.index.embeddings import Embeddings, cosines
from crossbit.model import Model
from crossbit.search.build import index_path
from crossbit.storage.pictures import read_picture


class Found(dict[str, list[Hit]]):
    """What was found, by modality: (id, distance, item), the best first; the distance is the Hamming distance.

    Attributes:
        reranked: by modality, whether a shortlist was ordered by embeddings; otherwise it is by (distance, id).
        cosines: where it was, the cosine between the query's embedding and each hit's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reranked: dict[str, bool] = {}
        self.cosines: dict[str, list[float]] = {}


def search_words(
    model: Model,
    uri: str | os.PathLike[str],
    words: str,
    k: int = 10,
    where: str | None = None,
    *,
    rerank: bool = True,
) -> Found:
    """The k best of every other modality for a text.

    Args:
        model: encodes the text.
        uri: the folder that `index_data` made.
        words: the text.
        k: how many at most.
        where: only items for which this expression is true.
        rerank: order what is nearest by Hamming distance by the embeddings' cosine, where the folder has embeddings;
            False leaves the order by (distance, id).

    Raises:
        UserError: the model knows no texts, or no word of this one; no index at `uri`, or one of another code length;
            a `where` that is not an expression over the items; embeddings that are damaged or not the index's.
    """
    modality = _modality_of("texts", model)
    model.featurisers[modality].check_query(words)
    return _search(model, uri, modality, model.embed(modality, [words]), k, where, rerank)


def search_picture(
    model: Model,
    uri: str | os.PathLike[str],
    picture: np.ndarray | str | os.PathLike[str],
    k: int = 10,
    where: str | None = None,
    *,
    rerank: bool = True,
) -> Found:
    """The k best of every other modality for a picture, uint8 (1, h, w, 3) or a file; otherwise as `search_words`.

    Raises:
        UserError: the model knows no pictures, the file cannot be read; and as `search_words`.
    """
    modality = _modality_of("pictures", model)
    pixels = picture if isinstance(picture, np.ndarray) else read_picture(picture)[None]
    return _search(model, uri, modality, model.embed(modality, pixels), k, where, rerank)


def _search(
    model: Model,
    uri: str | os.PathLike[str],
    modality: str,
    query: np.ndarray,
    k: int,
    where: str | None,
    rerank: bool,
) -> Found:
    """`query` is the embedding, (1, bits)."""
    found = Found()
    for other in model.modalities:
        if other != modality:
            path = Path(index_path(uri, other))
            if not path.exists():
                raise UserError(f"no index at {path}; make it with: crossbit index RUN")
            with open_index(path, bits=model.bits, read_only=True) as index:
                stored = Embeddings.beside(path.parent, other, model.bits) if rerank else None
                by = index.search if stored is None else partial(stored.search, index, query[0])
                found[other] = by(pack(query), k=k, where=where)[0]
                if stored is not None:
                    ids = np.array([id_ for id_, _, _ in found[other]], np.int64)
                    found.cosines[other] = cosines(stored.of(ids), query[0].astype(np.float64)).tolist()
            found.reranked[other] = stored is not None
    return found


def _modality_of(held: Reads, model: Model) -> str:
    """The first modality whose rows are texts, or pictures."""
    for modality, featuriser in model.featurisers.items():
        if featuriser.reads == held:
            return modality
    known = ", ".join(f"{modality} from {featuriser.reads}" for modality, featuriser in model.featurisers.items())
    raise UserError(f"this model encodes {known}; searching by {held} needs one trained on {held}")
