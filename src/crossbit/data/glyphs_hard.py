"""The glyphs with captions that do not name their labels, so that no modality gives the labels away.

Pictures, labels, groups and splits are those of `glyphs`. From each name every word is gone that a label is read off,
in any inflection; pairs of which no word is left are not in the set.
"""

from __future__ import annotations

import re

import numpy as np

from crossbit.data import glyphs
from crossbit.data.types import PairedData

BUILTIN = "glyphs-hard"

ENDINGS = re.compile(r"(?:ings?|wards?|ed|er|es|[es])$")  # of English inflections
SHORTEST = 4  # letters that a word without its ending must have; a shorter one would begin unrelated words


def load() -> PairedData:
    """The hard glyph set, made in a second from the glyph set (see `crossbit.data.glyphs.load`).

    Returns:
        Modalities `image` uint8 (n, 32, 32, 3) and `text` (n,), what is left of the lower-cased Unicode names; labels,
        groups and splits as of the glyph set, without the pairs whose names said nothing but labels.
    """
    return harden(glyphs.load())


def harden(data: PairedData) -> PairedData:
    """The glyph set `data` with captions that do not name its labels."""
    captions = without_label_words(data["text"])
    hard = data.replace(name=BUILTIN, modalities={"image": data["image"], "text": captions})
    return hard.take(np.flatnonzero(captions != ""))


def without_label_words(names: np.ndarray) -> np.ndarray:
    """Names (n,) as their words, without those that begin with the stem of a word in the rules of the labels.

    >>> names = ["greek small letter alpha with tonos", "squared plus", "left-pointing double angle quotation mark"]
    >>> without_label_words(np.array(names)).tolist()
    ['alpha', '', 'pointing double angle']
    """
    rules = " ".join([*glyphs.LABELS, *glyphs.LABELS.values()])
    begins = re.compile("|".join(sorted({stem(word) for word in re.findall("[a-z]+", rules)})))
    return np.array([" ".join(w for w in re.findall(r"\w+", name) if not begins.match(w)) for name in names.tolist()])


def stem(word: str) -> str:
    """A word without its ending.

    >>> [stem(word) for word in ("squared", "leftwards", "digits", "combining", "die")]
    ['squar', 'left', 'digit', 'combin', 'die']
    """
    short = ENDINGS.sub("", word)
    return short if len(short) >= SHORTEST else word
