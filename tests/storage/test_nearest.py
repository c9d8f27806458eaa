"""Nearest words against a slow comparison with every word: twice the longest common subsequence over both lengths."""

import numpy as np
import pytest

from crossbit.storage.nearest import nearest

SYLLABLES = [first + vowel for first in "bdfgklmn" for vowel in "aeiou"]
RANDOM = np.random.default_rng(0)
LONG = {"".join(RANDOM.choice(SYLLABLES, RANDOM.integers(1, 5))) for _ in range(3000)}
WORDS = sorted(LONG | {syllable + last for syllable in SYLLABLES[::3] for last in "dgn"})


def similarity(a: str, b: str) -> float:
    row = [0] * (len(b) + 1)
    for letter in a:
        before = row[:]
        for i, other in enumerate(b, 1):
            row[i] = before[i - 1] + 1 if letter == other else max(before[i], row[i - 1])
    return 2 * row[-1] / (len(a) + len(b))


@pytest.mark.parametrize("word", ["bedifo", "magolu", "nibb", "kkkk", "gumolafe", "x", "bod", "xug"])
def test_the_three_best_are_those_that_comparing_all_finds(word: str) -> None:
    least = {known: 0.66 if len(word) == len(known) == 3 else 0.75 for known in WORDS}
    all_near = [similarity(word, known) for known in WORDS if similarity(word, known) >= least[known]]
    assert [similarity(word, found) for found in nearest(word, WORDS)] == sorted(all_near, reverse=True)[:3]


def test_nothing_is_near_a_word_of_other_letters() -> None:
    assert nearest("zzz", WORDS) == []
    assert nearest("zzz", []) == []
