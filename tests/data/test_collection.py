"""Own collections: what is read, what each column is taken for, what is left out, and which rows are queries."""

from __future__ import annotations

import codecs
import json
import shutil
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crossbit.data import Columns, PairedData, load_data, look_through
from crossbit.data.collection import extras, labels
from crossbit.data.collection.alike import group_alike
from crossbit.data.collection.duplicates import find_duplicates
from crossbit.data.collection.relabel import write_corrected
from crossbit.data.collection.split import split_rows
from crossbit.errors import UserError
from crossbit.storage.picture_facts import facts_of
from damaged import make_damaged
from shape_collection import draw, make_collection


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSBIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def pictures(folder: Path, *names: str) -> Path:
    """A folder with pictures of these names, no two alike."""
    rng = np.random.default_rng(len(names))
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        draw(["circle", "square", "cross"][number % 3], "red", rng).save(folder / name, "png")
    return folder


def written(folder: Path, text: str, name: str = "table.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_bytes(text.encode(encoding))
    return folder


def shown(data: PairedData) -> list[tuple[str, str, list[str]]]:
    """File name, text and labels of each pair."""
    names = data.label_names or []
    hot = np.zeros((data.n, 0)) if data.label is None else data.label
    of = [[names[one] for one in np.flatnonzero(row)] for row in hot]
    assert data.path is not None
    return [(Path(path).name, str(text), each) for path, text, each in zip(data.path, data["text"], of, strict=True)]


def refused(path: Path, **columns: str) -> str:
    with pytest.raises(UserError) as caught:
        load_data(path, **columns)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- tables ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["csv", "tsv", "semicolons", "jsonl", "parquet"])
@pytest.mark.parametrize("captions", [0, 1, 2])
def test_every_kind_of_table_says_the_same(table: Any, captions: int, tmp_path: Path) -> None:
    rows = make_collection(tmp_path / "c", 20, captions=captions, table=table, labelled=0.6)
    texts = [", ".join(row["labels"]) if not captions else row["caption"] for row in rows]
    expected = [
        (Path(row["file_name"]).name, text, sorted(row["labels"]))
        for row, said in zip(rows, texts, strict=True)
        for text in (said if isinstance(said, list) else [said])
    ]
    data = load_data(tmp_path / "c")
    assert shown(data) == expected
    assert data.columns["year"].tolist()[:2] == [2000, 2000 if captions == 2 else 2001]
    assert load_data(next((tmp_path / "c").glob("table.*"))).n == len(expected)


def test_folders_are_classes(tmp_path: Path) -> None:
    make_collection(tmp_path / "c", 12, table="folders")
    pictures(tmp_path / "c", "circle/red ones/deep.png")
    (tmp_path / "c" / "circle" / "notes.txt").write_text("no picture")
    (tmp_path / "c" / "list.xlsx").write_text("a table that is not read")
    data = load_data(tmp_path / "c")
    assert data.label_names == ["circle", "red ones", "square", "triangle"]
    assert ("deep.png", "circle, red ones", ["circle", "red ones"]) in shown(data)
    assert any("no captions" in note for note in data.notes)
    told = [str(one) for one in look_through(tmp_path / "c").skipped]
    assert told == [
        "list.xlsx is neither a picture nor a table that can be read (.csv, .tsv, .jsonl, .parquet)",
        "circle/notes.txt is not a picture",
    ]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"], ids=["utf-8", "with a mark", "utf-16", "utf-32"]
)
def test_a_table_from_a_spreadsheet(encoding: str, tmp_path: Path) -> None:
    text = (
        "sep=;\r\nDatei;Beschreibung;Schlagworte;Preis\r\n"
        '"grün 1.png";"Ein ""roter""; Kreis,\nzweizeilig";rot, rund;3.5\r\n'
        "红 2.png;红色的方块;红;\r\n"
    )
    pictures(tmp_path / "c", "grün 1.png", "红 2.png")
    written(tmp_path / "c", text, encoding=encoding)
    columns = {"picture_column": "Datei", "caption_column": "Beschreibung", "label_column": "Schlagworte"}
    data = load_data(tmp_path / "c", **columns)  # type: ignore[arg-type]
    assert shown(data) == [
        ("grün 1.png", 'Ein "roter"; Kreis, zweizeilig', ["rot", "rund"]),
        ("红 2.png", "红色的方块", ["红"]),
    ]
    assert data.columns["Preis"].tolist() == [3.5, None] and data.options == columns


def test_a_name_in_another_normal_form_is_found(tmp_path: Path) -> None:
    stored = unicodedata.normalize("NFD", "Möwe am Café.png")
    pictures(tmp_path / "c", stored, "b.png")
    named = unicodedata.normalize("NFC", stored)
    data = load_data(written(tmp_path / "c", f"file,caption\n{named},eine Möwe\nb,no ending\n"))
    assert data["text"].tolist() == ["eine Möwe", "no ending"]


def test_a_folder_in_another_normal_form_is_found_where_others_hold_the_same_names(tmp_path: Path) -> None:
    summer = unicodedata.normalize("NFD", "été")
    pictures(tmp_path / "c", f"{summer}/0.png", f"{summer}/1.png", "hiver/0.png", "hiver/1.png")
    rows = "été/0.png,one\nété\\1,two\nhiver/0,three\nhiver/1.png,four\n"
    found = look_through(written(tmp_path / "c", f"file,caption\n{rows}"))
    folders = [unicodedata.normalize("NFC", Path(one.path).parent.name) for one in found.pictures]
    assert folders == ["été", "été", "hiver", "hiver"] and not found.skipped


def test_names_of_columns_in_another_normal_form(tmp_path: Path) -> None:
    pictures(tmp_path / "c", "a.png", "b.png")
    apart = unicodedata.normalize("NFD", "datei,überschrift,größe,label_grün,label_weiß")
    table = written(tmp_path / "c", f"{apart}\na.png,eins,3,1,0\nb.png,zwei,4,1,1\n")
    data = load_data(table, picture_column="datei", caption_column="überschrift")
    assert data["text"].tolist() == ["eins", "zwei"] and data.label_names == ["grün", "weiß"]
    assert data.columns["größe"].tolist() == [3, 4]


def test_paths_are_the_same_however_the_folder_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = make_collection(tmp_path / "c", 6)
    (tmp_path / "link").symlink_to(tmp_path / "c")
    whole = [str((tmp_path / "c").resolve() / row["file_name"]) for row in rows]
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path / "c", "c", "./c/", "link", "c/table.csv", "../" + tmp_path.name + "/c"):
        data = load_data(place)
        assert data.path is not None and data.path.tolist() == whole  # what `add` knows a picture by
    monkeypatch.chdir("c")
    assert (data := load_data(".")).path is not None and data.path.tolist() == whole
    folders = make_collection(tmp_path / "f", 6, table="folders")
    monkeypatch.chdir(tmp_path / "f")
    assert (data := load_data(".")).path is not None and len(folders) == 6
    assert all(Path(path).is_absolute() and Path(path).is_file() for path in data.path.tolist())


def test_pictures_may_lie_deeper_than_the_table_says(tmp_path: Path) -> None:
    pictures(tmp_path / "c", "2024/may/a.png", "2024/b.png", "x/twice.png", "y/twice.png")
    data = load_data(written(tmp_path / "c", "image,caption\na.png,one\n2024\\b.png,two\ntwice.png,which\n"))
    assert [name for name, _, _ in shown(data)] == ["a.png", "b.png"]


def test_what_cannot_be_read_of_a_table_is_left_out_with_its_line(tmp_path: Path) -> None:
    pictures(tmp_path / "c", "a.png", "b.png")
    rows = (
        'file,caption\na.png,"one,\nor two"\nb.png,three,four\nb.png,three\n,five\nhttp://x/y.png,six\ngone.png,seven\n'
    )
    found = look_through(written(tmp_path / "c", rows + 'a.png,"one,\nor two"\n'))
    assert [(one.place, one.reason) for one in found.skipped] == [
        ("line 4", "too many cells"),
        ("line 6", "no picture named"),
        ("line 7", "an address"),
        ("line 8", "missing"),
        ("line 9", "repeated"),
    ]
    assert str(found.skipped[3]) == "line 8: gone.png does not exist"


def test_a_quotation_mark_that_swallows_lines_is_told_with_its_line(tmp_path: Path) -> None:
    pictures(tmp_path / "c", "a.png", "b.png", "d.png")
    for last in ("d.png,three", 'd.png,"three"'):
        text = f'file,caption\na.png,"one,\nor two"\nb.png,"nails of 3 and 5 inches\n{last}\n'
        assert "line 4 opens a quotation mark that swallows" in refused(written(tmp_path / "c", text))
    text = 'file,caption,by\na.png,"one" or two,me\nb.png,nails of 5",me\nd.png,"say ""hi""\nto all" ,me\n'
    read = load_data(written(tmp_path / "c", text))["text"].tolist()  # such marks do no harm
    assert read == ["one or two", 'nails of 5"', 'say "hi" to all']


def test_nan_in_json_is_nothing(tmp_path: Path) -> None:
    pictures(tmp_path / "c", *(f"{number}.png" for number in range(4)))
    nan = float("nan")
    row = {"caption": "a", "labels": ["x", nan], "split": nan, "year": nan, "is_red": 1.0}
    rows: list[dict[str, Any]] = [row | {"file_name": f"{number}.png"} for number in range(4)]
    rows[0] |= {"caption": nan, "labels": nan, "year": 1999}
    rows[1]["caption"] = ["b", nan]
    found = look_through(
        written(tmp_path / "c", "\n".join(map(json.dumps, [*rows, {**row, "file_name": nan}])), "t.jsonl")
    )
    assert [list(one.captions) for one in found.pictures] == [[], ["b"], ["a"], ["a"]]
    assert found.labels() == [("x", 3)] and [one.reason for one in found.skipped] == ["no picture named"]
    data = found.data()
    assert data.columns["year"].tolist() == [1999, None, None, None]
    assert not any("splits are as the table says" in note for note in data.notes)


def test_a_broken_line_of_json_is_left_out(tmp_path: Path) -> None:
    pictures(tmp_path / "c", "a.png", "b.png")
    lines = '{"file_name": "a.png", "text": "one"}\n{"file_name": \n[1]\n\n{"file_name": "b.png", "text": "two"}\n'
    found = look_through(written(tmp_path / "c", lines, "table.jsonl"))
    assert [(one.place, one.reason) for one in found.skipped] == [("line 2", "not JSON"), ("line 3", "not JSON")]
    assert found.data().n == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name,caption\na.png,one\n", "no column of pictures .* it has: name, caption; name it: --picture-column"),
        ("file,artist\na.png,me\nb.png,you\n", "neither captions nor labels; its columns are file, artist"),
        ("file,caption\n", "table.csv has no rows"),
        ("file,file\na.png,b.png\n", "two columns called 'file'"),
        ("file,caption\nno.png,one\n", "0 of 1 pictures can be read, .*: no.png does not exist"),
        ("file,caption,split\na.png,one,odd\nb.png,two,train\n", "unknown split 'odd'"),
    ],
)
def test_mistakes_are_one_line(text: str, told: str, tmp_path: Path) -> None:
    import re

    assert re.search(told, refused(written(pictures(tmp_path / "c", "a.png", "b.png"), text)))


def test_a_column_asked_for_that_is_not_there(tmp_path: Path) -> None:
    make_collection(tmp_path / "c", 8)
    assert "--caption-column: unknown column 'captoin'; did you mean 'caption'?" in refused(
        tmp_path / "c", caption_column="captoin"
    )
    assert "'label_column' is for own collections" in refused(Path("glyphs"), label_column="x")


def test_several_tables_in_a_folder_are_not_guessed_between(tmp_path: Path) -> None:
    make_collection(tmp_path / "c", 8)
    shutil.copy(tmp_path / "c" / "table.csv", tmp_path / "c" / "other.csv")
    assert "holds several tables: other.csv, table.csv; give the path of one" in refused(tmp_path / "c")
    shutil.copy(tmp_path / "c" / "table.csv", tmp_path / "c" / "metadata.csv")
    assert load_data(tmp_path / "c").n == 8  # as Hugging Face's imagefolder has it


def test_a_flat_folder_of_pictures_says_what_it_lacks(tmp_path: Path) -> None:
    assert "pictures without captions or labels; put a table beside them" in refused(
        pictures(tmp_path, "a.png", "b.png")
    )
    (tmp_path / "captions.xlsx").write_bytes(b"PK")
    assert "as a table one of .csv, .tsv, .jsonl, .parquet is read, and not captions.xlsx" in refused(tmp_path)


def test_a_saved_data_set_needs_its_package(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "state.json").write_text("{}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "datasets", None)
        assert "type: pip install datasets" in refused(tmp_path / "c")


@pytest.mark.parametrize("splits", [False, True])
def test_a_saved_data_set_is_read(splits: bool, tmp_path: Path) -> None:
    datasets: Any = pytest.importorskip("datasets")
    pictures(tmp_path, "a.png", "b.png", "c.png")
    columns = {
        "image": [str(tmp_path / name) for name in ("a.png", "b.png", "c.png")],
        "text": ["one", "two", "three"],
        "label": [1, 0, 1],
        "year": [1, None, 3],
    }
    kinds = {"image": datasets.Image(), "text": datasets.Value("string")}
    kinds |= {"label": datasets.ClassLabel(names=["tree", "river"]), "year": datasets.Value("int64")}
    made = datasets.Dataset.from_dict(columns, datasets.Features(kinds))
    (datasets.DatasetDict({"train": made}) if splits else made).save_to_disk(tmp_path / "c")
    data = load_data(tmp_path / "c")
    assert [(text, labels) for _, text, labels in shown(data)] == [
        ("one", ["river"]),
        ("two", ["tree"]),
        ("three", ["river"]),
    ]
    assert data.columns["year"].tolist() == [1, None, 3] and data["image"].read(16).shape == (3, 16, 16, 3)  # type: ignore[attr-defined]


# --- columns, captions, labels --------------------------------------------------------------------------------------


def test_other_columns_keep_their_types(tmp_path: Path) -> None:
    pictures(tmp_path / "c", "a.png", "b.png")
    head = "file,caption,year,price,day,zip,flag,id,empty,mixed\n"
    rows = "a.png,one,1999,1,2024-05-31,01234,true,7,,1\nb.png,two,,2.5,,99999,false,8,,x\n"
    data = load_data(written(tmp_path / "c", head + rows))
    assert {name: values.tolist() for name, values in data.columns.items()} == {
        "year": [1999, None],
        "price": [1.0, 2.5],
        "day": ["2024-05-31", None],
        "zip": ["01234", "99999"],
        "flag": [True, False],
        "table_id": [7, 8],
        "mixed": ["1", "x"],
    }


@pytest.mark.parametrize(
    ("separator", "cells", "expected"),
    [
        (";", ["1647,49", "0,5", "-12", ""], [1647.49, 0.5, -12.0, None]),
        ("\t", ["1.234.567,8", "1 234,5", "1\u202f234,25", "1'000,0"], [1234567.8, 1234.5, 1234.25, 1000.0]),
        (",", ["1,234", "2,5", "3", "4"], ["1,234", "2,5", "3", "4"]),  # thousands, or a list
        (";", ["1,2,3", "4,5", "6", "7"], ["1,2,3", "4,5", "6", "7"]),
        (";", ["00,5", "1,5", "2", "3"], ["00,5", "1,5", "2", "3"]),
        (";", ["1.234", "2.5", "3", "4"], [1.234, 2.5, 3.0, 4.0]),  # points stay decimal points
        (";", ["31.05.2024", "1.6.2024", "", "29.2.2024"], ["2024-05-31", "2024-06-01", None, "2024-02-29"]),
        (";", ["31.05.2024", "31.02.2024", "1.1.2020", "1.1.2020"], ["31.05.2024", "31.02.2024"] + ["1.1.2020"] * 2),
        (";", ["05/31/2024", "01/06/2024", "", ""], ["05/31/2024", "01/06/2024", None, None]),  # either may be the day
    ],
)
def test_numbers_and_dates_as_spreadsheets_write_them(
    separator: str, cells: list[str], expected: list[Any], tmp_path: Path
) -> None:
    pictures(tmp_path / "c", *(f"{row}.png" for row in range(4)))
    rows = [["file", "caption", "cell"], *([f"{row}.png", "words", cell] for row, cell in enumerate(cells))]
    table = "\n".join(separator.join(f'"{cell}"' for cell in row) for row in rows)
    assert load_data(written(tmp_path / "c", table)).columns["cell"].tolist() == expected


@given(st.lists(st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.booleans(), st.lists(st.text()))))
def test_a_column_of_items_is_of_one_type(values: list[Any]) -> None:
    for comma in (False, True):
        assert len({type(value) for value in extras.typed(values, decimal_comma=comma) if value is not None}) <= 1


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["tree;river", None, "river, deep"], [["tree", "river"], [], ["river, deep"]]),
        (["tree|river", "sky"], [["tree", "river"], ["sky"]]),
        (["tree, river", "sky"], [["tree", "river"], ["sky"]]),
        (['["tree", "a;b"]', "[]", None], [["tree", "a;b"], [], []]),
        ([3, 1.0, None, 3], [["3"], ["1"], [], ["3"]]),
        ([["tree", "tree"], [], None], [["tree"], [], []]),
        (["tree; ;tree;"], [["tree"]]),
        (["tree；river", "sky;tree"], [["tree", "river"], ["sky", "tree"]]),  # the same mark in two widths
        (["猫、犬", "猫"], [["猫", "犬"], ["猫"]]),
        (["قط، كلب"], [["قط", "كلب"]]),
        (["tree\nbig river", "sky"], [["tree", "big river"], ["sky"]]),
        (["tree,\nriver"], [["tree", "river"]]),
        (["['tree', \"d'or\"]", "[]", "sky"], [["tree", "d'or"], [], ["sky"]]),  # as pandas writes a list
        (["['tree' 'big river']", "['sky']"], [["tree", "big river"], ["sky"]]),  # and an array
        (["[ 1 12]", "[3]"], [["1", "12"], ["3"]]),
        (["['Formula 1 - 2023' 'Route 66 1']", "['x 1 2', 'y']"], [["Formula 1 - 2023", "Route 66 1"], ["x 1 2", "y"]]),
        (["('tree', 'sky')", "(unknown)"], [["tree", "sky"], ["(unknown)"]]),
        (["[tree], [river]"], [["[tree]", "[river]"]]),  # no list
    ],
)
def test_labels_are_read_as_they_are_written(cells: list[Any], expected: list[list[str]]) -> None:
    assert labels._lists(cells)[0] == expected
    for number, names in enumerate(expected):  # and written so that they are read again
        again = [*cells[:number], labels.as_written(cells, names), *cells[number + 1 :]]
        assert labels._lists(again)[0] == expected


def test_columns_of_0_and_1_are_a_label_each(tmp_path: Path) -> None:
    pictures(tmp_path / "c", "a.png", "b.png", "c.png")
    table = written(
        tmp_path / "c", "file,caption,label_tree,river,n\na.png,one,1,0,5\nb.png,two,1,1,6\nc.png,three,0,0,7\n"
    )
    assert [labels for _, _, labels in shown(load_data(table))] == [["tree"], ["river", "tree"], []]
    assert load_data(table, label_column="none").label is None
    assert load_data(table, label_column="label_tree,n").label_names == ["0", "1", "5", "6", "7"]  # 5 is no bit


@pytest.mark.parametrize(("no", "yes"), [("FALSE", "TRUE"), ("false", "true"), ("0.0", "1.0"), ("False", "True")])
def test_columns_of_0_and_1_as_programs_write_them(no: str, yes: str, tmp_path: Path) -> None:
    pictures(tmp_path / "c", "a.png", "b.png")
    table = written(tmp_path / "c", f"file,caption,tree,river\na.png,one,{yes},{no}\nb.png,two,,{yes}\n")
    assert [labels for _, _, labels in shown(load_data(table))] == [["tree"], ["river"]]


def test_columns_of_lists_are_no_columns_of_0_and_1(tmp_path: Path) -> None:
    pictures(tmp_path / "c", "a.png", "b.png")
    rows = [{"file": name, "caption": "x", "parts": ["leaf"], "colours": ["red"]} for name in ("a.png", "b.png")]
    table = tmp_path / "c" / "table.jsonl"
    table.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert load_data(table).label is None


def test_captions_of_one_picture_are_pairs_of_one_group(tmp_path: Path) -> None:
    pictures(tmp_path / "c", *(f"{number}.png" for number in range(30)))
    rows = "".join(f"{n}.png,shape {n},form {n},{'round' if n % 2 else ''}\n" for n in range(30))
    data = load_data(written(tmp_path / "c", "path,caption_1,caption_2,tags\n" + rows))
    assert data.n == 60 and data.group is not None and len(np.unique(data.group)) == 30
    assert data["text"].tolist()[:4] == ["shape 0", "form 0", "shape 1", "form 1"]
    assert not set(data.group[data.splits["query"]]) & set(data.group[data.splits["retrieval"]])
    assert set(data.splits["train"]) == set(data.splits["retrieval"])


def test_rows_of_one_picture_join_their_labels(tmp_path: Path) -> None:
    pictures(tmp_path / "c", "a.png", "b.png")
    data = load_data(written(tmp_path / "c", "file,caption,label\na.png,one,tree\na.png,one,river\nb.png,two,tree\n"))
    assert shown(data) == [("a.png", "one", ["river", "tree"]), ("b.png", "two", ["tree"])]


def test_rows_without_labels_are_unlabelled_and_without_words_they_stay(tmp_path: Path) -> None:
    pictures(tmp_path / "c", "a.png", "b.png", "c.png")
    data = load_data(written(tmp_path / "c", "file,label\na.png,tree\nb.png,\nc.png,river\n"))
    assert data.label is not None and data.label.sum(1).tolist() == [1, 0, 1]
    assert data["text"].tolist() == ["tree", "", "river"]
    assert any("1 pictures have neither caption nor label" in note for note in data.notes)


def test_of_very_many_labels_the_most_frequent_are_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MOST", 2)
    label, names, rare = labels.matrix([["a", "b"], ["b", "c"], ["c"], ["d"]])
    assert (names, rare) == (["b", "c"], ["a", "d"]) and label.tolist() == [[1, 0], [1, 1], [0, 1], [0, 0]]


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_damaged_files_of_twenty_kinds_are_each_listed_once(tmp_path: Path) -> None:
    reasons = make_damaged(tmp_path / "c" / "mixed")
    assert len(reasons) == 200
    rows = "".join(f"mixed/{name},a caption of {name}\n" for name in reasons)
    found = look_through(written(tmp_path / "c", "file_name,caption\n" + rows))
    told = {Path(one.name).name: one.reason for one in found.skipped}
    assert told == {name: reason for name, reason in reasons.items() if reason}
    assert len(found.skipped) == len(told) == 100 and all("\n" not in str(one) for one in found.skipped)
    data = found.data()
    assert data.n == 100 and len(data["image"].read(16)) == 100  # type: ignore[attr-defined]


def test_near_duplicates_are_one_group(tmp_path: Path) -> None:
    big = Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 60).convert("RGB")
    big.save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "copy.png")
    big.save(tmp_path / "as.jpg", quality=80)
    big.resize((150, 100), Image.Resampling.LANCZOS).save(tmp_path / "small.png")
    big.rotate(180).save(tmp_path / "turned.png")
    Image.fromarray(255 - np.asarray(big)).save(tmp_path / "negative.png")
    order = ["a.png", "turned.png", "copy.png", "as.jpg", "small.png", "negative.png"]
    found = find_duplicates(facts_of(tmp_path / name for name in order))
    assert found.group.tolist() == [0, 1, 0, 0, 0, 2] and (found.same, found.alike) == (2, 2)
    assert [group.tolist() for group in found.groups()] == [[0, 2, 3, 4]]


@pytest.mark.slow
@given(st.integers(0, 6), st.integers(1, 12), st.data())
def test_alike_is_who_differs_little_everywhere_from_one_of_a_group(limit: int, n: int, data: st.DataObject) -> None:
    row = st.lists(st.integers(0, 30), min_size=10, max_size=10)
    values = np.array(data.draw(st.lists(row, min_size=n, max_size=n)), np.uint8) // 3 * 3
    number = list(range(n))
    for _ in range(n):  # until nothing changes
        for i in range(n):
            for j in range(n):
                if np.abs(values[i].astype(int) - values[j]).max() <= limit:
                    number[i] = number[j] = min(number[i], number[j])
    assert group_alike(values, limit).tolist() == number


def test_shapes_of_other_colours_or_places_are_no_duplicates(tmp_path: Path) -> None:
    make_collection(tmp_path / "c", 200)
    assert look_through(tmp_path / "c").duplicates.groups() == []


# --- splits ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 40), min_size=1, max_size=300))
def test_drawn_splits_are_whole_groups_within_the_limits(groups: list[int]) -> None:
    group = np.array(groups)
    split, _ = split_rows([None] * len(group), group)
    assert not set(group[split["query"]]) & set(group[split["retrieval"]])
    assert sorted([*split["query"], *split["retrieval"]]) == list(range(len(group)))
    assert len(split["query"]) <= len(group) / 5


@pytest.mark.parametrize(("pairs", "queries"), [(60, 12), (600, 100), (3000, 300), (50_000, 2000)])
def test_a_tenth_are_queries_at_least_100_and_at_most_2000(pairs: int, queries: int) -> None:
    split, said = split_rows([None] * pairs, np.arange(pairs))
    assert len(split["query"]) == queries and f"{queries:,} pairs are queries, drawn by seed 0" in said


def test_a_split_column_is_followed(tmp_path: Path) -> None:
    pictures(tmp_path / "c", "a.png", "b.png", "c.png", "d.png", "e.png")
    rows = "a.png,1,Train\nb.png,2,test\nc.png,3,val\nd.png,4,database\ne.png,5,\n"
    data = load_data(written(tmp_path / "c", "file,caption,split\n" + rows))
    assert {name: rows.tolist() for name, rows in data.splits.items()} == {
        "train": [0, 4],
        "query": [1],
        "validation": [2],
        "retrieval": [0, 2, 3, 4],
    }


def test_folders_that_are_splits(tmp_path: Path) -> None:
    make_collection(tmp_path / "c" / "train", 12, table="jsonl")
    make_collection(tmp_path / "c" / "test", 4, table="jsonl", seed=1)
    data = load_data(tmp_path / "c")
    assert (len(data.query), len(data.train), data.n) == (4, 12, 16)
    assert data.path is not None and "/test/" in data.path[data.query.index[0]]


def test_queries_with_a_twin_in_the_database_are_told(tmp_path: Path) -> None:
    pictures(tmp_path / "c", "a.png", "b.png")
    shutil.copy(tmp_path / "c" / "a.png", tmp_path / "c" / "twin.png")
    rows = "a.png,1,train\nb.png,2,train\ntwin.png,3,test\n"
    data = load_data(written(tmp_path / "c", "file,caption,split\n" + rows))
    assert any("1 queries have a near-duplicate in the database" in note for note in data.notes)


# --- where they are found again -------------------------------------------------------------------------------------


def test_a_collection_is_found_again_by_its_source_and_options(tmp_path: Path) -> None:
    make_collection(tmp_path / "c", 20)
    data = load_data(tmp_path / "c", caption_column="artist")
    again = load_data(data.source, **data.options)
    assert again["text"].tolist() == data["text"].tolist() == [f"person {number % 5}" for number in range(20)]
    assert "caption" in again.columns or "table_caption" in again.columns


def test_a_link_to_a_table_elsewhere_is_read_from_where_the_link_is(tmp_path: Path) -> None:
    make_collection(tmp_path / "c", 12)
    (tmp_path / "tables").mkdir()
    (tmp_path / "c" / "table.csv").rename(tmp_path / "tables" / "v2.csv")
    (tmp_path / "c" / "now.csv").symlink_to(tmp_path / "tables" / "v2.csv")
    data = load_data(tmp_path / "c" / "now.csv")
    assert load_data(data.source).n == data.n == 12


def test_a_mark_of_bytes_in_a_parquet_name_is_no_pattern(tmp_path: Path) -> None:
    make_collection(tmp_path / "c", 8, table="parquet")
    (tmp_path / "c" / "table.parquet").rename(tmp_path / "c" / "t[1]*?.parquet")
    assert load_data(tmp_path / "c").n == 8
    (tmp_path / "c" / "t[1]*?.parquet").write_bytes(codecs.BOM_UTF8 + json.dumps({}).encode())
    assert "is no Parquet file that can be read" in refused(tmp_path / "c")


def test_names_of_folders_are_no_columns_of_a_parquet_file(tmp_path: Path) -> None:
    place = tmp_path / "town=Bonn" / "split=query"
    make_collection(tmp_path / "c", 8, table="parquet")
    place.parent.mkdir()
    (tmp_path / "c").rename(place)
    data = load_data(place)
    assert list(data.columns) == ["year", "artist"] and not any("as the table says" in note for note in data.notes)
    picture = str(place / "pictures" / "0000 red.png")
    assert write_corrected(place, Columns(), {picture: ["circle"]}, tmp_path / "new.parquet") == 1
    told = duckdb.read_parquet(str(tmp_path / "new.parquet"))
    assert told.columns == ["file_name", "year", "artist", "caption", "labels"]


@pytest.mark.parametrize("name", ["table.csv", "table.tsv", "table.jsonl", "table.parquet"])
def test_a_pointer_to_a_table_is_no_table(name: str, tmp_path: Path) -> None:
    pictures(tmp_path / "c", "a.png", "b.png")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 5\n"
    assert "is a Git LFS pointer, not the file itself; `git lfs pull`" in refused(
        written(tmp_path / "c", pointer, name)
    )


def test_pointers_to_pictures_are_told_from_other_files(tmp_path: Path) -> None:
    pictures(tmp_path / "c", "a.png", "b.png")
    for name, text in (("d.png", "version https://git-lfs.github.com/spec/v1\n"), ("e.png", "a note")):
        written(tmp_path / "c", text, name)
    found = look_through(written(tmp_path / "c", "file,caption\na.png,1\nb.png,2\nd.png,3\ne.png,4\n"))
    assert [one.said for one in found.skipped] == [
        "is not a picture but a Git LFS pointer, not the file itself; `git lfs pull` brings that",
        "is not a picture",
    ]


def test_most_frequent_labels_and_reasons_are_counted(tmp_path: Path) -> None:
    make_collection(tmp_path / "c", 16)
    found = look_through(tmp_path / "c", Columns())
    assert Counter(dict(found.labels())) == Counter(dict.fromkeys(found.data().label_names or [], 4))
