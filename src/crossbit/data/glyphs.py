"""Pictures of characters and their Unicode names, from fonts and names that are installed anyway.

matplotlib ships the DejaVu faces and Python knows every character's name: about 25,000 real picture-name pairs without
a download. The labels are read off the names, and the split is by character: no query's character is in any other
split, in any face.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from pathlib import Path

import matplotlib
import numpy as np
from fontTools.ttLib import TTFont
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from crossbit.data.neutral import load_neutral, save_neutral
from crossbit.data.types import PairedData
from crossbit.errors import UserError
from crossbit.storage.cache import cache_folder

BUILTIN = "glyphs"
RULES_VERSION = 2  # part of the cache's file name: raise it with any change below, so that old caches are not read

SIDE = 32  # pixels
POINT_SIZES = (24, 20, 16, 12, 8)  # the first at which the glyph fits
BASELINE = 24  # pixels from the top, moved only where a glyph would be cut off
PAPER, INK = (250, 248, 243), (28, 32, 44)
FACES = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Bold")
QUERIES, TRAINING, SEED = 2000, 5000, 0

LABELS = {  # label: what its characters' names contain, as whole words
    # script
    "latin": "latin",
    "greek": "greek",
    "cyrillic": "cyrillic",
    "arabic": "arabic",
    "armenian": "armenian",
    "georgian": "georgian",
    "hebrew": "hebrew",
    "canadian syllabics": "canadian syllabics",
    "other script": "lao|lisu|tifinagh|nko|ogham|old italic|coptic",
    # case and form
    "capital": "capital",
    "small": "small",
    "modifier": "modifier|superscript|subscript",
    "combining": "combining",
    "turned": "turned|reversed|inverted|rotated",
    # diacritic
    "accented": "letter .*with",
    "acute": "acute|tonos|oxia",
    "grave": "grave|varia",
    "circumflex": "circumflex|perispomeni",
    "breathing": "psili|dasia",
    "diaeresis": "diaeresis|dialytika",
    "tilde": "tilde",
    "macron": "macron",
    "breve": "breve|vrachy",
    "caron": "caron",
    "dot": "dots? above|dots? below|middle dot",
    "hook": "hook",
    "stroke": "stroke",
    # kind
    "number": "digits?|number|numeral|fraction",
    "arrow": "arrow|arrows|arrowhead|harpoon|harpoons",
    "comparison": "equal|less|greater|than|precedes|succeeds|subset|superset|almost|identical",
    "operator": "mathematical|operator|integral|plus|minus|summation|product|union|intersection|logical|element|"
    "multiplication|division|circled",
    "punctuation": "parenthesis|bracket|quotation|brace|"
    "comma|colon|semicolon|stop|mark|dash|hyphen|apostrophe|solidus|bullet|exclamation|question",
    "box drawing": "box drawings",
    "braille": "braille",
    "shape": "square|circle|triangle|diamond|rectangle|block|quadrant|lozenge|star|ellipse|parallelogram",
    "game": "domino|playing|chess|die",
    "hexagram": "hexagram|tetragram|trigram|digram|monogram",
    "sign": "sign|symbol",
    "filled": "black|heavy",
    "leftward": "left|leftwards",
    "rightward": "right|rightwards",
}


def label_matrix(names: list[str]) -> NDArray[np.uint8]:
    """0/1 labels (n, labels) of lower-cased Unicode names.

    >>> row = label_matrix(["greek small letter alpha with tonos"])[0]
    >>> [label for label, on in zip(LABELS, row) if on]
    ['greek', 'small', 'accented', 'acute']
    """
    patterns = [re.compile(rf"\b(?:{words})\b") for words in LABELS.values()]
    return np.array([[bool(p.search(name)) for p in patterns] for name in names], dtype=np.uint8)


def load() -> PairedData:
    """The glyph set, from the cache where it is whole, else built (a few seconds) and cached.

    The cache is `$CROSSBIT_CACHE`, else `crossbit` in the user's cache folder; where it cannot be written, nothing is
    cached.

    Returns:
        Modalities `image` uint8 (n, 32, 32, 3) and `text` (n,) lower-cased Unicode names; 0/1 labels with their names;
        2,000 queries, 5,000 training pairs, and as the retrieval database every pair that is not a query. A pair's
        group is its character's code point.
    """
    path = cache_folder() / f"glyphs-{RULES_VERSION}.npz"
    try:
        if path.exists():
            return load_neutral(path).replace(name=BUILTIN)
    except UserError:  # damaged, for example by a full disk
        path.unlink(missing_ok=True)
    data = build()
    with contextlib.suppress(UserError):  # read-only or full; or another process has just written the same
        save_neutral(data, path)
    return data


def build() -> PairedData:
    """Render and label every character of the six faces that has a name, a picture and a label; always the same."""
    pictures: list[NDArray[np.uint8]] = []
    names: list[str] = []
    for face in FACES:
        for name, picture in render_face(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{face}.ttf")):
            names.append(name)
            pictures.append(picture)
    text = np.array(names)
    label = label_matrix(names)
    kept = label.any(1)
    text, label = text[kept], label[kept]
    return PairedData(
        name=BUILTIN,
        modalities={"image": colour(np.stack(pictures)[kept]), "text": text},
        label=label,
        splits=split_by_character(text),
        label_names=list(LABELS),
        group=np.array([ord(unicodedata.lookup(name)) for name in text.tolist()]),
    )


def render_face(path: Path) -> list[tuple[str, NDArray[np.uint8]]]:
    """Names and coverage pictures (32, 32), 0..255, of the face's characters that have a name and some ink."""
    fonts = [ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC) for size in POINT_SIZES]
    drawn = []
    for code in sorted(TTFont(path, lazy=True).getBestCmap()):
        character = chr(code)
        name = unicodedata.name(character, "").lower()
        if name and unicodedata.category(character)[0] not in "CZ":  # no control characters, no spaces
            picture = render(character, fonts)
            if picture.any():
                drawn.append((name, picture))
    return drawn


def render(character: str, fonts: list[ImageFont.FreeTypeFont]) -> NDArray[np.uint8]:
    """One character's ink (32, 32), centred across, on the common baseline; in the first font in which it fits."""
    for font in fonts:
        left, top, right, bottom = font.getbbox(character, anchor="ls")  # relative to the start of the baseline
        if max(right - left, bottom - top) <= SIDE - 2:
            break
    x = (SIDE - (right - left)) // 2 - left
    y = min(max(BASELINE, 1 - top), SIDE - 1 - bottom)
    canvas = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(canvas).text((x, y), character, fill=255, font=font, anchor="ls")
    return np.asarray(canvas)


def colour(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Coverage (n, h, w) as dark ink on light paper (n, h, w, 3)."""
    ramp = np.linspace(PAPER, INK, 256).round().astype(np.uint8)  # (256, 3): no ink to full ink
    return np.asarray(ramp[ink])


def split_by_character(names: NDArray[np.str_]) -> dict[str, NDArray[np.int64]]:
    """Whole characters, in a fixed random order, become queries until there are 2,000; the rest is the database."""
    random = np.random.default_rng(SEED)
    _, character, faces = np.unique(names, return_inverse=True, return_counts=True)
    chosen, left = np.zeros(len(faces), dtype=bool), QUERIES
    for one in random.permutation(len(faces)):
        if faces[one] <= left:
            chosen[one], left = True, left - faces[one]
    retrieval = np.flatnonzero(~chosen[character])
    train = np.sort(random.choice(retrieval, TRAINING, replace=False))
    return {"train": train, "query": np.flatnonzero(chosen[character]), "retrieval": retrieval}
