import numpy as np

from benchmarks.studies.clipart_paraphrases import untitled
from crossbit.data import PairedData


def test_tags_whose_words_stand_in_the_title_are_not_asked():
    titles = np.array(["red fruit", "an apple", "green fruit", "fruit", "round fruit", "old fruit", "a car"])
    label = np.array([[1, 0]] * 6 + [[0, 1]], dtype=np.uint8)
    x = np.zeros((7, 2), np.float32)
    rows = {"query": np.array([6]), "train": np.arange(6), "retrieval": np.arange(6)}
    data = PairedData("toy", {"image": x, "text": titles}, label, rows, label_names=["apple", "car"])
    assert untitled(data) == {"apple": {0, 2, 3, 4, 5}}
