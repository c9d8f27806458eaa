"""Pictures in the cells of a Parquet file are read as pictures in files are."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest
from PIL import Image

from crossbit.data import Columns, load_data, look_through
from crossbit.data.collection.relabel import write_corrected
from crossbit.data.relabelled import relabelled
from crossbit.storage.cache import cache_folder

N = 8
FORMS = {"plain": "b AS image", "pair": "{'bytes': b, 'path': p} AS image"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (N, 12, 12, 3), np.uint8)


def table(file: Path, form: str, *, first: bytes | None = None, n: int = N) -> Path:
    """A Parquet file with a picture, a caption and other bytes in each row."""
    rows = []
    for number, pixels in enumerate(pictures()[:n]):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        rows.append((stream.getvalue(), f"photos/{number}.PNG", f"caption {number}", b"\0\1", number % 2))
    if first is not None:
        rows[1] = (first, *rows[1][1:])
    with duckdb.connect() as base:
        base.execute("CREATE TABLE t (b BLOB, p VARCHAR, caption VARCHAR, other BLOB, label INTEGER)")
        base.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
        base.execute(f"COPY (SELECT {FORMS[form]}, caption, other, label FROM t) TO '{file}' (FORMAT parquet)")
    return file


@pytest.mark.parametrize("form", FORMS)
def test_pictures_in_cells_are_files(tmp_path: Path, form: str) -> None:
    file = table(tmp_path / "mine.parquet", form)
    data = load_data(file)
    assert (data.n, data.kind("image")) == (N, "pictures")
    assert np.array_equal(data["image"].read(12), pictures())  # type: ignore[attr-defined]
    shutil.rmtree(cache_folder())  # a cache may be removed at any time
    assert np.array_equal(load_data(file)["image"].read(12), pictures())  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_keeps_its_path_when_the_table_grows(tmp_path: Path, form: str) -> None:
    few = load_data(table(tmp_path / "few.parquet", form, n=5)).path
    many = load_data(table(tmp_path / "many.parquet", form)).path
    assert few is not None and many is not None and few.tolist() == many[:5].tolist()


@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_picture_is_left_out_with_its_row(tmp_path: Path, form: str) -> None:
    found = look_through(table(tmp_path / "mine.parquet", form, first=b"nothing of the kind"))
    assert [(one.place, one.reason) for one in found.skipped] == [("row 2", "not a picture")]


@pytest.mark.parametrize("form", FORMS)
def test_a_corrected_copy_has_the_pictures_the_order_and_what_other_programs_noted(tmp_path: Path, form: str) -> None:
    file, noted = table(tmp_path / "mine.parquet", form), """{"image": "it's a picture"}"""
    with duckdb.connect() as base:
        base.execute(f"CREATE TABLE t AS FROM '{file}'")
        huggingface = noted.replace("'", "''")
        base.execute(f"COPY t TO '{file}' (FORMAT parquet, KV_METADATA {{huggingface: '{huggingface}'}})")
    data, copy = load_data(file), tmp_path / "new, it's corrected.parquet"
    assert data.path is not None and data.label_names == ["0", "1"]
    assert write_corrected(file, Columns(), {data.path[2]: ["1"], data.path[5]: ["1"]}, copy) == 1
    with duckdb.connect() as base:
        before, after = (base.read_parquet(str(path)) for path in (file, copy))
        assert (after.columns, after.types) == (before.columns, before.types)
        rows = [[*row[:-1], 1 if number == 2 else row[-1]] for number, row in enumerate(before.fetchall())]
        assert [list(row) for row in after.fetchall()] == rows
        kept = base.execute("SELECT decode(value) FROM parquet_kv_metadata($1)", [str(copy)]).fetchall()
    assert kept == [(noted,)]
    found = relabelled(data, copy)
    assert (found.changed, found.told) == (int(2 in data.splits["train"]), len(data.splits["train"]))
