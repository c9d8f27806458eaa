"""PairedData: what it refuses, in one line each, and what training may see."""

import re
import unicodedata
import warnings

import numpy as np
import pytest

from crossbit.data.observed import observed_labels
from crossbit.data.types import PairedData
from crossbit.errors import UserError

N = 6
SPLITS = {"train": [2, 3, 4], "query": [0, 1], "retrieval": [2, 3, 4, 5]}
LABEL = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 1, 1]])
WORDS = np.array(list("abcdef"))


def make(**changes) -> PairedData:
    vectors = np.arange(N * 2, dtype=np.float32).reshape(N, 2)
    whole = {"name": "toy", "modalities": {"image": vectors, "text": WORDS}, "label": LABEL, "splits": SPLITS}
    return PairedData(**{**whole, **changes})


def splits(**changes):
    return {"splits": {**SPLITS, **changes}}


def image(array):
    return {"modalities": {"image": array}}


def vectors_with(value, row=3, column=1, dtype=np.float32):
    array = np.zeros((N, 2), dtype)
    array[row, column] = value
    return image(array)


REFUSED = {
    "no modality": ({"modalities": {}}, "no modality"),
    "modality named as an array": ({"modalities": {"caption": WORDS}}, "cannot be called 'caption'"),
    "modality named as a label": ({"modalities": {"label_image": WORDS}}, "cannot be called 'label_image'"),
    "modality named as a path": ({"modalities": {"../x": WORDS}}, "cannot be called '../x'"),
    "other number of rows": (
        {"modalities": {"image": np.zeros((5, 2)), "text": WORDS}},
        "'text' .* 'image' has 5 rows",
    ),
    "integer features": (image(np.zeros((N, 2), np.int64)), "int64 of shape .* must be float16/32/64"),
    "flat uint8": (image(np.zeros((N, 12), np.uint8)), r"uint8 of shape \(6, 12\); .* uint8 \(n, h, w, 3\)"),
    "grey pictures": (image(np.zeros((N, 4, 4), np.uint8)), r"uint8 \(n, h, w, 3\) pictures"),
    "float pictures": (image(np.zeros((N, 4, 4, 3), np.float32)), r"uint8 \(n, h, w, 3\) pictures"),
    "complex features": (image(np.zeros((N, 2), complex)), "complex128"),
    "no columns": (image(np.zeros((N, 0))), r"shape \(6, 0\)"),
    "one number": (image(np.float32(1)), r"shape \(\)"),
    "bytes for words": (image(WORDS.astype("S")), "unicode"),
    "objects for words": (image(WORDS.astype(object)), "object of shape"),
    "NaN": (vectors_with(np.nan), "'image' holds nan in row 3, column 1; .* finite"),
    "infinite": (vectors_with(-np.inf), "'image' holds -inf in row 3"),
    "NaN in float16": (vectors_with(np.nan, dtype=np.float16), "holds nan in row 3"),
    "infinite in float32 only": (vectors_with(1e300, dtype=np.float64), r"holds 1e\+300 in row 3"),
    "label rows": ({"label": LABEL[:5]}, r"label has shape \(5, 3\) but the modalities have 6 rows"),
    "label 2": ({"label": LABEL * 2}, "label holds 2; .* only 0 and 1"),
    "label -1": ({"label": LABEL - 1}, "label holds -1; .* only 0 and 1"),
    "label one half": ({"label": LABEL / 2}, "label holds 0.5; .* only 0 and 1"),
    "label NaN": ({"label": LABEL * np.nan}, "label holds nan; .* only 0 and 1"),
    "column of classes": (
        {"label": np.arange(N)[:, None]},
        r"label holds 2; .* one class number per row has shape \(n,\)",
    ),
    "negative class": ({"label": np.arange(N) - 1}, "label holds class -1; classes are counted from 0, and a row"),
    "a class beyond 64 bits": (
        {"label": np.arange(N, dtype=np.uint64) + 2**63},
        f"label holds class {2**63 + N - 1}; number the classes from 0",
    ),
    "float classes": ({"label": np.arange(N) / 1.0}, "label is float64"),
    "label without columns": ({"label": np.zeros((N, 0), int)}, r"label is int64 of shape \(6, 0\)"),
    "label of words": ({"label": WORDS}, "label is <U1"),
    "observed label 3": ({"observed_label": LABEL * 3}, "observed_label holds 3"),
    "observed label of another form": (
        {"observed_label": np.arange(N)},
        r"observed_label has shape \(6,\) but label has",
    ),
    "observed label of other width": (
        {"observed_label": LABEL[:, :2]},
        r"observed_label has shape \(6, 2\) but label has",
    ),
    "modality label": ({"modality_label": {"image": LABEL * 2}}, "label_image holds 2"),
    "modality observed label": (
        {"modality_observed_label": {"text": LABEL[1:]}},
        r"observed_label_text has shape \(5, 3\)",
    ),
    "label of no modality": (
        {"modality_label": {"imge": LABEL}},
        "unknown array 'label_imge'; did you mean 'label_image'",
    ),
    "observed label of no modality": (
        {"modality_observed_label": {"imge": LABEL}},
        "unknown array 'observed_label_imge'; did you mean 'observed_label_image'",
    ),
    "too few label names": ({"label_names": ["a", "b"]}, "label_names has 2 names but label has 3 classes"),
    "too few names of classes": (
        {"label": np.arange(N), "label_names": list("abc")},
        "3 names but label holds class 5",
    ),
    "label names of numbers": ({"label_names": [1, 2, 3]}, "label_names is int64"),
    "captions of bytes": ({"caption": WORDS.astype("S")}, "caption is .* must be unicode"),
    "too few captions": ({"caption": WORDS[1:]}, r"caption has shape \(5,\)"),
    "paths of objects": ({"path": WORDS.astype(object)}, "path is object"),
    "groups of numbers with a point": ({"group": np.zeros(N)}, "group is float64 .* must be integers or unicode"),
    "groups in two columns": ({"group": np.zeros((N, 2), int)}, r"group is int64 of shape \(6, 2\)"),
    "too few groups": ({"group": WORDS[1:]}, r"group has shape \(5,\)"),
    "unknown split": (splits(trian=[2]), "unknown split 'trian'; did you mean 'train'"),
    "missing split": ({"splits": {"train": [2], "query": [0]}}, "split 'retrieval' is missing"),
    "empty train": (splits(train=[]), "split 'train' is empty"),
    "masks for numbers": (splits(train=np.ones(N, bool)), "'train' is bool .* integer row numbers"),
    "float rows": (splits(train=[2.0]), "'train' is float64"),
    "rows in two columns": (splits(train=[[2, 3]]), r"'train' is int64 of shape \(1, 2\)"),
    "row too large": (splits(retrieval=[6]), "'retrieval' lists row 6; there are 6 rows, numbered 0 to 5"),
    "row below 0": (splits(retrieval=[-1]), "'retrieval' lists row -1"),
    "row twice": (splits(train=[2, 4, 2]), "'train' lists row 2 more than once"),
    "query in train": (splits(train=[1, 2]), "'query' shares 1 rows with 'train', such as 1"),
    "query in retrieval": (splits(retrieval=[0, 1, 2]), "'query' shares 2 rows with 'retrieval', such as 0"),
    "query in validation": (splits(validation=[1]), "'query' shares 1 rows with 'validation'"),
}


@pytest.mark.parametrize(("changes", "says"), REFUSED.values(), ids=REFUSED)
def test_refuses_in_one_line(changes, says):
    with pytest.raises(UserError) as caught:
        make(**changes)
    message = str(caught.value)
    assert re.search(says, message), message
    assert "\n" not in message


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", ">f8"])
def test_features_are_kept_as_they_are(dtype):
    array = np.full((N, 3), 7, dtype)  # constant features are fine
    assert make(**image(array))["image"] is array


def test_kinds():
    data = make(modalities={"a": np.zeros((N, 2)), "b": np.zeros((N, 4, 5, 3), np.uint8), "c": WORDS})
    assert [data.kind(name) for name in "abc"] == ["vectors", "pictures", "words"]
    with pytest.raises(UserError, match="unknown modality 'd'"):
        data.kind("d")


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.uint8, np.float32])
def test_label_matrices_become_uint8(dtype):
    label = make(label=LABEL.astype(dtype)).label
    assert label.dtype == np.uint8
    assert (label == LABEL).all()


def test_names_of_labels_are_as_they_are_typed():
    apart = [unicodedata.normalize("NFD", name) for name in ("île", "chêne", "c")]
    assert make(label_names=apart).label_names == ["île", "chêne", "c"] != apart


def test_classes_and_multi_label():
    classes = np.array([0, 4, 1, 1, 0, 2], np.uint8)
    single = make(label=classes)
    assert single.label.dtype == np.int64
    assert (single.classes, single.multi_label) == (5, False)
    assert make(label=classes, observed_label=classes + 3).classes == 8
    assert make(label=classes, label_names=list("abcdefg")).classes == 7
    assert (make().classes, make().multi_label) == (3, True)
    one_hot = np.eye(3)[[0, 1, 2, 0, 1, 2]]
    assert not make(label=one_hot).multi_label
    assert make(label=one_hot, observed_label=LABEL).multi_label
    assert (make(label=None).classes, make(label=None).multi_label) == (0, False)


def test_one_bad_value_is_found_wherever_it_is(monkeypatch):
    monkeypatch.setattr("crossbit.data.checks._BLOCK_BYTES", 5 * 7 * 8)  # five rows a block, the last one shorter
    rows = 23
    parts = {"train": [1], "query": [0], "retrieval": [1]}
    for row in range(rows):
        array = np.zeros((rows, 7))
        array[row, row % 7] = np.inf
        with pytest.raises(UserError, match=f"in row {row}, column {row % 7};"):
            PairedData("x", {"image": array}, None, parts)
    PairedData("x", {"image": np.zeros((rows, 7))}, None, parts)


def test_overflow_to_float32_gives_no_warning():
    changes = vectors_with(1e300, dtype=np.float64)
    with warnings.catch_warnings(action="error"), pytest.raises(UserError):
        make(**changes)


def test_replace_does_not_read_features_again(monkeypatch):
    data = make()
    read = []
    monkeypatch.setattr("crossbit.data.checks._check_finite", lambda name, array: read.append(name))
    changed = data.replace(name="other").with_observed(LABEL)
    assert read == []
    assert changed["image"] is data["image"]
    changed.replace(modalities={"image": np.zeros((N, 2)), "text": WORDS})
    assert read == ["image"]


def test_replace_checks_what_changes():
    with pytest.raises(UserError, match="observed_label holds 2"):
        make().with_observed(LABEL * 2)
    with pytest.raises(UserError, match="holds nan"):
        make().replace(**vectors_with(np.nan))


def test_rows():
    data = make(caption=WORDS, **splits(train=[4, 2]))
    assert data.train.index.dtype == np.int64
    assert data.train["text"].tolist() == ["e", "c"]
    assert data.train["image"].tolist() == [[8, 9], [4, 5]]
    assert data.train.label.tolist() == LABEL[[4, 2]].tolist()
    assert data.train.caption.tolist() == ["e", "c"]
    assert (len(data.query), len(data.retrieval), len(data.validation)) == (2, 4, 0)
    assert len(make(**splits(validation=[3, 5])).validation) == 2  # a part of train and of the database: allowed
    with pytest.raises(UserError, match="unknown modality 'imag'; did you mean 'image'"):
        data.train["imag"]


def test_groups_of_rows():
    data = make(group=np.array([9, 9, 3, 3, -1, 9], np.int16), **splits(train=[4, 2]))
    assert data.group.dtype == np.int64
    assert data.train.group.tolist() == [-1, 3]
    assert data.replace(name="other").group.tolist() == [9, 9, 3, 3, -1, 9]
    assert make(group=WORDS).query.group.tolist() == ["a", "b"]
    assert make().train.group is None


def test_taking_rows():
    everything = {
        "observed_label": 1 - LABEL,
        "modality_label": {"image": LABEL[::-1]},
        "modality_observed_label": {"text": np.roll(LABEL, 1, axis=0)},
        "label_names": list("xyz"),
        "caption": WORDS[::-1],
        "path": WORDS,
        "group": np.arange(N) // 2,
    }
    data = make(**everything, **splits(train=[4, 3, 2], validation=[5]))
    rows = np.array([5, 0, 3, 4])
    few = data.take(rows)
    assert (few.n, few.name, few.label_names) == (4, "toy", ["x", "y", "z"])
    for name in ("label", "observed_label", "caption", "path", "group"):
        assert getattr(few, name).tolist() == getattr(data, name)[rows].tolist()
    for name in ("modalities", "modality_label", "modality_observed_label"):
        assert getattr(few, name).keys() == getattr(data, name).keys()
        for key, array in getattr(few, name).items():
            assert array.tolist() == getattr(data, name)[key][rows].tolist()
    numbered = {name: index.tolist() for name, index in few.splits.items()}
    assert numbered == {"train": [3, 2], "query": [1], "retrieval": [2, 3, 0], "validation": [0]}
    assert make().take(rows).group is None
    with pytest.raises(UserError, match="split 'train' is empty"):
        data.take(np.array([0, 1, 5]))


def test_rows_are_copies():
    data = make()
    data.train["image"][:] = -1
    data.train.observed()[:] = 0
    assert data["image"].min() == 0
    assert (data.label == LABEL).all()


def test_what_training_sees():
    a, b, c, d = (np.roll(LABEL, shift, axis=0) for shift in (1, 2, 3, 4))
    rows = [2, 3, 4]

    def sees(expected, modality=None, **changes):
        observed = make(**changes).train.observed(modality)
        assert observed.tolist() == expected[rows].tolist()

    sees(LABEL)
    sees(LABEL, "image")
    sees(a, "image", modality_label={"image": a})
    sees(LABEL, "text", modality_label={"image": a})
    sees(LABEL, modality_label={"image": a})
    sees(b, "image", modality_label={"image": a}, observed_label=b)
    sees(b, observed_label=b)
    sees(c, "image", modality_label={"image": a}, observed_label=b, modality_observed_label={"image": c})
    sees(b, "text", modality_label={"image": a}, observed_label=b, modality_observed_label={"image": c})
    sees(d, "text", modality_label={"text": d}, modality_observed_label={"image": c}, label=None)
    assert make(label=None).train.observed() is None
    assert make(label=None).train.label is None


def test_noise_per_modality_never_falls_back_on_the_truth():
    data = make(modality_observed_label={"image": LABEL, "text": LABEL})
    with pytest.raises(UserError, match="labels per modality only"):
        data.train.observed()
    with pytest.raises(UserError, match="labels per modality only"):
        make(label=None, modality_label={"image": LABEL}).train.observed()


def test_with_observed_takes_the_place_of_what_was_seen():
    other = np.roll(LABEL, 1, axis=0)
    apart = make(observed_label=LABEL).with_observed({"image": other, "text": LABEL})
    assert apart.observed_label is None
    assert apart.train.observed("image").tolist() == other[[2, 3, 4]].tolist()
    together = apart.with_observed(other)
    assert together.modality_observed_label == {}
    assert together.train.observed("text").tolist() == other[[2, 3, 4]].tolist()
    assert together.train.label.tolist() == LABEL[[2, 3, 4]].tolist()


def test_no_queries_is_fine():
    assert len(make(**splits(query=[])).query) == 0


def test_data_have_a_length_and_say_how_rows_are_asked_for() -> None:
    data = make()
    assert (len(data), len(data.take([4, 0, 2])), len(data.query)) == (6, 3, 2)
    for ask in (lambda: data[0], lambda: list(data), lambda: data[:2], lambda: data.train[0]):
        with pytest.raises(UserError, match=r"is no modality; data\['image'\] gives its rows, and data.take"):
            ask()


def test_repr_is_one_line_about_what_there_is() -> None:
    large = {"image": np.zeros((N, 8, 8, 3), np.uint8), "text": np.array(["some long words"] * N)}
    data = make(modalities=large)
    told = "6 pairs of image (pictures, 8x8x3) and text (words), 3 classes, train 3, query 2, retrieval 4"
    assert repr(data) == str(data) == f"<PairedData toy: {told}>"
    assert repr(data.train) == f"<3 rows of {data!r}>"


def test_classes_that_are_ids_are_refused_before_memory_is_gone():
    splits = {"train": [1, 2], "query": [0], "retrieval": [1, 2]}
    data = PairedData("ids", {"image": np.eye(3)}, np.array([0, 10**6, 3 * 10**6]), splits)
    with pytest.raises(UserError, match="'ids' has 3,000,001 classes; training takes 65,536; are they ids"):
        observed_labels(data, ["image"], np.arange(3))
