"""Items and hits as the service tells them."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossbit.search.results import SearchHit, SearchResults
from crossbit.serve.generations import Generation
from crossbit.serve.pictures import Pictures
from crossbit.serve.replies import Refused, plain


def item_of(generation: Generation, id: int) -> SearchHit:
    """What the index holds about an id, as a hit of no search.

    Raises:
        Refused: 404 for an id that is not there.
    """
    for modality in generation.search.model.modalities:
        held, ids = generation.search.opened(modality), np.array([id], np.int64)
        found = held.index.items(ids)
        if id in found:
            (likely,) = held.probabilities.of(ids)
            return SearchHit(id, modality, None, None, found[id] or {}, probabilities=likely)
    raise Refused(404, f"no item {id}; take the `id` of a hit")


def about(hit: SearchHit, pictures: Pictures) -> dict[str, Any]:
    """What is told of an item, whether or not it was found by a search."""
    at = f"/api/items/{hit.id}" if pictures.is_there(hit.item) else None
    return {
        "id": str(hit.id),
        "caption": None if hit.caption is None else str(hit.caption),
        "labels": [{"name": str(label.name), "p": plain(label.p), "given": label.given} for label in hit.labels],
        "columns": {name: plain(value) for name, value in hit.columns.items()},
        "picture": at and f"{at}/picture",
        "thumbnail": at and f"{at}/thumbnail",
    }


def found(hit: SearchHit, pictures: Pictures) -> dict[str, Any]:
    """A hit."""
    return {
        **about(hit, pictures),
        "distance": hit.distance,
        "cosine": plain(hit.cosine),
        "picture_cosine": plain(hit.picture_cosine),
        "by": list(hit.by),
        "more": hit.more,
        "why": list(hit.why),
        "bits": hit.bits,
    }


def told(results: SearchResults, pictures: Pictures) -> dict[str, Any]:
    """The results of a search."""
    return {
        "query": results.query,
        "hits": {modality: [found(hit, pictures) for hit in hits] for modality, hits in results.hits.items()},
        "seconds": round(results.seconds, 6),
        "compared": results.compared,
        "exact": results.exact,
        "fits": None if results.fits is None else plain(float(results.fits)),
        "notes": list(results.notes),
    }
