"""Captions in Chinese, written without spaces: a rare word of frequent characters finds its picture."""

import numpy as np
import pytest

import crossbit
from crossbit.bits.search import top_k

PAIRS, CHARACTERS, COMMON, RARE, NUMBERS = 2000, 300, 500, 500, 128


def captions() -> tuple[list[list[str]], list[str]]:
    """The words of captions, two characters each: four to eight common ones, and rare ones in between; and these."""
    random = np.random.default_rng(0)
    characters = [chr(code) for code in random.permutation(np.arange(0x4E00, 0x9FA5))[:CHARACTERS]]
    drawn = random.choice(CHARACTERS**2, COMMON + RARE, replace=False).tolist()
    words = [characters[number // CHARACTERS] + characters[number % CHARACTERS] for number in drawn]
    common, rare = words[:COMMON], words[COMMON:]
    texts = [random.choice(common, random.integers(4, 9), replace=False).tolist() for _ in range(PAIRS)]
    for word in rare:
        for row in random.choice(PAIRS, random.integers(1, 3), replace=False):
            texts[row].insert(random.integers(len(texts[row]) + 1), word)
    return texts, rare


def pictures(texts: list[list[str]]) -> np.ndarray:
    """Vectors that show what the words say: the sum of a random vector for each word, and noise."""
    random = np.random.default_rng(1)
    shown = {word: random.normal(size=NUMBERS) for word in sorted({word for text in texts for word in text})}
    sums = np.array([sum(shown[word] for word in text) for text in texts])
    return (sums + random.normal(size=sums.shape)).astype(np.float32)


@pytest.mark.slow
def test_a_typed_word_finds_its_picture_among_ten() -> None:
    texts, rare = captions()
    rows, image = np.arange(PAIRS), pictures(texts)
    splits = {"train": rows, "query": rows[:0], "retrieval": rows}
    written = np.array(["".join(text) for text in texts])
    data = crossbit.PairedData("chinese", {"image": image, "text": written}, None, splits)
    model = crossbit.train(data, method="cca-itq", bits=64, seed=0, progress=False)
    assert all(model.featurisers["text"].check_query(word) == [] for word in rare)
    found = top_k(model.encode("text", rare), model.encode("image", image), 10)[1]
    own = [any(word in texts[row] for row in nearest) for word, nearest in zip(rare, found, strict=True)]
    assert np.mean(own) >= 0.9
