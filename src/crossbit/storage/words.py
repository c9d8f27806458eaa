"""The words of a text in any script, in one normal form: the same for features, search and filters.

Sources: NFKC_Casefold (The Unicode Standard, section 3.13) for the form; Unicode Standard Annex 29 for what stays
together: marks with their letter, a point between two digits, the two halves of a flag.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise

UNSPACED = [  # scripts that put no space between words
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x1AAF),  # Tai Le, New Tai Lue, Buginese, Tai Tham
    (0x3005, 0x3007),  # Han's repetition, closing and zero
    (0x3040, 0x312F),  # Hiragana, Katakana, Bopomofo
    (0x31A0, 0x31FF),  # more of these
    (0x3400, 0x9FFF),  # Han
    (0xA000, 0xA48F),  # Yi
    (0x20000, 0x3FFFF),  # Han, rare characters
]
INVISIBLE = [  # fillers and selectors of variants, which are no format characters by category
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0xFE00, 0xFE0F),
    (0xE0000, 0xE0FFF),
]
FLAGS = [(0x1F1E6, 0x1F1FF)]  # two letters make one
EMOJI = [(0x1F000, 0x1FAFF)]  # the whole block: Python's own tables may be older than an emoji

# A text is read as the classes of its characters: l letter, d digit, u letter of a script without spaces, m mark,
# s symbol, f half of a flag, and the point and the comma themselves.
CHARACTER = re.compile("um*")
WORD = re.compile(r"(?P<unspaced>(?:um*)+)|[ld]m*(?:[ld]m*|(?<=d)[.,](?=d))*|ff|[sf]")

ASCII_WORD = re.compile(r"[a-z0-9](?:[a-z0-9]|(?<=[0-9])[.,](?=[0-9]))*")  # the same of ASCII alone, five times as fast

PLURAL = re.compile(r"[^sui]s$")
MUTE = re.compile(r"(?:[oxz]|ss|[cs]h)e$")


def normal_form(text: str) -> str:
    """One form for texts that mean the same: composed, of normal width, without case and invisible characters.

    A zero-width space separates words in some scripts, so it becomes a space.

    >>> normal_form("ＯＡＫ"), normal_form("Straße") == normal_form("STRASSE")
    ('oak', True)
    """
    if text.isascii():
        return text.lower()
    visible = unicodedata.normalize("NFKC", text.replace("\u200b", " ")).translate(_VISIBLE)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", visible).casefold()).casefold()
    return unicodedata.normalize("NFKC", folded).replace("i\u0307", "i")  # the dot that casefold leaves of a capital İ


def words_of(text: str, *, pairs: bool = True) -> list[str]:
    """The words of a text in normal form, as often as they occur.

    A word is a run of letters, marks and digits, and `3.14` is one word. A symbol beyond ASCII, such as an emoji, is a
    word by itself. In scripts without spaces every character is a word, and with `pairs` every pair of neighbours.

    >>> words_of("Two #RedFoxes, 3.14 km 🍕"), words_of("हिन्दी"), words_of("東京の")
    (['two', 'redfoxes', '3.14', 'km', '🍕'], ['हिन्दी'], ['東', '京', 'の', '東京', '京の'])
    """
    text = normal_form(text)
    if text.isascii():
        return ASCII_WORD.findall(text)
    words: list[str] = []
    for found in WORD.finditer(text.translate(_CLASSES)):
        start, end = found.span()
        if found.lastgroup == "unspaced":
            bounds = [*(start + one.start() for one in CHARACTER.finditer(found[0])), end]
            characters = [text[first:last] for first, last in pairwise(bounds)]
            words += characters
            if pairs:
                words += [one + other for one, other in pairwise(characters)]
        else:
            words.append(text[start:end])
    return words


def singular(word: str) -> str:
    """A word in normal form without the ending of an English plural, the same for both numbers.

    It is for comparing words, and not for people: a word that is no plural may lose an s as well, wherever it stands.
    Many French, Spanish and Portuguese plurals lose theirs, too. What is irregular stays: *mice*, *wolves*.

    Source: Harman, How Effective Is Suffixing? (1991), the "S" stemmer; with -es after o, x, z, ss, ch and sh.

    >>> [singular(word) for word in ("foxes", "cats", "berries", "potatoes", "churches", "glass", "bus", "gas")]
    ['fox', 'cat', 'berry', 'potato', 'church', 'glass', 'bus', 'gas']
    >>> singular("movies") == singular("movie"), singular("shoes") == singular("shoe"), singular("christmas")
    (True, True, 'christma')
    """
    if len(word) > 3 and PLURAL.search(word):
        word = word[:-1]
    if len(word) < 4 or word[-1] != "e":
        return word
    return word[:-2] + "y" if word[-2] == "i" else word[:-1] if MUTE.search(word) else word


def numbers_of(word: str) -> list[str]:
    """All that a word in normal form is in one number or the other: whatever has its `singular`.

    >>> numbers_of("berries"), numbers_of("fox")
    (['berry', 'berrys', 'berrie', 'berries'], ['fox', 'foxs', 'foxe', 'foxes'])
    """
    one = singular(word)
    stems = [one, one + "e", one[:-1] + "ie"]
    return [each for stem in stems for each in (stem, stem + "s") if singular(each) == one]


class _Table(dict[int, str]):
    """A table for `str.translate` that asks a function once per character."""

    def __init__(self, entry: Callable[[int], str]) -> None:
        self.entry = entry

    def __missing__(self, code: int) -> str:
        self[code] = entry = self.entry(code)
        return entry


def hidden(code: int) -> bool:
    """Whether a character is left out of the normal form."""
    return unicodedata.category(chr(code)) == "Cf" or _within(code, INVISIBLE)


def letter_class(code: int) -> str:
    """The class of a character: one of the letters of `WORD`; a space for what stands between words."""
    category = unicodedata.category(chr(code))
    if _within(code, FLAGS):
        return "f"
    if _within(code, EMOJI) or (category[0] == "S" and code > 0x7F):
        return "s"
    if category == "Nd":
        return "d"
    if category[0] in "LN":
        return "u" if _within(code, UNSPACED) else "l"
    return "m" if category[0] == "M" else chr(code) if chr(code) in ".," else " "


def _within(code: int, ranges: list[tuple[int, int]]) -> bool:
    return any(first <= code <= last for first, last in ranges)


_VISIBLE = _Table(lambda code: "" if hidden(code) else chr(code))
_CLASSES = _Table(letter_class)
