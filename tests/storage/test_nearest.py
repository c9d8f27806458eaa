"""Nearest words against a slow comparison with every word: twice the longest common subsequence over both lengths."""

import numpy as np
import pytest

from crossbit.storage.nearest import nearest

SYLLABLES = [first + vowel for first in "bdfgklmn" for vowel in "aeiou"]
RANDOM = np.random.default_rng(0)
WORDS = sorted({"".join(RANDOM.choice(SYLLABLES, RANDOM.integers(1, 5))) for _ in range(3000)})


def similarity(a: str, b: str) -> float:
    row = [0] * (len(b) + 1)
    for letter in a:
        before = row[:]
        for i, other in enumerate(b, 1):
            row[i] = before[i - 1] + 1 if letter == other else max(before[i], row[i - 1])
    return 2 * row[-1] / (len(a) + len(b))


@pytest.mark.parametrize("word", ["bedifo", "magolu", "nibb", "kkkk", "gumolafe", "x", "bod", "gug"])
def test_the_three_best_are_those_that_comparing_all_finds(word: str) -> None:
    best = sorted((similarity(word, known) for known in WORDS), reverse=True)[:3]
    least = 0.66 if len(word) == 3 else 0.75
    assert [similarity(word, found) for found in nearest(word, WORDS)] == [each for each in best if each >= least]


def test_nothing_is_near_a_word_of_other_letters() -> None:
    assert nearest("zzz", WORDS) == []
    assert nearest("zzz", []) == []
