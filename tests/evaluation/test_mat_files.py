"""Codes in MATLAB files, old and new, upright or transposed: the same figures as the same codes in an .npz."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from crossbit.bits import pack
from crossbit.errors import UserError
from crossbit.evaluation import score_file

rng = np.random.default_rng(0)
SIGNS = rng.choice([-1.0, 1.0], (2, 70, 24))  # image, text
LABEL = (rng.random((70, 5)) < 0.3).astype(float)
QUERY, REST = np.arange(20), np.arange(20, 70)

FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "±1": lambda signs: signs,
    "0/1": lambda signs: (signs > 0).astype(float),
    "logical": lambda signs: signs > 0,
    "int8": lambda signs: signs.astype(np.int8),
    "packed": pack,
    "real": lambda signs: signs * np.linspace(0.5, 1.5, 24),
}


def arrays(form: str = "±1", label: np.ndarray = LABEL) -> dict[str, np.ndarray]:
    made = {}
    for side, rows in (("query", QUERY), ("retrieval", REST)):
        for modality, signs in zip(("image", "text"), SIGNS, strict=True):
            made[f"{side}_{modality}"] = FORMS[form](signs[rows])
        made[f"{side}_label"] = label[rows]
    return made


def write_old(path: Path, given: dict[str, np.ndarray]) -> None:
    savemat(path, {"other": ["text"], **given}, do_compression=True)


def write_hdf5(path: Path, given: dict[str, np.ndarray], *, by_matlab: bool = True) -> None:
    """As MATLAB's `save -v7.3` does: its own header, columns together, and the class of each array beside it."""
    import h5py

    with h5py.File(path, "w", userblock_size=512 if by_matlab else 0) as file:
        file.create_group("#refs#")
        for name, array in given.items():
            array = np.atleast_2d(array)
            logical = array.dtype == bool
            stored = array.astype(np.uint8).T if logical else array.T
            data = file.create_dataset(name, data=stored if by_matlab else array)
            if by_matlab:
                data.attrs["MATLAB_class"] = np.bytes_("logical" if logical else str(array.dtype))
    if by_matlab:
        with path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


WRITERS = {
    "5": write_old,
    "7.3": write_hdf5,
    "plain HDF5": lambda path, given: write_hdf5(path, given, by_matlab=False),
}


def expected(folder: Path, given: dict[str, np.ndarray], ties: str = "index") -> dict[str, float]:
    np.savez(folder / "codes.npz", **given)
    return score_file(folder / "codes.npz", ties=ties).map


@pytest.mark.parametrize("version", WRITERS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_every_version(tmp_path: Path, form: str, version: str) -> None:
    WRITERS[version](tmp_path / "codes.mat", arrays(form))
    report = score_file(tmp_path / "codes.mat", ties="index")
    assert report.map == expected(tmp_path, arrays(form))
    assert (report.bits, report.data) == (None if form == "real" else 24, "codes")
    assert report.protocol["metric"] == ("cosine" if form == "real" else "hamming")


@pytest.mark.parametrize("version", WRITERS)
@pytest.mark.parametrize("which", ["all", "codes", "labels", "query_text"])
def test_transposed_arrays_are_turned(tmp_path: Path, which: str, version: str) -> None:
    chosen = {
        "all": "",
        "codes": ("query_i", "query_t", "retrieval_i", "retrieval_t"),
        "labels": ("query_l", "retrieval_l"),
    }
    turned = {n: a.T if n.startswith(chosen.get(which, which)) else a for n, a in arrays().items()}
    WRITERS[version](tmp_path / "codes.mat", turned)
    assert score_file(tmp_path / "codes.mat", ties="index").map == expected(tmp_path, arrays())


@pytest.mark.parametrize("version", WRITERS)
@pytest.mark.parametrize("form", ["±1", "packed"])
@pytest.mark.parametrize("column", [True, False])
def test_class_numbers_are_one_row_or_one_column(tmp_path: Path, version: str, form: str, column: bool) -> None:
    classes = np.arange(70) % 3 + 1  # MATLAB counts from 1, and keeps whole numbers as doubles
    given = arrays(form, classes)
    shaped = {
        name: array.astype(float).reshape((-1, 1) if column else (1, -1)) if name.endswith("label") else array
        for name, array in given.items()
    }
    WRITERS[version](tmp_path / "codes.mat", shaped)
    assert score_file(tmp_path / "codes.mat", ties="index").map == expected(tmp_path, given)


def test_two_classes_in_one_column_are_class_numbers(tmp_path: Path) -> None:
    """As 0/1 sets of one label, items of class 0 would be relevant to nothing."""
    classes = np.arange(70) % 2
    for kind in (float, bool):
        write_old(tmp_path / "codes.mat", arrays(label=classes.astype(kind)[:, None]))
        assert score_file(tmp_path / "codes.mat", ties="index").map == expected(tmp_path, arrays(label=classes))


def test_sparse_labels(tmp_path: Path) -> None:
    given = {name: csc_matrix(array) if name.endswith("label") else array for name, array in arrays().items()}
    write_old(tmp_path / "codes.mat", given)
    assert score_file(tmp_path / "codes.mat", ties="index").map == expected(tmp_path, arrays())


def test_doubles_of_small_whole_numbers_are_no_packed_codes(tmp_path: Path) -> None:
    """MATLAB stores them as bytes, which look like packed codes unless their class is asked for."""
    write_old(tmp_path / "codes.mat", arrays("0/1"))
    assert score_file(tmp_path / "codes.mat").bits == 24


def test_arrays_whose_sizes_never_fit(tmp_path: Path) -> None:
    write_old(tmp_path / "codes.mat", arrays() | {"query_text": np.ones((19, 24))})
    with pytest.raises(UserError, match=r"query image: 20, query text: 19") as caught:
        score_file(tmp_path / "codes.mat")
    assert str(caught.value).startswith(str(tmp_path / "codes.mat"))


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_what_lacks_or_is_no_numbers(tmp_path: Path, version: str) -> None:
    some = arrays()
    del some["query_text"]
    WRITERS[version](tmp_path / "codes.mat", some)
    with pytest.raises(UserError, match="it lacks query_text; needed are"):
        score_file(tmp_path / "codes.mat")
    if version == "5":
        write_old(tmp_path / "codes.mat", some | {"query_text": np.array(["a", "b"], object)})
    else:
        import h5py

        with h5py.File(tmp_path / "codes.mat", "r+") as file:
            file.create_group("query_text")
    what = (
        "query_text is a cell array; it must hold numbers" if version == "5" else "query_text is no array but an HDF5"
    )
    with pytest.raises(UserError, match=what):
        score_file(tmp_path / "codes.mat")


def test_what_is_no_mat_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; give an"):
        score_file(tmp_path / "none.mat")
    (tmp_path / "folder.mat").mkdir()
    with pytest.raises(UserError, match="not a file of codes that can be read: Is a directory"):
        score_file(tmp_path / "folder.mat")
    write_old(tmp_path / "old.mat", arrays())
    write_hdf5(tmp_path / "new.mat", arrays())
    whole = {name: (tmp_path / name).read_bytes() for name in ("old.mat", "new.mat")}
    broken = [b"", b"hello", b"\x00" * 600, whole["old.mat"][:300], whole["new.mat"][:900], b"MATLAB".ljust(512) + b"x"]
    for content in broken:
        (tmp_path / "broken.mat").write_bytes(content)
        with pytest.raises(UserError, match=r"not a file of codes|is the file whole") as caught:
            score_file(tmp_path / "broken.mat")
        assert "\n" not in str(caught.value)


def test_damaged_bytes_end_in_one_line_or_do_no_harm(tmp_path: Path) -> None:
    write_old(tmp_path / "codes.mat", arrays())
    content = (tmp_path / "codes.mat").read_bytes()
    damaged = 0
    for place in rng.integers(128, len(content), 60):
        flipped = bytearray(content)
        flipped[place] ^= 0xFF
        (tmp_path / "codes.mat").write_bytes(flipped)
        try:
            score_file(tmp_path / "codes.mat")
        except UserError:
            damaged += 1
    assert damaged > 30
