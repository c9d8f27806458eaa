"""What a person sees of hits: a line each, in which the caption has most of the room."""

import pytest

from crossbit.cli.hits import say_hits
from crossbit.search.results import SearchHit

LONG = 8_123_456_789_012_345_678


def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int, first: int) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    hits = [
        SearchHit(first, "image", 3, 0.25, {"caption": "a red fox in the snow " * 9}),
        SearchHit(7, "image", None, None, {}),
    ]
    say_hits("image", hits)
    return capsys.readouterr().out.splitlines()[1:]


@pytest.mark.parametrize(("columns", "first", "head"), [
    (80, LONG, ["rank", "dist", "by"]),
    (100, LONG, ["rank", "id", "dist", "cosine", "by"]),
    (80, 1_234_567, ["rank", "id", "dist", "cosine", "by"]),
])  # fmt: skip
def test_long_ids_give_way_to_captions(
    columns: int, first: int, head: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    title, *hits = lines(capsys, monkeypatch, columns, first)
    below = [line.split() for line in hits if line.startswith("      id")]
    assert below == ([["id", str(first)], ["id", "7"]] if "id" not in head else [])  # what --item and --not take
    long, short = hits[:: len(hits) // 2]
    assert title.split() == head and max(map(len, (title, long, short))) <= columns
    place = dict(zip(head, long.split(), strict=False))
    assert place["dist"] == "3" and place.get("id", str(first)) == str(first)
    assert long.index("a red") < columns - (58 if "id" not in head else 40) + 1
    assert short.split() == ["2", "-", "codes"] if "id" not in head else ["2", "7", "-", "-", "codes"]


@pytest.mark.parametrize(("id", "columns", "there"), [(7, 80, True), (LONG, 100, True), (LONG, 80, False)])
def test_hits_of_a_picture_show_the_cosines_that_order_them(
    id: int, columns: int, there: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    hits = [
        SearchHit(id, "text", 3, 0.25, {"caption": "a red fox"}, by=("codes", "pictures"), picture_cosine=0.875),
        SearchHit(8, "text", 4, 0.5, {"caption": "a fox"}),
    ]
    say_hits("text", hits)
    title, head, *lines = capsys.readouterr().out.splitlines()
    assert title.startswith(
        "text: 1 by codes and pictures, 1 by codes; in the order of the mean of text and picture cosine"
    )
    assert head.split()[-3:] == (["text", "picture", "by"] if there else ["rank", "dist", "by"])
    assert ("0.250    0.875  both" in lines[0]) == there
    assert not there or "0.500        -  codes" in lines[1]


@pytest.mark.parametrize("columns", [40, 80, 300])
def test_a_picture_s_path_is_never_cut(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    path = "/home/me/Meine Sammlung/" + "природа/" * 12 + "图片 风景 0196.JPG"
    item = {"caption": "three ridges " * 9, "labels": ["hills", "landscape"], "path": path}
    say_hits("image", [SearchHit(LONG, "image", 3, 0.25, item), SearchHit(7, "image", 4, 0.2, item | {"path": None})])
    hits = capsys.readouterr().out.splitlines()[2:]
    ids = [f"id {LONG}", "id 7"] if columns < 100 else ["", ""]
    assert [line.strip() for line in hits[1::2]] == [f"{ids[0]}  {path}".strip(), ids[1]][: len(hits) // 2]
    assert [line.split()[0] for line in hits[::2]] == ["1", "2"]
    assert "[hills" in hits[0] or columns == 40


def test_a_line_break_in_a_picture_s_name_is_told_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    say_hits("image", [SearchHit(7, "image", 3, 0.25, {"path": "a\nfox.png"})])
    assert "'a\\nfox.png'" in capsys.readouterr().out
