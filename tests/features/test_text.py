"""Text features against a count with loops, and what is known."""

import math
import unicodedata

import numpy as np
import pytest

from crossbit.errors import UserError
from crossbit.features.words import LIMITS, WordsFeaturiser

TEXTS = ["a red red fox", "a green fox", "the red car", "the old car", "a fox", "old green tree"]


def test_word_weights_with_loops() -> None:
    featuriser = WordsFeaturiser.fit(TEXTS)
    words = featuriser.vocabularies["words"]
    assert words == sorted(w for w in set(" ".join(TEXTS).split()) if sum(w in t.split() for t in TEXTS) >= 2)
    row = np.zeros(len(words))
    for column, word in enumerate(words):
        count = TEXTS[0].split().count(word)
        frequency = sum(word in text.split() for text in TEXTS)
        if count:
            row[column] = (1 + math.log(count)) * (math.log((1 + len(TEXTS)) / (1 + frequency)) + 1)
    expected = row / math.sqrt((row**2).sum())
    np.testing.assert_allclose(featuriser.transform(TEXTS[:1])[0, : len(words)], expected, atol=1e-6)


def test_pieces_bring_a_misspelt_word_near() -> None:
    featuriser = WordsFeaturiser.fit(TEXTS)
    greeen, green, car = featuriser.transform(["greeen", "green", "car"])
    assert greeen @ green > greeen @ car


def test_known() -> None:
    featuriser = WordsFeaturiser.fit(TEXTS)
    assert featuriser.knows("RED balloon")
    assert not featuriser.knows("zzz")
    assert not featuriser.knows("")


def test_other_scripts() -> None:
    featuriser = WordsFeaturiser.fit(["красная лиса", "красная машина", "старая машина", "зелёное дерево"])
    assert featuriser.knows("лисы и машина")
    assert not featuriser.knows("fox")


def test_one_text_written_in_several_ways_has_one_vector() -> None:
    featuriser = WordsFeaturiser.fit(["une île océan", "une ÎLE étang", "la Straße", "la straße", "oak ３", "oak 3"])
    written = ["une île, STRASSE, oak 3", "UNE ÎLE, Straße, oak 3", "\ufeffune île, straße, ＯＡＫ 3"]
    forms = [unicodedata.normalize(form, text) for text in written for form in ("NFC", "NFD")]
    vectors = featuriser.transform(forms)
    assert vectors.any()
    np.testing.assert_array_equal(vectors, np.repeat(vectors[:1], len(forms), axis=0))
    assert all(featuriser.knows(form) for form in forms)


def test_marks_stay_with_their_letters() -> None:
    assert WordsFeaturiser.fit(["आधुनिक हिन्दी"] * 2).vocabularies["words"] == ["आधुनिक", "हिन्दी"]


def test_a_script_without_spaces_is_found_by_its_words() -> None:
    featuriser = WordsFeaturiser.fit(["東京の塔", "東京の橋", "古い橋", "古い塔"])
    assert featuriser.knows("橋")


@pytest.mark.slow
def test_the_vocabulary_is_limited_and_rare_words_left_out() -> None:
    random = np.random.default_rng(0)
    texts = [" ".join(f"w{int(number)}" for number in random.zipf(1.3, 12) % 10_000) for _ in range(3000)]
    vocabularies = WordsFeaturiser.fit(texts).vocabularies
    assert len(vocabularies["pieces"]) == LIMITS["pieces"]
    least = min(sum(word in text.split() for text in texts) for word in vocabularies["words"])
    assert least == 6  # 0.002 of 3,000


@pytest.mark.parametrize(
    ("texts", "query", "first"),
    [
        (["红色的狐狸在树下", "一辆旧汽车", "绿色的树"], "狐狸", 0),
        (["赤い狐", "古い車", "緑の木"], "車", 1),
        (["หมาแดง", "รถเก่า", "ต้นไม้เขียว"], "เก่า", 1),
        (["빨간 여우", "오래된 자동차", "초록 나무"], "나무", 2),
        (["आधुनिक मानक", "पुरानी गाड़ी", "हरा पेड़"], "पेड़", 2),
        (["pizza 🍕", "car 🚗", "flag 🇫🇷"], "🚗", 1),
        (["size 7", "size 3.14", "size 3"], "3.14", 1),
    ],
)
def test_a_word_of_any_script_finds_the_text_that_holds_it(texts: list[str], query: str, first: int) -> None:
    featuriser = WordsFeaturiser.fit(texts * 2)
    assert featuriser.check_query(query) == []
    similar = featuriser.transform(texts) @ featuriser.transform([query])[0]
    assert similar.argmax() == first and (np.delete(similar, first) < similar[first]).all()


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ("old fox", []),
        ("RED balloon", ["'balloon' is not a word that this model knows"]),
        (
            "gren balloon on a zebu",
            [
                "'gren' is not a word that this model knows; nearest: green",
                "'balloon', 'on', 'zebu' are not words that this model knows",
            ],
        ),
        ("gren fox", ["'gren' is not a word that this model knows; nearest: green"]),
        ("foxes", ["'foxes' is not a word that this model knows; nearest: fox"]),
    ],
)
def test_a_query_is_told_of_unknown_words(query: str, lines: list[str]) -> None:
    assert WordsFeaturiser.fit(TEXTS).check_query(query) == lines


def test_a_query_takes_the_number_of_a_word_that_is_known() -> None:
    words = WordsFeaturiser.fit(["a red fox", "a red car", "blue berries", "blue cars", "berries on a fox"])
    assert words.as_known("Foxes, a berry") == "fox, a berries"
    assert words.as_known("car and cars") == "car and cars"  # both are known
    assert words.as_known("Foxy FOX") == "Foxy FOX"  # as it was given where nothing is exchanged
    assert words.check_query(words.as_known("foxes")) == []


def test_a_word_of_a_single_text_is_known_by_that_text() -> None:
    texts = [*TEXTS, "the green zebu"]
    featuriser = WordsFeaturiser.fit(texts)
    assert featuriser.knows("zebu") and featuriser.check_query("zebu") == []
    with pytest.raises(UserError, match="knows no word of 'zebus'; nearest: zebu"):
        featuriser.check_query("zebus")
    similar = featuriser.transform(texts) @ featuriser.transform(["zebu"])[0]
    np.testing.assert_allclose(similar[-1], 2, atol=1e-6)  # both parts are those of its text
    assert similar[:-1].max() < 1.9


def test_rare_words_with_loops() -> None:
    texts = [*TEXTS, "green fox zebu", "red car yak"]
    featuriser = WordsFeaturiser.fit(texts)
    words = len(featuriser.vocabularies["words"])
    plain = WordsFeaturiser(featuriser.vocabularies, featuriser.state()[1])  # the same without rare words
    of_query, of_zebu, of_yak = plain.transform(["old car zebu yak", *texts[-2:]])
    expected = of_query / 2**3 + (of_zebu + of_yak) / 2 / 2**3  # two words are frequent, two rare
    made = featuriser.transform(["old car zebu yak"])[0]
    for part in (slice(words), slice(words, None)):
        np.testing.assert_allclose(made[part], expected[part] / np.linalg.norm(expected[part]), atol=1e-6)
    frequent = TEXTS[:5]  # texts without a rare word stay as they are, to the bit
    np.testing.assert_array_equal(featuriser.transform(frequent), plain.transform(frequent))


def test_a_rare_pair_of_frequent_characters_says_more_than_these() -> None:
    texts = ["红车在山上", "红马在水边", "狐在水上", "狸在山边", "红狐在山", "黑狸在水"] * 2 + ["红狐狸"]
    featuriser = WordsFeaturiser.fit(texts)
    assert "狐狸" in featuriser.company and {"狐", "狸"} <= set(featuriser.vocabularies["words"])
    one, whole, fox = featuriser.transform(["狐狸", "红狐狸", "红狐在山"])
    assert one @ whole > one @ fox
    np.testing.assert_allclose(one @ whole, (whole**2).sum(), atol=1e-5)  # all that it says is the text that holds it


def test_rare_words_are_saved() -> None:
    featuriser = WordsFeaturiser.fit([*TEXTS, "green fox zebu"])
    again = WordsFeaturiser.from_state(*featuriser.state())
    np.testing.assert_array_equal(again.transform(["zebu"]), featuriser.transform(["zebu"]))


def test_a_pair_of_known_characters_is_not_called_unknown() -> None:
    featuriser = WordsFeaturiser.fit(["红狐", "车旧"] * 2)
    assert featuriser.check_query("红车") == []
    assert featuriser.check_query("红马") == ["'马' is not a word that this model knows"]


def test_many_unknown_words_are_counted() -> None:
    lines = WordsFeaturiser.fit(TEXTS).check_query("fox " + " ".join(f"{i}" for i in range(1000)))
    assert len(lines) == 2 and lines[-1] == "995 further words are not known either"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?!", "this model knows no word of '\\?!'; try other words"),
        ("zzz", "this model knows no word of 'zzz'; try other words"),
        ("pzzia zzz", "this model knows no word of 'pzzia zzz'; nearest: pizza"),
    ],
)
def test_a_query_that_says_nothing_is_refused(query: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}$"):
        WordsFeaturiser.fit(["pizza", "red fox"] * 2).check_query(query)


def test_a_list_and_an_array_are_the_same() -> None:
    featuriser = WordsFeaturiser.fit(np.array(TEXTS))
    np.testing.assert_array_equal(featuriser.transform(TEXTS), featuriser.transform(np.array(TEXTS)))


@pytest.mark.parametrize(("wrong", "message"), [("one text", "not one string"), ([1, 2], "not int 1")])
def test_other_things_are_refused(wrong, message) -> None:
    with pytest.raises(UserError, match=message):
        WordsFeaturiser.fit(TEXTS).transform(wrong)


def test_texts_without_a_common_word_are_refused() -> None:
    with pytest.raises(UserError, match="no word occurs in 2 of the 2 texts"):
        WordsFeaturiser.fit(["xyz", "qrs"])
