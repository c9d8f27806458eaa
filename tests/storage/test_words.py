"""One normal form of equal texts, and the words of texts in many scripts."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossbit.storage.words import normal_form, numbers_of, singular, words_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(TEXTS)
def test_the_normal_form_is_its_own_normal_form(text: str) -> None:
    assert normal_form(normal_form(text)) == normal_form(text)


@given(TEXTS, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_every_way_to_write_a_text_has_one_form(text: str, form: str) -> None:
    assert normal_form(unicodedata.normalize(form, text)) == normal_form(text)
    assert normal_form(text.casefold()) == normal_form(text)


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("Île Océan", "île océan"),
        ("ＯＡＫ １２", "oak 12"),
        ("\ufeffoak", "oak"),  # the mark at the start of some files
        ("Straße", "STRASSE"),
        ("ﬁne", "fine"),
        ("co\u00adoperate", "cooperate"),  # a hyphen that shows only at the end of a line
        ("❤\ufe0f", "❤"),
        ("نامه\u200cای", "نامهای"),
        ("ΟΔΟΣ", "οδος"),
        ("İstanbul", "istanbul"),
        ("ｶﾞｽ", "ガス"),
        ("ขา\u200bหมู", "ขา หมู"),
    ],
)
def test_equal_texts(one: str, same: str) -> None:
    assert normal_form(one) == normal_form(same)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("?! ... _ - ,", []),
        ("A red fox, a dog.", ["a", "red", "fox", "a", "dog"]),
        ("7", ["7"]),
        ("3.14 1,000. 5,", ["3.14", "1,000", "5"]),
        ("1. 2.", ["1", "2"]),
        ("#sunset @home snake_case", ["sunset", "home", "snake", "case"]),
        ("आधुनिक मानक हिन्दी", ["आधुनिक", "मानक", "हिन्दी"]),
        ("తెలుగు", ["తెలుగు"]),
        ("красная лиса", ["красная", "лиса"]),
        ("한국어 책", ["한국어", "책"]),
        ("中国人", ["中", "国", "人", "中国", "国人"]),
        ("人", ["人"]),
        ("2020年のパ", ["2020", "年", "の", "パ", "年の", "のパ"]),
        ("หมู", ["ห", "มู", "หมู"]),  # a vowel sign stays with its letter
        ("ខ្មែរ", ["ខ្", "មែ", "រ", "ខ្មែ", "មែរ"]),
        ("pizza🍕🍕", ["pizza", "🍕", "🍕"]),
        ("🇫🇷🇩🇪", ["🇫🇷", "🇩🇪"]),
        ("👩\u200d🚀", ["👩", "🚀"]),
        ("5 € → x", ["5", "€", "→", "x"]),
        ("\U0001fae9", ["\U0001fae9"]),  # newer than Python 3.11's tables
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(TEXTS)
def test_words_do_not_depend_on_the_way_of_writing(text: str) -> None:
    assert words_of(text) == words_of(normal_form(text))


@given(st.lists(TEXTS, max_size=3))
def test_a_space_separates_words(texts: list[str]) -> None:
    assert words_of(" ".join(texts)) == [word for text in texts for word in words_of(text)]


@given(st.text(st.characters(max_codepoint=127)) | st.text("a1.,B 2-"))
def test_ascii_alone_has_the_words_that_it_has_beside_others(text: str) -> None:
    assert [*words_of(text), "é"] == words_of(f"{text} é")


@pytest.mark.parametrize(
    ("one", "many"),
    [
        *[
            (noun, f"{noun}s")
            for noun in ("dog", "house", "cat", "king", "shoe", "toe", "axe", "pie", "movie", "horse")
        ],
        *[("fox", "foxes"), ("church", "churches"), ("dish", "dishes"), ("glass", "glasses"), ("berry", "berries")],
        *[("potato", "potatoes"), ("toy", "toys"), ("prize", "prizes"), ("cache", "caches"), ("café", "cafés")],
    ],
)
def test_both_numbers_of_a_word_are_one(one: str, many: str) -> None:
    assert singular(many) == singular(one) and {one, many} <= set(numbers_of(one)) == set(numbers_of(many))


@pytest.mark.parametrize("word", ["glass", "bus", "gas", "tennis", "virus", "s", "is", "chess", "3.14", "东", "лис"])
def test_a_word_that_is_no_plural_stays(word: str) -> None:
    assert singular(word) == word


@given(st.text("abes", min_size=1, max_size=6) | st.text("ioesxhcz", min_size=1, max_size=6))
def test_the_numbers_of_a_word_are_all_that_have_its_singular(word: str) -> None:
    assert word in numbers_of(word) and singular(singular(word)) == singular(word)
    assert {singular(each) for each in numbers_of(word)} == {singular(word)}
    assert len(set(numbers_of(word))) == len(numbers_of(word))
