"""A word that occurs once or twice finds its own picture."""

import numpy as np
import pytest

import crossbit
from crossbit.bits.search import top_k

PAIRS, WORDS, NUMBERS = 4000, 3000, 256
SYLLABLES = [first + vowel for first in "bdfgklmnprstvz" for vowel in "aeiou"]


def captions(common_words: str) -> tuple[list[str], list[str]]:
    """Captions of two to five common words, and rare ones, half of all words; and these.

    The common words are "alike", each as frequent as another, or "zipf": that of rank r has chance 1 / (r + 1).
    """
    random = np.random.default_rng(0)
    words = random.permutation([a + b + c for a in SYLLABLES for b in SYLLABLES for c in SYLLABLES])[:WORDS].tolist()
    common, rare = words[: WORDS // 2], words[WORDS // 2 :]
    chances = np.ones(len(common)) if common_words == "alike" else 1 / np.arange(2, len(common) + 2)
    chances /= chances.sum()
    texts = [random.choice(common, random.integers(2, 6), replace=False, p=chances).tolist() for _ in range(PAIRS)]
    for word in rare:
        for row in random.choice(PAIRS, random.integers(1, 3), replace=False):
            texts[row].append(word)
    return [" ".join(text) for text in texts], rare


def pictures(texts: list[str]) -> np.ndarray:
    """Vectors that show what the words say: the sum of a random vector for each word, and noise."""
    random = np.random.default_rng(1)
    shown = {word: random.normal(size=NUMBERS) for word in sorted(set(" ".join(texts).split()))}
    sums = np.array([sum(shown[word] for word in text.split()) for text in texts])
    return (sums + random.normal(size=sums.shape)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [64, 128])
@pytest.mark.parametrize("common_words", ["alike", "zipf"])
@pytest.mark.parametrize("method", ["cca-itq", "infonce"])
def test_a_rare_word_finds_its_own_picture_among_ten(method: str, common_words: str, bits: int) -> None:
    texts, rare = captions(common_words)
    rows, image = np.arange(PAIRS), pictures(texts)
    splits = {"train": rows, "query": rows[:0], "retrieval": rows}
    data = crossbit.PairedData("captions", {"image": image, "text": np.array(texts)}, None, splits)
    model = crossbit.train(data, method=method, bits=bits, seed=0, progress=False)
    asked = rare[::4]
    found = top_k(model.encode("text", asked), model.encode("image", image), 10)[1]
    own = [any(word in texts[row].split() for row in nearest) for word, nearest in zip(asked, found, strict=True)]
    assert np.mean(own) >= 0.9
