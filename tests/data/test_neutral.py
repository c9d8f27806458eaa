"""Neutral files: everything comes back as it was, and whatever is not a neutral file is refused in one line."""

import importlib
import io
import os
import random
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from crossbit.data import builtins, describe, load_data
from crossbit.data.neutral import load_neutral, save_neutral
from crossbit.data.types import PairedData
from crossbit.errors import UserError

N = 7
RNG = np.random.default_rng(0)
LABEL = RNG.integers(0, 2, (N, 3)).astype(np.uint8)
WORDS = np.array(["é ∑ 字", "", "one two", "x" * 300, " lead", "tail ", "🎈"])
ARRAYS = {
    "image": RNG.integers(0, 256, (N, 3, 5, 3)).astype(np.uint8),
    "text": WORDS,
    "file": RNG.normal(size=(N, 4)).astype(np.float16),  # a name that numpy.savez cannot write
    "label": LABEL,
    "observed_label": 1 - LABEL,
    "label_image": LABEL[::-1],
    "observed_label_text": LABEL[:, ::-1],
    "label_names": np.array(["α", "b", "c"]),
    "caption": WORDS[::-1],
    "path": WORDS,
    "group": np.array([7, 7, -1, 3, 3, 3, 10**12]),
    "train": np.array([2, 5]),
    "query": np.array([1, 0]),
    "retrieval": np.array([6, 2, 3, 4, 5]),
    "validation": np.array([3]),
}
LEAST = {name: ARRAYS[name] for name in ("image", "label", "train", "query", "retrieval")}


def whole() -> PairedData:
    return PairedData(
        "whole",
        {name: ARRAYS[name] for name in ("image", "text", "file")},
        ARRAYS["label"],
        {name: ARRAYS[name] for name in ("train", "query", "retrieval", "validation")},
        observed_label=ARRAYS["observed_label"],
        modality_label={"image": ARRAYS["label_image"]},
        modality_observed_label={"text": ARRAYS["observed_label_text"]},
        label_names=ARRAYS["label_names"].tolist(),
        caption=ARRAYS["caption"],
        path=ARRAYS["path"],
        group=ARRAYS["group"],
    )


def write(path, arrays, **kwargs):
    """A file as other programs would write it, through numpy alone."""
    if path.suffix == ".npz":
        np.savez(path, **arrays, **kwargs)
    else:
        path.mkdir()
        for name, array in arrays.items():
            np.save(path / f"{name}.npy", array)
    return path


def same(a, b):
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


@pytest.mark.parametrize("name", ["out.npz", "out"])
def test_everything_comes_back(tmp_path, name):
    data = whole()
    save_neutral(data, tmp_path / name)
    back = load_neutral(tmp_path / name)
    assert back.name == "out"
    for attribute in vars(data).keys() - {"name", "modalities"}:
        same(getattr(data, attribute), getattr(back, attribute))
    same(dict(sorted(data.modalities.items())), dict(sorted(back.modalities.items())))
    assert os.listdir(tmp_path) == [name]
    save_neutral(back, tmp_path / f"again{(tmp_path / name).suffix}")  # a mapped folder can be written again


@pytest.mark.parametrize("name", ["out.npz", "out"])
def test_the_least_and_no_labels_come_back(tmp_path, name):
    least = PairedData("least", {"x": np.eye(3)}, None, {"train": [1], "query": [], "retrieval": [1, 2]})
    save_neutral(least, tmp_path / name)
    back = load_neutral(tmp_path / name)
    assert (back.label, back.observed_label, back.label_names, back.caption, back.path, back.group) == (None,) * 6
    assert len(back.query) == 0
    same(back["x"], np.eye(3))


@pytest.mark.parametrize("name", ["out.npz", "out"])
def test_groups_with_names_come_back(tmp_path, name):
    save_neutral(whole().replace(group=WORDS), tmp_path / name)
    same(load_neutral(tmp_path / name).group, WORDS)


@pytest.mark.parametrize("name", ["out.npz", "out"])
def test_integer_classes_come_back(tmp_path, name):
    classes = np.array([0, 3, 1])
    data = PairedData("x", {"x": np.eye(3)}, classes, {"train": [1], "query": [0], "retrieval": [1, 2]})
    save_neutral(data, tmp_path / name)
    same(load_neutral(tmp_path / name).label, classes)


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        save_neutral(whole(), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_numpy_reads_what_was_saved(tmp_path):
    save_neutral(whole(), tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as archive:
        assert set(archive.files) == set(ARRAYS)
        for name in archive.files:
            np.testing.assert_array_equal(archive[name], ARRAYS[name])


def test_folders_are_mapped_and_not_copied(tmp_path):
    data = load_neutral(write(tmp_path / "folder", ARRAYS))
    for name in data.modalities:
        assert isinstance(data[name], np.memmap)
        assert Path(data[name].filename) == (tmp_path / "folder" / f"{name}.npy")
        assert data[name].mode == "r"
    assert not isinstance(data.train["image"], np.memmap)
    data.train["image"][:] = 0  # a copy, hence writable
    assert isinstance(data.with_observed(LABEL)["image"], np.memmap)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_checks_of_a_mapped_folder_take_bounded_memory(tmp_path, dtype, monkeypatch):
    monkeypatch.setattr("crossbit.data.checks._BLOCK_BYTES", 1 << 20)
    folder = write(tmp_path / "folder", {name: ARRAYS[name] for name in ("train", "query", "retrieval")})
    np.lib.format.open_memmap(folder / "image.npy", mode="w+", dtype=dtype, shape=(1 << 13, 1 << 10))
    tracemalloc.start()
    data = load_neutral(folder).with_observed(np.zeros(1 << 13, int))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < data["image"].nbytes / 4


def test_captions_are_the_text_where_there_is_none(tmp_path):
    data = load_neutral(write(tmp_path / "a.npz", {**LEAST, "caption": WORDS}))
    assert data.kind("text") == "words"
    same(data["text"], WORDS)
    other = load_neutral(write(tmp_path / "b.npz", {**LEAST, "caption": WORDS, "text": WORDS[::-1]}))
    same(other["text"], WORDS[::-1])


def refused(path) -> str:
    with pytest.raises(UserError) as caught:
        load_neutral(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_missing(tmp_path):
    assert "does not exist" in refused(tmp_path / "none.npz")
    assert "without .npy arrays" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello, I am a text\n", bytes(range(256)) * 9, b"PK\x03\x04 and no more"])
def test_not_a_data_file(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    assert "is not a data file that can be read" in refused(path)


def test_one_array_named_npz(tmp_path):
    with open(tmp_path / "x.npz", "wb") as opened:
        np.save(opened, np.eye(3))
    assert "is not a data file" in refused(tmp_path / "x.npz")


def test_a_zip_of_other_things(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("letter.txt", "dear")
    assert "'letter.txt' in it" in refused(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as archive:
        archive.writestr("image.npy", "dear")
    assert "array 'image' cannot be read: it is damaged" in refused(tmp_path / "y.npz")


@pytest.mark.parametrize("array", ["text", "train"])  # one that is mapped in folders and one that is read
@pytest.mark.parametrize("name", ["x.npz", "x"])
def test_pickled_arrays_are_refused(tmp_path, name, array):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    path = write(tmp_path / name, {**LEAST, array: np.array([Harm()] * N, object)})
    message = refused(path)
    assert "pickled objects, which are never read" in message
    assert array in message
    assert not (tmp_path / "harm").exists()


def test_a_pickle_in_a_folder_is_refused(tmp_path):
    path = write(tmp_path / "x", LEAST)
    (path / "text.npy").write_bytes(b"\x80\x04K\x01.")  # the pickle of 1
    assert "text.npy cannot be read: it is a Python pickle, which is never read" in refused(path)


@pytest.mark.parametrize("name", ["x.npz", "x"])
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"label": LABEL[1:]}, "label has shape (6, 3) but the modalities have 7 rows"),
        ({"label": LABEL + 1}, "label holds 2; a (n, classes) label matrix may hold only 0 and 1"),
        ({"text": np.full((N, 2), np.nan)}, "modality 'text' holds nan in row 0"),
        ({"query": [5]}, "split 'query' shares 1 rows with 'train', such as 5"),
        ({"train": np.empty(0, int)}, "split 'train' is empty"),
        ({"text": WORDS[1:]}, "modality 'text' has shape (6,) but modality 'image' has 7 rows"),
        ({"image": np.zeros((N, 12), np.uint8)}, "modality 'image' is uint8 of shape (7, 12)"),
        ({"label_name": np.array(["a", "b", "c"])}, "unknown array 'label_name'; did you mean 'label_names'"),
        ({"label_audio": LABEL}, "unknown array 'label_audio'"),
        ({"groups": np.arange(N)}, "an array is called 'groups'; did you mean 'group'?"),
        ({"label_names": np.array(["a", "b"])}, "label_names has 2 names but label has 3 classes"),
    ],
)
def test_arrays_that_do_not_fit_name_the_file(tmp_path, name, changes, says):
    assert says in refused(write(tmp_path / name, {**LEAST, **changes}))


@pytest.mark.parametrize("name", ["x.npz", "x"])
def test_odd_names_of_arrays(tmp_path, name):
    assert r"an array is called 'label_a\nb'" in refused(write(tmp_path / name, {**LEAST, "label_a\nb": LABEL}))


def test_a_missing_split_names_the_file(tmp_path):
    arrays = {name: array for name, array in LEAST.items() if name != "query"}
    assert "split 'query' is missing" in refused(write(tmp_path / "x.npz", arrays))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["whole.npz", "image.npy", "text.npy", "train.npy"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_never_end_in_a_traceback(tmp_path, name):
    rng = random.Random(0)
    save_neutral(whole(), tmp_path / "whole.npz")
    save_neutral(whole(), tmp_path / "folder")
    path = tmp_path / name if name.endswith("npz") else tmp_path / "folder" / name
    good = path.read_bytes()
    data = tmp_path / "whole.npz" if name.endswith("npz") else tmp_path / "folder"
    messages = []
    for trial in range(100):
        bad = bytearray(good[: rng.randrange(len(good))] if trial % 3 == 0 else good)
        for _ in range(rng.choice([1, 2, 8])):
            if bad:
                bad[rng.randrange(min(len(bad), rng.choice([128, 10**6])))] = rng.randrange(256)
        path.unlink()
        path.write_bytes(bad)
        try:
            load_neutral(data)
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > 50
    assert not any("\n" in message for message in messages)


def test_too_large_for_memory(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_2_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 45, 1 << 10)})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("image.npy", header.getvalue())
    assert "array 'image' does not fit in memory" in refused(tmp_path / "x.npz")


@pytest.mark.parametrize("name", ["out.npz", "out"])
def test_nothing_is_overwritten(tmp_path, name):
    save_neutral(whole(), tmp_path / name)
    with pytest.raises(UserError, match="exists already"):
        save_neutral(whole().replace(caption=None), tmp_path / name)
    assert load_neutral(tmp_path / name).caption is not None


@pytest.mark.parametrize("name", ["out.npz", "out"])
def test_a_failed_write_leaves_nothing(tmp_path, name, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UserError, match=r"cannot write .*: No space left on device"):
        save_neutral(whole(), tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["file/out.npz", "file/out"])
def test_a_place_that_cannot_be_written(tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot write .*: (Not a directory|File exists)"):
        save_neutral(whole(), tmp_path / name)


@pytest.mark.parametrize("name", ["out.npy", "out.csv", "out.npz.gz"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"end it in \.npz"):
        save_neutral(whole(), tmp_path / name)


def test_load_data_takes_names_and_paths(tmp_path, monkeypatch):
    save_neutral(whole(), tmp_path / "out.npz")
    assert load_data(tmp_path / "out.npz").n == load_data(str(tmp_path / "out.npz")).n == N
    with pytest.raises(UserError, match=r"unknown data 'glpyhs'; did you mean 'glyphs'\? known: .*; or give the path"):
        load_data("glpyhs")
    with pytest.raises(UserError, match=r"none\.npz does not exist"):
        load_data(tmp_path / "none.npz")


@pytest.mark.parametrize("name", builtins())
def test_a_built_in_set_is_a_module_that_is_imported_when_it_is_used(name):
    module = importlib.import_module(f"crossbit.data.{name.replace('-', '_')}")
    assert module.BUILTIN == name and callable(module.load)
    assert (module.__doc__ or "").startswith(builtins()[name])


def test_describe():
    described = describe(whole())
    assert described["pairs"] == N
    assert described["modalities"]["file"] == {"kind": "vectors", "shape": [N, 4], "dtype": "float16"}
    assert described["splits"] == {"train": 2, "query": 2, "retrieval": 5, "validation": 1}
    assert described["label_names"] == ["α", "b", "c"]
    sizes = LABEL.sum(axis=1)
    assert described["labels_per_pair"] == {"mean": sizes.mean(), "smallest": sizes.min(), "largest": sizes.max()}
    differs = sum(LABEL[row].tolist() != LABEL[row, ::-1].tolist() for row in (2, 5))
    assert described["observed_differs"] == {"observed_label": 2, "observed_label_text": differs}
    assert (described["captions"], described["paths"]) == (True, True)
    assert described["groups"] == {"number": 4, "smallest": 1, "largest": 3}
    assert describe(whole().replace(group=None))["groups"] is None
    describe(whole().replace(label=None, observed_label=None))


def test_describe_is_plain(tmp_path):
    from crossbit.storage.files import read_json, write_json

    write_json(tmp_path / "x.json", describe(whole()))
    assert read_json(tmp_path / "x.json") == describe(whole())


@pytest.mark.parametrize("dtype", ["i4", "i8", "u4", "u8"])
def test_class_numbers_that_are_ids_are_numbered_anew(tmp_path, dtype):
    ids = np.array([2_000_000, 0, 1_000_000, 0], dtype)
    splits = {"train": [1, 2, 3], "query": [0], "retrieval": [1, 2, 3]}
    np.savez(tmp_path / "x.npz", image=np.eye(4), label=ids, observed_label=ids[::-1], **splits)
    data = load_neutral(tmp_path / "x.npz")
    assert (data.label.tolist(), data.observed_label.tolist()) == ([2, 0, 1, 0], [0, 1, 0, 2])
    assert data.classes == 3 and data.label_names == ["0", "1000000", "2000000"]
    assert data.notes == ("classes are ids from 0 to 2000000: the 3 that occur are numbered anew from 0",)
    np.savez(tmp_path / "y.npz", image=np.eye(4), label=np.array([5, 0, 7, 0]), **splits)
    assert load_neutral(tmp_path / "y.npz").label.tolist() == [5, 0, 7, 0]
