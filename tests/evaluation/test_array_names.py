"""Files of codes by the names that people give their arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from crossbit.errors import UserError
from crossbit.evaluation import score_file

rng = np.random.default_rng(0)
ARRAYS = {
    f"{side}_{what}": rng.integers(2, size=(rows, 3 if what == "label" else 16)).astype(float)
    for side, rows in (("query", 12), ("retrieval", 40))
    for what in ("image", "text", "label")
}
CALLED = {  # as the code of DCMH and of DCMHT writes them, and mixtures
    "qBX": ("qBX", "qBY", "queryL", "rBX", "rBY", "retrievalL"),
    "query_L": ("qBX", "qBY", "query_L", "rBX", "rBY", "retrieval_L"),
    "q_img": ("q_img", "q_txt", "q_l", "r_img", "r_txt", "r_l"),
    "some": ("query_image", "qBY", "query_label", "retrieval_image", "retrieval_text", "rL"),
}


def written(path: Path, names: tuple[str, ...], **more: np.ndarray) -> Path:
    given = dict(zip(names, ARRAYS.values(), strict=True)) | {"epoch": np.array([3.0])} | more
    savemat(path, given) if path.suffix == ".mat" else np.savez(path, **given)
    return path


@pytest.mark.parametrize("ending", [".mat", ".npz"])
@pytest.mark.parametrize("names", CALLED.values(), ids=CALLED)
def test_usual_names_are_taken_as_what_they_mean(
    tmp_path: Path, names: tuple[str, ...], ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    ours = score_file(written(tmp_path / f"ours{ending}", tuple(ARRAYS)))
    assert "taken as" not in caplog.text
    theirs = score_file(written(tmp_path / f"theirs{ending}", names))
    assert theirs.map == ours.map
    assert len(set(ours.map.values())) == 2  # so that images and texts changed about would show
    for name, meant in zip(names, ARRAYS, strict=True):
        assert (f"{name} is taken as {meant}" in caplog.text) == (name != meant)


def test_a_modality_keeps_the_name_that_means_something_else_elsewhere(tmp_path: Path) -> None:
    names = ("query_image", "query_L", "query_label", "retrieval_image", "retrieval_L", "retrieval_label")
    assert list(score_file(written(tmp_path / "a.npz", names)).map) == ["image->L", "L->image"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("qery_image", *list(ARRAYS)[1:]),
            "lacks query_image; needed are .*; the file holds qery_image, query_text, .*epoch; "
            "is 'qery_image' query_image\\?",
        ),
        (("a", "b", "c", "d", "e", "f"), "lacks query_image, .*; the file holds a, b, c, d, e, f, epoch$"),
        (
            ("image", "text", "label", "train", "query", "retrieval"),
            "the file holds image, .*, retrieval, epoch$",
        ),  # data
        (("qBX", "qBY", "queryL", "rBX", "rBY", "query_L"), "queryL and query_L could each be query_label; call the"),
    ],
)
def test_what_the_file_holds_is_named(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for ending in (".mat", ".npz"):
        path = written(tmp_path / f"codes{ending}", names)
        with pytest.raises(UserError, match=message) as caught:
            score_file(path)
        assert str(caught.value).count(str(path)) == 1
        assert "\n" not in str(caught.value)


def test_many_names_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "codes.npz", tuple("abcdef"), **{f"x{number}": np.zeros(1) for number in range(9)})
    with pytest.raises(UserError, match=r"x4 and 4 more$"):
        score_file(path)
