"""Any transposition of any layout's arrays, of any shape: the same data as upright, or a refusal; never other data."""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.data import PairedData, load_data
from crossbit.data.layouts.parts.sizes import pairs_of
from crossbit.errors import UserError
from mat_writers import write_v5, write_v73

Arrays = dict[str, np.ndarray]


def write_h5(path: Path, arrays: Arrays) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def parts(names: dict[str, tuple[str, str, str]], sizes: list[int], widths: tuple[int, int, int]) -> Arrays:
    """Image, text and 0/1 labels of parts of these sizes."""
    rng, made = np.random.default_rng(0), {}
    for (image, text, label), n in zip(names.values(), sizes, strict=True):
        made[image], made[text] = rng.normal(size=(n, widths[0])), rng.normal(size=(n, widths[1]))
        made[label] = rng.integers(0, 2, (n, widths[2])).astype(float)
    return made


COCO = {"whole": ("XAll", "YAll", "LAll")}
COCO_PARTS = {part: (f"{part}_imgs_deep", f"{part}_text", f"{part}_imgs_labels") for part in ("train", "test")}
IAPR = {"database": ("VDatabase", "YDatabase", "databaseL"), "test": ("VTest", "YTest", "testL")}
NRCH = {part: (f"Img{part}", f"Tag{part}", f"Lab{part}") for part in ("Query", "Train", "DataBase")}

# File, the parts in it, how it is written, and a split that these few rows allow.
LAYOUTS = {
    "coco-h5": ("x.h5", COCO, write_h5, "ucch:1"),
    "coco-h5 in two": ("x.h5", COCO_PARTS, write_h5, "ucch:1"),
    "iapr-mat 5": ("iapr.mat", IAPR, write_v5, "ucch:1"),
    "iapr-mat 7.3": ("iapr.mat", IAPR, write_v73, "ucch:1"),
    "nrch-h5": ("MIRFlickr.h5", NRCH, write_h5, None),
}


def read(file: Path, split: str | None, transposed: bool | None = None) -> PairedData | None:
    """The data; None where which side is which cannot be told."""
    try:
        return load_data(file, split=split, transposed=transposed)
    except UserError as error:
        if "--transposed" not in str(error):
            raise
        return None


def same(one: PairedData, other: PairedData) -> bool:
    arrays = [(one[m], other[m]) for m in one.modalities] + [(one.label, other.label)]
    arrays += [(one.splits[name], other.splits[name]) for name in one.splits]
    return all(np.array_equal(a, b) for a, b in arrays)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_arrays_turned_any_way_give_the_same_data_or_are_refused(layout: str, data: st.DataObject) -> None:
    name, names, write, split = LAYOUTS[layout]
    sizes = data.draw(st.lists(st.integers(2, 6), min_size=len(names), max_size=len(names)))
    widths = data.draw(st.tuples(*[st.integers(2, 6)] * 3))
    arrays = parts(names, sizes, widths)
    turns = data.draw(st.lists(st.booleans(), min_size=len(arrays), max_size=len(arrays)))
    turned = {key: a.T if turn else a for (key, a), turn in zip(arrays.items(), turns, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        write(file, turned)
        found = read(file, split)
        write(file, arrays)
        expected = read(file, split, transposed=write is write_v73)
    if expected is not None and found is not None:
        assert same(found, expected)
    if len({*sizes, *widths}) == len(sizes) + 3:  # nothing can be mistaken
        assert found is not None


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(
    st.integers(1, 8),
    st.lists(st.one_of(st.just(None), st.tuples(st.integers(1, 8), st.booleans())), min_size=1, max_size=4),
)
def test_the_side_of_the_pairs_is_right_or_refused(pairs: int, arrays: list[tuple[int, bool] | None]) -> None:
    """`arrays`: None for a plain line of labels, else the width and whether it stands transposed."""
    shapes = {
        str(number): (pairs,) if given is None else (given[0], pairs) if given[1] else (pairs, given[0])
        for number, given in enumerate(arrays)
    }
    right = {str(number): given is not None and given[1] for number, given in enumerate(arrays)}
    try:
        found = pairs_of(shapes)
    except UserError:
        common = set.intersection(*({shape[0], shape[-1]} for shape in shapes.values()))
        assert len(common) > 1 or any(len(shape) > 1 and shape[0] == shape[-1] for shape in shapes.values())
    else:
        assert found == right
