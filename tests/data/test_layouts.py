"""Every public layout, written small as the papers' code reads it: values come back as they are, nothing is guessed."""

import logging
import shutil

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from PIL import Image

from crossbit.data import find_data, load_data, load_neutral
from crossbit.data.layouts import layouts
from crossbit.data.layouts.parts.write import write_neutral
from crossbit.errors import UserError

RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _notes_are_logged(caplog):
    caplog.set_level(logging.INFO)


def write_mat(path, **arrays):
    scipy.io.savemat(path, arrays, do_compression=True)


def write_v73(path, **arrays):
    """As MATLAB saves with -v7.3: HDF5 behind a block of text, all axes in reverse order, cells as references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            put(file, name, array)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def put(file, name, value):
    if isinstance(value, list):
        refs = [put(file, f"#refs#/{name}{i}", cell).ref for i, cell in enumerate(value)]
        stored = file.create_dataset(name, data=np.array([refs], dtype=object).T, dtype=h5py.ref_dtype)
        stored.attrs["MATLAB_class"] = np.bytes_("cell")
    elif isinstance(value, str):
        codes = np.frombuffer(value.encode("utf-16-le"), "<u2")
        stored = file.create_dataset(name, data=codes[:, None] if value else np.zeros(2, "u8"))
        stored.attrs["MATLAB_class"] = np.bytes_("char")
        if not value:
            stored.attrs["MATLAB_empty"] = 1
    else:
        stored = file.create_dataset(name, data=value.T, chunks=True, compression="gzip")
        stored.attrs["MATLAB_class"] = np.bytes_("double")
    return stored


def write_h5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def cells(arrays):
    """A cell array as savemat takes it."""
    out = np.empty((1, len(arrays)), object)
    out[0, :] = arrays
    return out


def vectors(n, d, dtype="f4"):
    return RNG.normal(size=(n, d)).astype(dtype)


def hot(n, c=8):
    return RNG.integers(0, 2, (n, c)).astype("f8")


def same(data, other):
    """Two data sets in all but their names, types of arrays too."""
    assert data.modalities.keys() == other.modalities.keys()
    pairs = [(data[m], other[m]) for m in data.modalities]
    pairs += [(data.splits[s], other.splits[s]) for s in data.splits | other.splits]
    for name in ("label", "observed_label", "caption", "path"):
        assert (getattr(data, name) is None) == (getattr(other, name) is None), name
        pairs.append((getattr(data, name), getattr(other, name)))
    pairs += [(data.modality_label[m], other.modality_label[m]) for m in data.modality_label | other.modality_label]
    assert data.label_names == other.label_names
    for one, two in pairs:
        if one is not None:
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)


def converted(path, tmp_path, **how):
    """What `path` is read as, after seeing that a written file and a written folder are read as the same."""
    data = load_data(path, **how)
    for target in (tmp_path / "neutral.npz", tmp_path / "neutral"):
        write_neutral(find_data(path).read(**how), target)
        same(data, load_neutral(target))
        same(data, load_data(target))
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    return data


def split_files(folder, write=write_mat, n=2003, name="mirflickr25k", image=None, labels=None):
    image = vectors(n, 4) if image is None else image
    text, label = hot(n, 7).astype("u1"), hot(n) if labels is None else labels
    write(
        folder / f"{name}-{'xall-vgg' if image.ndim == 2 else 'iall'}.mat",
        **{"XAll" if image.ndim == 2 else "IAll": image},
    )
    write(folder / f"{name}-yall.mat", YAll=text)
    write(folder / f"{name}-lall.mat", LAll=label)
    return image, text, label


WRITERS = pytest.mark.parametrize("write", [write_mat, write_v73])


@WRITERS
def test_split_mat_by_the_rule_of_ucch(write, tmp_path, caplog):
    image, text, label = split_files(tmp_path, write)
    data = converted(tmp_path, tmp_path / "out")
    np.testing.assert_array_equal(data["image"], image)
    np.testing.assert_array_equal(data["text"], text)
    np.testing.assert_array_equal(data.label, label)
    assert (data.name, data["image"].dtype, data["text"].dtype, data.label.dtype) == ("mirflickr25k", "f4", "f4", "u1")
    assert data.splits["query"].tolist() == list(range(3, 2003))
    assert data.splits["train"].tolist() == data.splits["retrieval"].tolist() == [0, 1, 2]
    assert "split 'ucch' (the default; others: nrch, random)" in caplog.text


def test_split_mat_by_the_rule_of_nrch(tmp_path, caplog):
    image, _, _ = split_files(tmp_path, n=12_010, labels=hot(12_010))
    data = load_data(tmp_path / "mirflickr25k-xall-vgg.mat", split="nrch")
    np.testing.assert_array_equal(data.query["image"], image[:2000])
    np.testing.assert_array_equal(data.train["image"], image[2000:12_000])
    assert data.splits["retrieval"].tolist() == list(range(2000, 12_010))
    assert "split 'nrch': queries are the first 2,000" in caplog.text and "default" not in caplog.text


@pytest.mark.parametrize(("name", "queries"), [("nus-wide-tc10", 2100), ("nus-wide-tc21", 2100), ("MSCOCO", 5000)])
def test_each_published_set_has_its_number_of_queries(name, queries, tmp_path):
    split_files(tmp_path, n=queries + 9, name=name)
    assert len(load_data(tmp_path).splits["query"]) == queries


def test_numbers_of_a_split_can_be_given(tmp_path):
    split_files(tmp_path, n=40, name="mine")
    for split, query, train in [
        ("ucch:10", 10, 30),
        ("nrch:10:5", 10, 5),
        ("ucch:10:5", 10, 5),
        ("random:10:6", 10, 6),
    ]:
        data = load_data(tmp_path, split=split)
        assert (len(data.query), len(data.train), len(data.retrieval)) == (query, train, 30)
    first, again = (load_data(tmp_path, split="random:10:6").splits["train"] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_sizes_where_the_published_ones_do_not_fit_or_are_not_known(tmp_path, caplog):
    split_files(tmp_path, n=200)
    for split, sizes, words in [
        (None, (19, 181, 181), "too few for the 2,000 queries of the published set, so its sizes are scaled down"),
        ("nrch", (19, 99, 181), "scaled down; nrch:QUERIES:TRAIN takes others"),
        ("nrch:50", (50, 150, 150), ""),
    ]:
        caplog.clear()
        data = load_data(tmp_path, split=split)
        assert (len(data.query), len(data.train), len(data.retrieval)) == sizes
        assert words in caplog.text
    mine = tmp_path / "mine"
    mine.mkdir()
    split_files(mine, n=40, name="mine")
    data = load_data(mine, split="nrch")
    assert (len(data.query), len(data.train), len(data.retrieval)) == (4, 20, 36)
    assert "neither the name 'mine' nor its size tells a published set" in caplog.text


def test_a_published_set_is_known_by_its_size_too(tmp_path):
    split_files(tmp_path, n=20_015, name="mine")
    data = load_data(tmp_path, split="random")
    assert (len(data.query), len(data.train), len(data.retrieval)) == (2000, 10_000, 18_015)


def test_fewer_training_rows_than_published_are_taken_and_told(tmp_path, caplog):
    split_files(tmp_path, n=2003)
    assert len(load_data(tmp_path, split="nrch").train) == 3
    assert "the published set has 10,000 training rows" in caplog.text


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("uchc", "did you mean 'ucch'"),
        ("ucch:ten", "must be RULE, RULE:QUERIES or RULE:QUERIES:TRAIN"),
        ("ucch:1:2:3", "must be RULE"),
        ("ucch:40", "takes 40 queries and at least 1 training rows of the 40"),
        ("nrch:30:20", "takes 30 queries and 20 training rows of the 40"),
        ("nrch:0", "takes 0 queries"),
    ],
)
def test_wrong_splits_are_refused(split, words, tmp_path):
    split_files(tmp_path, n=40, name="mine")
    with pytest.raises(UserError, match=words):
        load_data(tmp_path, split=split)


def test_one_set_of_several_is_never_guessed(tmp_path):
    split_files(tmp_path)
    vgg = (tmp_path / "mirflickr25k-xall-vgg.mat").rename(
        tmp_path / "mirflickr25k-iall-vgg.mat"
    )  # both names are in use
    assert load_data(tmp_path).kind("image") == "vectors"
    write_v73(tmp_path / "mirflickr25k-iall.mat", IAll=RNG.integers(0, 9, (2003, 3, 2, 4)).astype("u1"))
    with pytest.raises(UserError, match=r"several files of images: .*iall-vgg.mat, .*iall.mat"):
        load_data(tmp_path)
    assert load_data(vgg).kind("image") == "vectors"
    assert load_data(tmp_path / "mirflickr25k-iall.mat").kind("image") == "pictures"
    split_files(tmp_path, name="nus-wide-tc10")
    with pytest.raises(UserError, match="several sets: mirflickr25k, nus-wide-tc10"):
        load_data(tmp_path)


def test_what_is_missing_is_told_in_one_line(tmp_path):
    split_files(tmp_path)
    (tmp_path / "mirflickr25k-yall.mat").unlink()
    write_mat(tmp_path / "mirflickr25k-lall.mat", other=np.eye(3))
    with pytest.raises(UserError, match=r"lacks: YAll in mirflickr25k-yall.mat, LAll in mirflickr25k-lall.mat"):
        load_data(tmp_path)


def test_labels_other_than_0_and_1_are_refused(tmp_path):
    split_files(tmp_path, labels=hot(2003) * 2 - 1)
    with pytest.raises(UserError, match=r"LAll holds -1.0; a label matrix may hold only 0 and 1"):
        load_data(tmp_path)


@pytest.mark.parametrize("write", [write_mat, write_v73])
def test_sparse_matrices(write, tmp_path):
    _, text, _ = split_files(tmp_path)
    file = tmp_path / "mirflickr25k-yall.mat"
    packed = scipy.sparse.csc_matrix(text.astype("f8"))
    if write is write_mat:
        scipy.io.savemat(file, {"YAll": packed})
    else:
        with h5py.File(file, "w") as out:
            group = out.create_group("YAll")
            group.attrs["MATLAB_sparse"] = packed.shape[0]
            group["data"], group["ir"], group["jc"] = packed.data, packed.indices, packed.indptr
    data = converted(tmp_path, tmp_path / "out")
    np.testing.assert_array_equal(data["text"], text)
    assert data["text"].dtype == "f8"


# dcmh: pictures


@WRITERS
@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_dcmh_pictures_stand_upright(write, dtype, tmp_path):
    upright = RNG.integers(0, 256, (9, 4, 5, 3)).astype("u1")  # pairs, height, width, colour
    matlab = upright.transpose(1, 2, 3, 0).astype(dtype)  # as MATLAB's imread gives pictures, in HDF5 (9, 3, 5, 4)
    file = tmp_path / "FLICKR-25K.mat"
    write(file, images=matlab, YAll=hot(9, 6), LAll=hot(9))
    data = converted(file, tmp_path, split="random:2:5")
    np.testing.assert_array_equal(data["image"], upright)
    assert data["image"].dtype == "u1" and data.kind("image") == "pictures"
    assert (len(data.query), len(data.train), len(data.retrieval)) == (2, 5, 7)


@WRITERS
def test_dcmh_pictures_that_matlab_counts_first(write, tmp_path):
    upright = RNG.integers(0, 256, (9, 4, 5, 3)).astype("u1")
    write(tmp_path / "x.mat", images=upright.transpose(0, 3, 1, 2), YAll=hot(9, 6), LAll=hot(9))
    np.testing.assert_array_equal(load_data(tmp_path, split="ucch:2")["image"], upright)


def test_pictures_that_are_none(tmp_path):
    file, rest = tmp_path / "x.mat", {"YAll": hot(9, 6), "LAll": hot(9)}
    for images, words in [
        (np.full((4, 5, 3, 9), 0.5), "whole numbers from 0 to 255"),
        (np.full((4, 5, 3, 9), 256.0), "images holds 256.0"),
        (np.ones((4, 5, 4, 9)), "3 colours"),
        (np.ones((9, 20)), "must be pictures"),
    ]:
        write_mat(file, images=images, **rest)
        with pytest.raises(UserError, match=words):
            load_data(file, split="ucch:2")


# iapr-mat


@pytest.mark.slow
@WRITERS
def test_iapr_mat(write, tmp_path):
    database, test = vectors(12_000, 3), vectors(50, 3)
    parts = {"VDatabase": database, "YDatabase": hot(12_000, 4), "databaseL": hot(12_000, 6)}
    parts |= {"VTest": test, "YTest": hot(50, 4), "testL": hot(50, 6)}
    file = tmp_path / "iapr-tc12-rand.mat"
    write(file, **parts)
    ucch, nrch = converted(file, tmp_path), load_data(file, split="nrch")
    np.testing.assert_array_equal(ucch.query["image"], test)
    np.testing.assert_array_equal(ucch.train["image"], database)
    np.testing.assert_array_equal(nrch.query["image"], database[:2000])
    np.testing.assert_array_equal(nrch.train["text"], parts["YDatabase"][2000:])
    np.testing.assert_array_equal(nrch.retrieval.label, np.concatenate([parts["databaseL"], parts["testL"]])[2000:])


# coco-h5


def test_coco_h5_whole(tmp_path):
    file = tmp_path / "MSCOCO_deep_doc2vec_data_rand.h5py"
    image, text, label = vectors(5010, 4), vectors(5010, 3, "f8"), hot(5010, 9)
    write_h5(file, XAll=image, YAll=text, LAll=label)
    data = converted(file, tmp_path)
    np.testing.assert_array_equal(data.query["image"], image[10:])
    assert data["text"].dtype == "f8" and data["text"].tobytes() == text.tobytes()


def test_coco_h5_of_train_and_test(tmp_path):
    file = tmp_path / "MSCOCO_deep_doc2vec_data.h5py"
    image, text, label = vectors(5030, 4), vectors(5030, 3), hot(5030, 8)
    parts = {}
    for name, rows in (("train", slice(0, 5020)), ("test", slice(5020, None))):
        parts |= {f"{name}_imgs_deep": image[rows], f"{name}_text": text[rows], f"{name}_imgs_labels": label[rows]}
    write_h5(file, **parts)
    data = converted(file, tmp_path, split="nrch:5000:20")
    assert find_data(file).layout.name == "coco-h5"
    np.testing.assert_array_equal(data["image"], image)
    np.testing.assert_array_equal(data.train["text"], text[5000:5020])
    np.testing.assert_array_equal(data.label, label)


# nrch-h5


def nrch_file(path, *, joined=True, n=30):
    """Queries are rows 0-4, training rows 5-14, the database 5-29; with a pair of twins among the training rows."""
    image, text, label = vectors(n, 4, "f8"), hot(n, 6), hot(n)
    for array in (image, text, label):
        array[7] = array[11]
    rows = {"Query": slice(0, 5), "Train": slice(5, 15), "DataBase": slice(5, n)}
    parts = {
        f"{k}{part}": array[at]
        for part, at in rows.items()
        for k, array in zip(("Img", "Tag", "Lab"), (image, text, label), strict=True)
    }
    if not joined:
        parts["ImgTrain"] = parts["ImgTrain"] + np.eye(10, 4)
    write_h5(path, **parts)
    return image, text, label


def test_nrch_h5_joins_training_rows_that_are_stored_twice(tmp_path, caplog):
    file = tmp_path / "MIRFlickr.h5"
    image, _, label = nrch_file(file)
    data = converted(file, tmp_path / "out")
    assert data.n == 30 and data["image"].dtype == "f8"
    np.testing.assert_array_equal(data["image"], image)
    np.testing.assert_array_equal(data.label, label)
    assert {name: rows.tolist() for name, rows in data.splits.items()} == {
        "query": list(range(5)),
        "train": list(range(5, 15)),
        "retrieval": list(range(5, 30)),
    }
    assert "the 10 training rows are stored twice: each was found in the database (25) and joined to it" in caplog.text


def test_nrch_h5_keeps_training_rows_apart_that_are_not_in_the_database(tmp_path, caplog):
    file = tmp_path / "MIRFlickr.h5"
    image, _, _ = nrch_file(file, joined=False)
    data = converted(file, tmp_path / "out")
    assert data.n == 40 and data.splits["train"].tolist() == list(range(5, 15))
    assert data.splits["retrieval"].tolist() == list(range(15, 40))
    np.testing.assert_array_equal(data.retrieval["image"], image[5:])
    assert "kept apart" in caplog.text


def test_nrch_h5_twins_need_a_place_each(tmp_path):
    file = tmp_path / "MIRFlickr.h5"
    nrch_file(file)
    with h5py.File(file, "r+") as out:  # the database loses one of the twins
        for key in ("ImgDataBase", "TagDataBase", "LabDataBase"):
            rows = np.delete(out[key][()], 2, axis=0)
            del out[key]
            out[key] = rows
    assert load_data(file).n == 5 + 10 + 24


@pytest.mark.parametrize("place", ["", "noise", "noise_label"])
def test_nrch_h5_observed_labels(place, tmp_path, caplog):
    folder = tmp_path / "data"
    folder.mkdir()
    _, _, label = nrch_file(folder / "MIRFlickr.h5")
    nrch_file(folder / "IAPR.h5")
    result = label[5:15].copy()
    result[3] = 1 - result[3]
    noise = (tmp_path / place if place else folder) / "mirflickr25k-lall-noise_0.5.h5"
    noise.parent.mkdir(exist_ok=True)
    write_h5(noise, result=result, True_=label[5:15])
    with h5py.File(noise, "r+") as file:
        file.move("True_", "True")
    data = converted(noise, tmp_path / "out")
    assert data.name == "MIRFlickr-noise_0.5"
    np.testing.assert_array_equal(data.label, label)
    np.testing.assert_array_equal(data.train.observed(), result)
    assert np.flatnonzero((data.observed_label != data.label).any(axis=1)).tolist() == [8]
    assert "1 of 10 rows differ from the truth" in caplog.text
    if not place:
        assert "mirflickr25k-lall-noise_0.5.h5" in find_data(folder / "MIRFlickr.h5").notes[0]
        assert load_data(folder / "MIRFlickr.h5").observed_label is None


def test_nrch_h5_noise_of_another_set(tmp_path):
    nrch_file(tmp_path / "MIRFlickr.h5")
    noise = tmp_path / "mirflickr25k-lall-noise_0.2.h5"
    with h5py.File(noise, "w") as file:
        file["result"], file["True"] = np.ones((10, 8)), np.ones((10, 8))
    with pytest.raises(UserError, match="not those of the training rows"):
        load_data(noise)
    (tmp_path / "MIRFlickr.h5").unlink()
    with pytest.raises(UserError, match=r"lacks: the one feature file .* there are: none"):
        load_data(noise)


# mrl-h5


def mrl_file(path, *, text="text", valid=True, shift=1, differ=False, sizes=(20, 6, 300)):
    parts, labels = {}, []
    for name, n in zip(("train", "valid", "test"), sizes, strict=True):
        if name == "valid" and not valid:
            continue
        label = RNG.integers(0, 4, n) + shift
        label[:4] = np.arange(4) + shift
        other = np.where(np.arange(n) == 2, shift, label) if differ else label
        labels.append(label)
        parts |= {f"{name}_imgs_deep": vectors(n, 4), f"{name}_{text}": vectors(n, 3)}
        parts |= {f"{name}_imgs_labels": label[:, None], f"{name}_texts_labels": other.astype("f8")}
    write_h5(path, **parts)
    return parts


@pytest.mark.parametrize("text", ["text", "texts"])
def test_mrl_h5_with_labels_from_1(text, tmp_path, caplog):
    file = tmp_path / "wiki_deep_doc2vec_data_corr_ae.h5py"
    parts = mrl_file(file, text=text)
    data = converted(file, tmp_path)
    assert (len(data.train), len(data.validation), len(data.query)) == (20, 6, 300)
    np.testing.assert_array_equal(data.train.label, parts["train_imgs_labels"].ravel() - 1)
    np.testing.assert_array_equal(data.query.label, parts["test_imgs_labels"].ravel() - 1)
    np.testing.assert_array_equal(data.validation["text"], parts[f"valid_{text}"])
    assert data.label_names == ["1", "2", "3", "4"]
    assert "labels are 1 to 4 in the file and became classes from 0: 1 -> 0, 2 -> 1, 3 -> 2, 4 -> 3" in caplog.text


def test_mrl_h5_without_validation(tmp_path, caplog):
    file = tmp_path / "wiki_deep_doc2vec_data_corr_ae.h5py"
    parts = mrl_file(file, valid=False, shift=0)
    data = converted(file, tmp_path)
    assert (len(data.validation), len(data.query), data.label_names) == (231, 69, None)
    np.testing.assert_array_equal(data.validation["image"], parts["test_imgs_deep"][:231])
    np.testing.assert_array_equal(data.query.label, parts["test_imgs_labels"].ravel()[231:])
    assert "the first 231 of 300 test rows are it" in caplog.text
    assert len(load_data(file, split="mrl:10").validation) == 10


def test_mrl_h5_without_validation_in_a_small_or_unknown_file(tmp_path, caplog):
    file = tmp_path / "wiki.h5py"
    mrl_file(file, valid=False, sizes=(20, 0, 60))
    assert len(load_data(file).validation) == 20  # 231 of 693
    assert "too few for the 231 of the published set" in caplog.text
    other = file.rename(tmp_path / "mine.h5py")
    assert len(load_data(other).validation) == 20
    assert "the name tells no published set, so it is a third" in caplog.text
    with pytest.raises(UserError, match="validation is 60 rows of the 60"):
        load_data(other, split="mrl:60")


def test_mrl_h5_labels_per_modality(tmp_path, caplog):
    file = tmp_path / "nus_wide_deep_doc2vec_data_42941.h5py"
    parts = mrl_file(file, differ=True)
    data = converted(file, tmp_path)
    assert data.label is None
    np.testing.assert_array_equal(data.train.observed("text"), parts["train_texts_labels"] - 1)
    np.testing.assert_array_equal(data.train.observed("image"), parts["train_imgs_labels"].ravel() - 1)
    assert "each modality has labels of its own: in 3 of 326 pairs their labels differ" in caplog.text


def test_mrl_h5_part_of_a_validation_set(tmp_path):
    mrl_file(tmp_path / "wiki.h5py")
    with h5py.File(tmp_path / "wiki.h5py", "r+") as file:
        del file["valid_texts_labels"], file["test_text"]
    with pytest.raises(UserError, match="lacks: test_text or test_texts, valid_texts_labels or valid_text_labels"):
        load_data(tmp_path / "wiki.h5py")


# mrl-mat


@WRITERS
def test_mrl_mat_flat(write, tmp_path):
    parts = {}
    for part, n in (("tr", 9), ("val", 4), ("te", 6)):
        label = RNG.integers(5, 8, (n, 1)).astype("f8")
        parts |= {f"{part}_img": vectors(n, 5, "f8"), f"{part}_txt": vectors(n, 3)}
        parts |= {f"{part}_img_lab": label, f"{part}_txt_lab": label.T}
    write(tmp_path / "INRIA-Websearch.mat", **parts)
    data = converted(tmp_path / "INRIA-Websearch.mat", tmp_path)
    assert (len(data.train), len(data.validation), len(data.query)) == (9, 4, 6)
    for rows, part in ((data.train, "tr"), (data.query, "te"), (data.validation, "val")):
        np.testing.assert_array_equal(rows["image"], parts[f"{part}_img"])
        np.testing.assert_array_equal(np.array(data.label_names, int)[rows.label], parts[f"{part}_img_lab"].ravel())


@pytest.mark.slow
@WRITERS
def test_mrl_mat_views_of_several_sizes(write, tmp_path):
    widths, parts = (5, 3, 11, 2), {}
    for part, n in (("train", 9), ("valid", 4), ("test", 6)):
        label = RNG.integers(1, 4, (n, 1)).astype("f8")
        parts[part], parts[f"{part}_labels"] = [vectors(n, d, "f8") for d in widths], [label] * 4
    write(tmp_path / "XMediaNet4View_pairs.mat", **{k: v if write is write_v73 else cells(v) for k, v in parts.items()})
    data = converted(tmp_path / "XMediaNet4View_pairs.mat", tmp_path)
    assert {name: array.shape for name, array in data.modalities.items()} == {
        f"view{i}": (19, d) for i, d in enumerate(widths, 1)
    }
    np.testing.assert_array_equal(data.query["view3"], parts["test"][2])
    np.testing.assert_array_equal(np.array(data.label_names, int)[data.train.label], parts["train_labels"][0].ravel())


def test_mrl_mat_views_that_are_no_pairs(tmp_path):
    parts = {part: cells([vectors(9, 5), vectors(8, 3)]) for part in ("train", "valid", "test")}
    labels = {f"{part}_labels": cells([np.ones((9, 1)), np.ones((8, 1))]) for part in ("train", "valid", "test")}
    write_mat(tmp_path / "x.mat", **parts, **labels)
    with pytest.raises(UserError, match="'train' have different numbers of rows: view1 9, view2 8"):
        load_data(tmp_path / "x.mat")
    write_mat(tmp_path / "x.mat", **parts, train_labels=labels["train_labels"])
    with pytest.raises(UserError, match="lacks: test_labels, valid_labels"):
        load_data(tmp_path / "x.mat")


# dcmht


def dcmht_folder(folder, write=write_mat, n=12, sizes=((8, 6),)):
    (folder / "images").mkdir(parents=True)
    pictures = []
    for i in range(n):
        width, height = sizes[i % len(sizes)]
        pictures.append(RNG.integers(0, 256, (height, width, 3)).astype("u1"))
        Image.fromarray(pictures[-1]).save(folder / "images" / f"im{i}.png")
    names, texts = [f"/old/place/images/im{i}.png" for i in range(n)], ["a red cat", "", "é ∑"] * (n // 3)
    if write is write_mat:
        write(folder / "index.mat", index=np.array(names))
        write(folder / "caption.mat", caption=cells([np.array([text]) for text in texts]))
    else:
        write(folder / "index.mat", index=names)
        write(folder / "caption.mat", caption=texts)
    label = hot(n)
    write(folder / "label.mat", category=label)
    return pictures, names, texts, label


@WRITERS
def test_dcmht(write, tmp_path):
    pictures, names, texts, label = dcmht_folder(tmp_path / "mine", write)
    data = converted(tmp_path / "mine", tmp_path, split="random:3:5")
    np.testing.assert_array_equal(data["image"], np.stack(pictures))
    assert data["text"].tolist() == data.caption.tolist() == texts and data.path.tolist() == names
    np.testing.assert_array_equal(data.label, label)
    assert (len(data.query), len(data.train), len(data.retrieval)) == (3, 5, 9)


def test_dcmht_pictures_of_several_sizes(tmp_path, caplog):
    dcmht_folder(tmp_path / "mine", sizes=((8, 6), (300, 250)))
    data = load_data(tmp_path / "mine", split="ucch:3")
    assert data["image"].shape == (12, 224, 224, 3)
    assert "pictures have 2 sizes: the shorter side was scaled to 224" in caplog.text


def test_dcmht_several_captions_of_a_picture(tmp_path):
    dcmht_folder(tmp_path / "mine")
    write_mat(tmp_path / "mine" / "caption.mat", caption=cells([np.array(["one", "another one"])] * 12))
    assert set(load_data(tmp_path / "mine", split="ucch:3")["text"]) == {"one\nanother one"}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("form", ["characters", "cells", "characters 7.3", "cells 7.3", "strings"])
def test_dcmht_a_table_of_captions(form, turned, tmp_path):
    dcmht_folder(tmp_path / "mine")
    captions = np.array([[f"one {i}", f"another {i}", f"{i}"] for i in range(12)])
    table, file = np.array(captions.T.tolist()) if turned else captions, tmp_path / "mine" / "caption.mat"
    if form == "characters":  # as savemat writes a list of lists
        write_mat(file, caption=table)
    elif form == "cells":
        write_mat(file, caption=table.astype(object))
    else:
        with h5py.File(file, "w") as out:
            if form == "strings":
                out.create_dataset("caption", data=table.astype(object), dtype=h5py.string_dtype())
            elif form == "cells 7.3":
                refs = [
                    [put(out, f"#refs#/{i}_{j}", str(cell)).ref for j, cell in enumerate(row)]
                    for i, row in enumerate(table)
                ]
                out.create_dataset("caption", data=np.array(refs, dtype=object).T, dtype=h5py.ref_dtype)
            else:
                codes = table.astype("U10").view("<u4").reshape(*table.shape, 10)
                out["caption"] = np.where(codes == 0, 32, codes).astype("u2").T
                out["caption"].attrs["MATLAB_class"] = np.bytes_("char")
    data = load_data(tmp_path / "mine", split="ucch:3")
    assert data["text"].tolist() == ["\n".join(row) for row in captions]


def test_dcmht_a_table_of_captions_that_is_square(tmp_path):
    dcmht_folder(tmp_path / "mine")
    table = np.array([[f"{i} {j}" for j in range(12)] for i in range(12)])
    write_mat(tmp_path / "mine" / "caption.mat", caption=table)
    with pytest.raises(UserError, match=r"caption is square, \(12, 12\).*--no-transposed"):
        load_data(tmp_path / "mine", split="ucch:3")
    data = load_data(tmp_path / "mine", split="ucch:3", transposed=False)
    assert data["text"][1] == "\n".join(table[1])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_dcmht_captions_as_lines_of_text(end, tmp_path):
    texts = [f"line\u2028 {i}é" for i in range(12)]
    dcmht_folder(tmp_path / "mine")
    (tmp_path / "mine" / "caption.mat").unlink()
    (tmp_path / "mine" / "caption.txt").write_bytes(("\ufeff" + end.join(texts) + end).encode())
    assert load_data(tmp_path / "mine", split="ucch:3")["text"].tolist() == texts
    (tmp_path / "mine" / "caption.txt").write_bytes(end.join(texts[1:]).encode())
    with pytest.raises(UserError, match=r"no size is shared by .*index \(12,\), caption \(11,\)"):
        load_data(tmp_path / "mine", split="ucch:3")
    (tmp_path / "mine" / "caption.txt").write_bytes(b"a\n\xff")
    with pytest.raises(UserError, match=r"caption.txt: line 2 holds byte 0xff"):
        load_data(tmp_path / "mine", split="ucch:3")


def test_dcmht_lacking_things(tmp_path):
    folder = tmp_path / "mine"
    dcmht_folder(folder)
    (folder / "images" / "im3.png").unlink()
    with pytest.raises(UserError, match=r"1 of 12 pictures are missing, such as /old/place/images/im3.png"):
        load_data(folder, split="ucch:3")
    write_mat(folder / "caption.mat", nothing=np.eye(2))
    (folder / "label.mat").unlink()
    with pytest.raises(UserError, match=r"lacks: caption or tags in caption.mat, label.mat"):
        load_data(folder)


# what decides where sides do not, what is none of the layouts


def test_sides_that_do_not_tell_are_never_guessed(tmp_path):
    file, image, label = tmp_path / "coco.h5", vectors(12, 12), hot(12)
    write_v73(file, XAll=image, YAll=vectors(12, 3), LAll=label)
    with pytest.raises(UserError, match=r"XAll is square, \(12, 12\).*transposed=True.*--no-transposed"):
        load_data(file, split="ucch:2")
    np.testing.assert_array_equal(load_data(file, split="ucch:2", transposed=True)["image"], image)
    np.testing.assert_array_equal(load_data(file, split="ucch:2", transposed=False)["image"], image.T)
    write_v73(file, XAll=vectors(12, 8), YAll=vectors(12, 8), LAll=np.eye(12, 8))
    with pytest.raises(UserError, match="8 and 12 could both be the number of pairs"):
        load_data(file, split="ucch:2")
    assert (
        load_data(file, split="ucch:2", transposed=True).n,
        load_data(file, split="ucch:2", transposed=False).n,
    ) == (12, 8)
    write_v73(file, XAll=vectors(12, 8), YAll=vectors(11, 3), LAll=label)
    with pytest.raises(UserError, match=r"no size is shared by XAll \(8, 12\), YAll \(3, 11\), LAll \(8, 12\)"):
        load_data(file, split="ucch:2")


def test_one_matrix_that_stands_the_other_way(tmp_path):
    _, _, label = split_files(tmp_path)
    write_mat(tmp_path / "mirflickr25k-lall.mat", LAll=label.T)
    np.testing.assert_array_equal(load_data(tmp_path).label, label)


def test_features_that_are_not_finite(tmp_path):
    image = vectors(20, 4)
    image[13, 2] = np.nan
    write_h5(tmp_path / "coco.h5", XAll=image, YAll=vectors(20, 3), LAll=hot(20))
    for read in (
        lambda: load_data(tmp_path / "coco.h5", split="ucch:2"),
        lambda: write_neutral(find_data(tmp_path / "coco.h5").read("ucch:2"), tmp_path / "out"),
    ):
        with pytest.raises(UserError, match="modality 'image' holds nan in row 13, column 2"):
            read()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coco.h5"]


def test_whole_numbers_become_exact_floats(tmp_path):
    counts = np.array([[0, 2**53], [3, 4], [5, 6]])
    write_h5(tmp_path / "x.h5", XAll=counts, YAll=counts.astype("u2"), LAll=hot(3))
    data = load_data(tmp_path, split="ucch:1")
    assert data["image"].dtype == "f8" and data["text"].dtype == "f4"
    np.testing.assert_array_equal(data["image"].astype(int), counts)
    write_h5(tmp_path / "x.h5", XAll=counts + (counts == 2**53), YAll=counts, LAll=hot(3))
    with pytest.raises(UserError, match="XAll holds 9007199254740993, which no float64 holds exactly"):
        load_data(tmp_path, split="ucch:1")


def test_big_endian_files(tmp_path):
    image = vectors(9, 4, ">f4")
    write_h5(tmp_path / "x.h5", XAll=image, YAll=vectors(9, 3, ">f8"), LAll=hot(9).astype(">i4"))
    data = converted(tmp_path / "x.h5", tmp_path, split="ucch:2")
    assert data["image"].dtype == np.dtype("f4")
    np.testing.assert_array_equal(data["image"], image)


def test_files_in_none_of_the_layouts(tmp_path):
    write_mat(tmp_path / "x.mat", banana=np.eye(3), apple=np.eye(2))
    with pytest.raises(UserError, match=r"holds apple, banana, which is none of the known layouts: coco-h5, dcmh"):
        load_data(tmp_path / "x.mat")
    with pytest.raises(UserError, match=r"x.mat, which are in none of the known layouts"):
        load_data(tmp_path)
    (tmp_path / "x.mat").write_text("not a matrix")
    with pytest.raises(UserError, match="is not a data file that can be read"):
        load_data(tmp_path / "x.mat")
    write_h5(tmp_path / "x.h5", XAll=np.eye(3))
    (tmp_path / "x.h5").write_bytes((tmp_path / "x.h5").read_bytes()[:600])
    with pytest.raises(UserError, match="HDF5 file that cannot be read"):
        load_data(tmp_path / "x.h5")
    write_mat(tmp_path / "y.mat", XAll=np.eye(30))
    (tmp_path / "y.mat").write_bytes((tmp_path / "y.mat").read_bytes()[:140])
    with pytest.raises(UserError, match="MATLAB file that cannot be read"):
        load_data(tmp_path / "y.mat")


def test_a_file_that_two_layouts_lack_something_of(tmp_path):
    write_v73(tmp_path / "x.mat", YAll=hot(9, 6), LAll=hot(9))
    with pytest.raises(UserError, match="coco-h5, and lacks XAll; or dcmh, and lacks images"):
        load_data(tmp_path / "x.mat")


def test_split_is_only_for_layouts(tmp_path):
    np.savez(tmp_path / "x.npz", image=np.eye(3), label=[0, 1, 1], train=[1, 2], query=[0], retrieval=[1, 2])
    with pytest.raises(UserError, match="is split already"):
        load_data(tmp_path / "x.npz", split="ucch")


def test_finding_reads_no_arrays(tmp_path, monkeypatch):
    split_files(tmp_path)
    nrch_file(tmp_path / "MIRFlickr.h5")
    read = pytest.fail
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: read("an array was read"))
    monkeypatch.setattr(scipy.io, "loadmat", lambda *_, **__: read("an array was read"))
    assert find_data(tmp_path).layout.name == "split-mat"
    assert find_data(tmp_path / "MIRFlickr.h5").layout.name == "nrch-h5"


def test_every_layout_names_its_rules():
    assert "split-mat" in layouts()
    for name, layout in layouts().items():
        assert layout.name == name and layout.rules and layout.__doc__


def test_notes_are_told_once_a_load(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    split_files(tmp_path)
    load_data(tmp_path)
    assert caplog.text.count("queries are the last 2,000") == 1


def test_a_damaged_part_of_a_file(tmp_path):
    with h5py.File(tmp_path / "coco.h5", "w") as file:
        file.create_dataset("XAll", data=vectors(40, 4), chunks=(20, 4), compression="gzip")
        file["YAll"], file["LAll"] = vectors(40, 3), hot(40)
        place = file["XAll"].id.get_chunk_info(1).byte_offset
    with open(tmp_path / "coco.h5", "r+b") as file:
        file.seek(place)
        file.write(bytes(20))
    for read in (
        lambda: load_data(tmp_path, split="ucch:2"),
        lambda: write_neutral(find_data(tmp_path).read("ucch:2"), tmp_path / "out"),
    ):
        with pytest.raises(UserError, match="XAll cannot be read"):
            read()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_wikipedia_set_in_the_layout_of_mrl(shared, tmp_path):
    real = load_neutral(shared / "data" / "wikipedia" / "wikipedia.npz")
    classes = real.label.argmax(axis=1) + 1
    parts = {}
    for name in ("train", "query"):
        rows, part = real.splits[name], name.replace("query", "test")
        parts |= {f"{part}_imgs_deep": real["image"][rows], f"{part}_text": real["text"][rows]}
        parts |= {f"{part}_imgs_labels": classes[rows], f"{part}_texts_labels": classes[rows]}
    write_h5(tmp_path / "wiki_deep_doc2vec_data_corr_ae.h5py", **parts)
    data = converted(tmp_path, tmp_path / "out")
    assert (len(data.train), len(data.validation), len(data.query)) == (2173, 231, 462)
    query = real.splits["query"][231:]
    for modality in ("image", "text"):
        assert data.query[modality].tobytes() == real[modality][query].tobytes()
        assert data.train[modality].tobytes() == real.train[modality].tobytes()
    np.testing.assert_array_equal(data.query.label, classes[query] - 1)
