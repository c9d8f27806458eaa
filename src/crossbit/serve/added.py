"""What is sent to be added: its rows encoded, its id and the name of its picture made of its content."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from crossbit.errors import UserError
from crossbit.index import stable_ids
from crossbit.model import Model
from crossbit.search.changing import encode
from crossbit.search.journal import ADDED, Encoded
from crossbit.serve.asked import picture_of
from crossbit.serve.changes import Change
from crossbit.serve.items import item_of
from crossbit.serve.pictures import ADDED_PATH, ENDINGS
from crossbit.serve.state import State

LABELS, LONGEST_LABEL, LONGEST_CAPTION = 100, 200, 10_000


def addition(state: State, content: bytes | None, caption: str | None, labels: list[str]) -> Change:
    """What adds an item; the same picture, caption and labels have the same id.

    Raises:
        UserError: the model takes something else than a picture and words, or one of them is missing.
        Refused: a picture that is too large, or none.
    """
    pixels = None if content is None else picture_of(content, state.settings.max_picture_pixels)
    with state.generations.use() as generation:
        model = generation.search.model
    words = caption or " ".join(labels)
    embeddings = encode(model, pixels, words)
    path = "" if content is None else _path_of(content)
    item = {"caption": caption, "path": path or None, **_labels(model, labels)}
    key = json.dumps([path, caption, labels])
    id_ = int(stable_ids([f"{ADDED}\n{key}"])[0])
    known = {name: value for name, value in item.items() if value}
    return Change(id_, Encoded(embeddings, known, model.digest), path, content)


def removal(state: State, id: int) -> Change:
    """What removes an item, with its picture if that was added.

    Raises:
        Refused: 404 for an id that is not there.
    """
    with state.generations.use() as generation:
        path = str(item_of(generation, id).item.get("path") or "")
    return Change(id, None, path if ADDED_PATH.fullmatch(path) else "")


def labels_from(text: str | None) -> list[str]:
    """Labels as they are sent, a JSON list of strings.

    Raises:
        UserError: something else.

    >>> labels_from('["cat", "dog"]'), labels_from(None)
    (['cat', 'dog'], [])
    """
    try:
        labels = json.loads(text) if text else []
    except (ValueError, RecursionError):
        labels = None
    if not isinstance(labels, list) or not all(_is_label(label) for label in labels) or len(labels) > LABELS:
        right = f'a JSON list of at most {LABELS} texts, such as ["cat", "dog"]'
        raise UserError(f"labels are {str(text)[:60]!r}; send {right}")
    return list(dict.fromkeys(labels))


def _is_label(label: Any) -> bool:
    return isinstance(label, str) and 0 < len(label) <= LONGEST_LABEL and label.isprintable()


def _labels(model: Model, labels: list[str]) -> dict[str, Any]:
    if model.config.get("multi_label") is not False:
        return {"labels": labels}
    if len(labels) > 1:
        raise UserError(f"an item of this run has one label, and {len(labels)} were sent; send one")
    return {"label": labels[0] if labels else None}


def _path_of(content: bytes) -> str:
    """Where, within the run, a picture is kept: its name is made of its content."""
    ending = next((ending for start, ending in ENDINGS.items() if content.startswith(start)), ".picture")
    return f"{ADDED}/{hashlib.blake2b(content, digest_size=16).hexdigest()}{ending}"
