"""The reader of MATLAB's and HDF5 files: what stands in a file beside arrays is named, what is dead is told."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from scipy.sparse import csc_matrix

from crossbit.data import load_data
from crossbit.errors import UserError
from crossbit.evaluation import score_file
from crossbit.storage.kinds import what_is
from crossbit.storage.matlab import open_container
from crossbit.storage.matlab_cells import read_cells, read_strings
from mat_writers import WRITERS

BOTH = pytest.mark.parametrize("version", WRITERS)

LINKS = {
    "external file": (h5py.ExternalLink("elsewhere.h5", "/L"), "a link to /L in elsewhere.h5, which leads nowhere"),
    "external file of another kind": (h5py.ExternalLink("x.txt", "/L"), "a link to /L in x.txt, which leads nowhere"),
    "external name": (h5py.ExternalLink("other.h5", "/no"), "a link to /no in other.h5, which leads nowhere"),
    "soft": (h5py.SoftLink("/nothing"), "a link to /nothing, which leads nowhere"),
    "to a dead link": (h5py.SoftLink("/group/dead"), "a link to /group/dead, which leads nowhere"),
    "through itself": (h5py.SoftLink("/loop/YAll"), "a link to /loop/YAll, which leads nowhere"),
    "to itself": (h5py.SoftLink("/LAll"), "a link to /LAll, which leads nowhere"),
    "to itself from outside": (h5py.ExternalLink("set.h5", "/LAll"), "a link to /LAll in set.h5, which leads nowhere"),
}


def write_links(folder: Path, link: object) -> Path:
    (folder / "x.txt").write_text("no HDF5")
    with h5py.File(folder / "other.h5", "w") as file:
        file["L"] = np.eye(5)
    with h5py.File(folder / "set.h5", "w") as file:
        file["XAll"], file["YAll"] = np.ones((5, 3)), np.ones((5, 2))
        file["group/dead"] = h5py.SoftLink("/gone")
        file["loop"] = h5py.SoftLink("/loop")
        file["LAll"] = link
    return folder / "set.h5"


@pytest.mark.parametrize("kind", LINKS)
def test_a_dead_link_is_one_line_with_its_name(kind, tmp_path):
    link, what = LINKS[kind]
    file = write_links(tmp_path, link)
    assert open_container(file).others["LAll"] == what
    with pytest.raises(UserError, match="lacks: LAll") as caught:
        load_data(file)
    assert f"LAll is {what}" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("link", [h5py.ExternalLink("other.h5", "/L"), h5py.SoftLink("/group/alive")])
def test_a_link_that_leads_somewhere_is_followed(link, tmp_path):
    file = write_links(tmp_path, link)
    with h5py.File(file, "r+") as out:
        out["group/alive"] = h5py.SoftLink("/group/far")
        out["group/far"] = h5py.ExternalLink("other.h5", "/L")
    np.testing.assert_array_equal(open_container(file).entries["LAll"].read(), np.eye(5))


def test_dead_links_where_nothing_tells_a_layout(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["one"] = h5py.SoftLink("/two")
    with pytest.raises(UserError, match=r"no arrays; one is a link to /two, which leads nowhere, which is none of"):
        load_data(tmp_path / "x.h5")


def test_what_dies_between_the_header_and_the_reading(tmp_path):
    held = open_container(write_links(tmp_path, h5py.ExternalLink("other.h5", "/L")))
    (tmp_path / "other.h5").unlink()
    with pytest.raises(UserError, match=r"set.h5: LAll cannot be read"):
        held.entries["LAll"].read()


def test_dead_references_in_a_cell_array(tmp_path):
    with h5py.File(tmp_path / "x.mat", "w") as file:
        cell = file.create_dataset("#refs#/a", data=np.ones((2, 3)))
        file.create_group("#refs#/struct")
        for name, inside in (("dead", cell.ref), ("struct", file["#refs#/struct"].ref)):
            stored = file.create_dataset(name, data=np.array([[inside]], dtype=object), dtype=h5py.ref_dtype)
            stored.attrs["MATLAB_class"] = np.bytes_("cell")
        del file["#refs#/a"]
    entries = open_container(tmp_path / "x.mat").entries
    for name, words in (("dead", "dead cannot be read"), ("struct", "cell 1 of struct is not a matrix")):
        with pytest.raises(UserError, match=words):
            read_cells(entries[name])
    with pytest.raises(UserError, match="dead cannot be read"):
        read_strings(entries["dead"])


def test_a_sparse_matrix_with_dead_parts(tmp_path):
    sparse = csc_matrix(np.eye(4))
    for dead in ("data", "ir", "jc"):
        WRITERS["7.3"](tmp_path / "x.mat", {"L": sparse})
        with h5py.File(tmp_path / "x.mat", "r+") as file:
            del file["L"][dead]
            file["L"][dead] = h5py.SoftLink("/gone")
        held = open_container(tmp_path / "x.mat")
        if dead == "jc":
            assert held.others == {"L": "a sparse matrix without its part 'jc'"}
        else:
            with pytest.raises(UserError, match="L cannot be read"):
                held.entries["L"].read()


@BOTH
@pytest.mark.parametrize("dtype", ["f8", "?", "u1", "i2"])
def test_arrays_come_as_matlab_shows_them(dtype, version, tmp_path):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    sparse = csc_matrix(array.astype(bool if dtype == "?" else "f8"))
    WRITERS[version](tmp_path / "x.mat", {"a": array, "s": sparse, "none": csc_matrix((3, 2))})
    entries = open_container(tmp_path / "x.mat").entries
    shown = entries["a"].shown()
    assert shown.dtype == dtype
    np.testing.assert_array_equal(shown, array)
    np.testing.assert_array_equal(entries["s"].shown(), sparse.toarray())
    np.testing.assert_array_equal(entries["none"].shown(), np.zeros((3, 2)))


@BOTH
def test_structs_and_complex_numbers_are_named(version, tmp_path):
    file = tmp_path / "x.mat"
    if version == "5":
        scipy.io.savemat(file, {"a": {"field": 1.0}, "b": np.ones((2, 2)) * 1j})
    else:
        with h5py.File(file, "w") as out:
            out["a/field"] = 1.0
            out["a"].attrs["MATLAB_class"] = np.bytes_("struct")
            out["b"] = np.ones((2, 2)) * 1j
    held = open_container(file)
    assert held.others == {"a": "of MATLAB's class struct"}
    with pytest.raises(UserError, match="b is complex128"):
        held.entries["b"].shown()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 5\n", "a Git LFS pointer"),
        (b"/annex/objects/SHA256E-s5--aa.mat\n", "a git-annex pointer"),
        (b"\n <!doctype html><html><body>Sign in", "a web page"),
        (b"<html>", "a web page"),
        (b"", "empty"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"\x80\x04\x95" + bytes(20), "a Python pickle"),
        (b"a,b\n1,2\n", "text that begins with 'a,b'"),
        (bytes(600), "damaged, or of an unknown kind"),
    ],
)
@pytest.mark.parametrize("suffix", [".mat", ".npz", ".h5"])
def test_another_file_is_named_for_what_it_is(content, what, suffix, tmp_path):
    file = tmp_path / f"x{suffix}"
    file.write_bytes(content)
    assert what_is(file).startswith(what)
    for read in (load_data, score_file):
        with pytest.raises(UserError, match=f"can be read: it is {what}") as caught:
            read(file)
        assert "\n" not in str(caught.value)


def test_a_pointer_inside_a_layouts_folder(tmp_path):
    scipy.io.savemat(tmp_path / "mirflickr25k-xall-vgg.mat", {"XAll": np.ones((5, 3))})
    (tmp_path / "mirflickr25k-yall.mat").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(
        UserError, match=r"mirflickr25k-yall.mat \(it is a Git LFS pointer.*, LAll in mirflickr25k-lall"
    ):
        load_data(tmp_path)
