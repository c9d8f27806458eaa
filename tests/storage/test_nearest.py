"""Nearest words against the standard library's comparison with every word."""

from difflib import get_close_matches

import numpy as np
import pytest

from crossbit.storage.nearest import nearest

SYLLABLES = [first + vowel for first in "bdfgklmn" for vowel in "aeiou"]
RANDOM = np.random.default_rng(0)
WORDS = sorted({"".join(RANDOM.choice(SYLLABLES, RANDOM.integers(1, 5))) for _ in range(3000)})


@pytest.mark.parametrize("word", ["bedifo", "magolu", "nibb", "kkkk", "gumolafe", "x"])
def test_the_best_is_the_one_that_comparing_all_finds(word: str) -> None:
    assert nearest(word, WORDS, 1) == get_close_matches(word, WORDS, 1)


def test_nothing_is_near_a_word_of_other_letters() -> None:
    assert nearest("zzz", WORDS) == []
    assert nearest("zzz", []) == []
