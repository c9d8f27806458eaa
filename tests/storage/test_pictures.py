"""The one reader of pictures: what it makes of every kind, and what it says of what it cannot read."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import sys
import types
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crossbit.errors import UserError
from crossbit.storage.pictures import PictureError, look, picture_size, read_picture

RED, WHITE = (255, 0, 0), (255, 255, 255)
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)  # every grey value once


def refused(source: object, **options: int) -> PictureError:
    with pytest.raises(PictureError) as caught:
        read_picture(source, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return caught.value


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


# --- what is read ---------------------------------------------------------------------------------------------------


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    picture.putpixel((1, 0), (0, 0, 0, 0))
    picture.save(tmp_path / "clear.png")
    assert read_picture(tmp_path / "clear.png").tolist() == [[list(RED), list(WHITE)]]


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "I;16"])
def test_a_transparent_colour_is_white(mode: str) -> None:
    picture = Image.new(mode, (2, 1))  # black
    if mode == "P":
        picture.putpalette([0, 0, 0, *RED])
    picture.putpixel((1, 0), {"P": 1, "L": 90, "RGB": RED, "I;16": 90 * 257}[mode])
    read = read_picture(encoded(picture, "png", transparency=(0, 0, 0) if mode == "RGB" else 0))
    assert read[0, 0].tolist() == list(WHITE)
    assert read[0, 1].tolist() == (list(RED) if mode in ("P", "RGB") else [90] * 3)


@pytest.mark.parametrize("turn", range(2, 9))
@pytest.mark.parametrize("mode", ["RGB", "I;16"])
def test_pictures_are_turned_upright(mode: str, turn: int) -> None:
    upright = np.zeros((3, 5), np.uint8)
    upright[0, 1] = 255
    undone = {2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose}
    undone |= {6: np.rot90, 7: lambda a: np.rot90(a.T, 2), 8: lambda a: np.rot90(a, -1)}
    stored = Image.fromarray(np.ascontiguousarray(undone[turn](upright)))
    wanted = stored.convert("RGB") if mode == "RGB" else Image.fromarray(np.asarray(stored).astype(np.uint16) * 257)
    wanted.getexif()[0x0112] = turn
    data = encoded(wanted, "png", exif=wanted.getexif())
    np.testing.assert_array_equal(read_picture(data)[..., 0], upright)
    assert picture_size(data) == (3, 5)


def test_a_broken_note_beside_sound_pixels_turns_nothing() -> None:
    data = encoded(Image.new("RGB", (3, 2), RED), "png", exif=b"Exif\0\0 no such thing")
    assert read_picture(data).tolist() == [[list(RED)] * 3] * 2


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "La", "PA", "RGBa", "CMYK", "YCbCr", "LAB", "HSV", "I", "F"])
def test_every_kind_of_picture_becomes_colours(mode: str) -> None:
    pixels = read_picture(Image.new(mode, (3, 2)))
    assert (pixels.dtype, pixels.shape) == (np.uint8, (2, 3, 3))


def test_a_jpeg_of_four_inks_keeps_its_colours() -> None:
    data = encoded(Image.new("RGB", (16, 16), RED).convert("CMYK"), "jpeg", quality=95)
    assert np.abs(read_picture(data).astype(int) - RED).max() < 10


def test_the_first_frame_of_several_is_read() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, WHITE)]
    for kind in ("gif", "tiff", "webp"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert np.abs(read_picture(data).astype(int) - RED).max() < 3


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (RAMP, "png"),
        (RAMP.astype("<u2") * 257, "png"),
        (RAMP.astype("<u2") * 257, "tiff"),
        (RAMP.astype(">u2") * 257, "tiff"),
        (RAMP.astype("<u2"), "png"),  # eight bits in sixteen
        (RAMP.astype(np.int32) * 257, "tiff"),
        (RAMP.astype(np.int32) * 5000 - 70_000, "tiff"),
        (RAMP.astype(np.float32) / 255, "tiff"),
        (RAMP.astype(np.float32), "tiff"),
        (RAMP.astype(np.float32) * 257, "tiff"),
        (RAMP.astype(np.float32) / 255 * 4095, "tiff"),
        (RAMP.astype(np.float32) * 1e9 - 3e10, "tiff"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.dtype.str[1:]}-to-{value.max():.4g}",
)
def test_grey_values_of_every_type_become_those_of_eight_bits(values: np.ndarray, kind: str) -> None:
    for source in (encoded(Image.fromarray(values), kind), Image.fromarray(values)):
        np.testing.assert_array_equal(read_picture(source), np.stack([RAMP] * 3, axis=2))


def tiff(values: np.ndarray, order: str) -> bytes:
    """An uncompressed TIFF of these numbers (16, 16), as the format's description has it."""
    size, kind = values.nbytes, {"u": 1, "i": 2}[values.dtype.kind]
    tags = {256: 16, 257: 16, 258: values.itemsize * 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: size, 339: kind}
    data = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8 + size)
    data += values.astype(values.dtype.newbyteorder(order)).tobytes() + struct.pack(order + "H", len(tags))
    return data + b"".join(struct.pack(order + "HHII", tag, 4, 1, tags[tag]) for tag in tags) + b"\0\0\0\0"


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (RAMP.astype(np.uint16) * 257, ">"),
        (RAMP.astype(np.uint32) * 16_843_009, "<"),  # beyond what 32 bits with a sign hold
        ((RAMP.astype(np.int16) - 128).astype(np.int8), "<"),
        ((RAMP.astype(np.int16) - 128).astype(np.int8), ">"),
        (RAMP.astype(np.int16) * 200 - 30_000, "<"),
        (RAMP.astype(np.int16) * 200 - 30_000, ">"),
        (RAMP.astype(np.int32) * 16_000_000 - 2_040_000_000, ">"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.dtype.str[1:],
)
def test_a_tiff_of_any_width_sign_and_byte_order(values: np.ndarray, order: str) -> None:
    np.testing.assert_array_equal(read_picture(tiff(values, order))[..., 0], RAMP)
    small = np.frombuffer(look(tiff(values, order))[2][: 16 * 16], np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(small, RAMP)


def test_real_numbers_that_are_none() -> None:
    values = np.array([[0, 0.2, np.nan], [-np.inf, np.inf, 1]], np.float32)
    assert read_picture(Image.fromarray(values))[..., 0].tolist() == [[0, 51, 0], [0, 255, 255]]
    assert not read_picture(Image.fromarray(np.full((2, 2), np.nan, np.float32))).any()
    assert not read_picture(Image.fromarray(np.full((2, 2), -7, np.float32))).any()


def test_every_source_gives_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path = tmp_path / "x.png"
    Image.fromarray(pixels).save(path)
    with open(path, "rb") as file, Image.open(path) as picture:
        for source in (path, str(path), path.read_bytes(), file, io.BytesIO(path.read_bytes()), picture, pixels):
            np.testing.assert_array_equal(read_picture(source), pixels)
            assert picture_size(source) == (5, 7)
        assert picture.getpixel((0, 0)) == tuple(pixels[0, 0])  # the caller's picture is still open


def test_arrays() -> None:
    assert read_picture(RAMP).shape == (16, 16, 3)
    clear = np.zeros((2, 2, 4), np.uint8)
    assert (read_picture(clear) == 255).all()
    for wrong in (RAMP / 255, RAMP[None, :, :, None], np.zeros((2, 2, 2), np.uint8), np.zeros(3, np.uint8)):
        with pytest.raises(UserError, match="a picture is uint8"):
            read_picture(wrong)


# --- what is too large ----------------------------------------------------------------------------------------------


def test_a_large_picture_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("1", (1000, 900)), "png")
    monkeypatch.setenv("CROSSBIT_MAX_PIXELS", "1000")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    error = refused(data)
    assert error.kind == "too large"
    told = "is 1,000 by 900 pixels, 900,000 in all, and the limit is 1,000; set CROSSBIT_MAX_PIXELS=900000"
    assert told in str(error)


def test_the_limit_is_raised_as_the_line_says(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("1", (100, 90)), "png")
    monkeypatch.setenv("CROSSBIT_MAX_PIXELS", "8999")
    line = str(refused(data))
    monkeypatch.setenv("CROSSBIT_MAX_PIXELS", re.findall(r"PIXELS=(\d+) to read it$", line)[0])
    assert read_picture(data).shape == (90, 100, 3)
    assert refused(data, limit=8999).kind == "too large"
    monkeypatch.setenv("CROSSBIT_MAX_PIXELS", "many")
    with pytest.raises(UserError, match="CROSSBIT_MAX_PIXELS is 'many'; it must be a number of pixels"):
        read_picture(data)


@pytest.mark.filterwarnings("error")
def test_pillows_own_limit_neither_warns_nor_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    data = encoded(Image.new("1", (100, 90)), "png")
    with ThreadPoolExecutor(8) as threads:
        assert {read.shape for read in threads.map(read_picture, [data] * 40)} == {(90, 100, 3)}
    assert Image.MAX_IMAGE_PIXELS == 10


def test_a_large_jpeg_is_read_at_half_its_size() -> None:
    data = encoded(Image.new("RGB", (400, 301), RED), "jpeg")
    assert picture_size(data, limit=60_000) == read_picture(data, limit=60_000).shape[:2] == (151, 200)
    assert read_picture(data, limit=120_400).shape == (301, 400, 3)
    assert refused(data, limit=30_000).kind == "too large"


# --- what is no picture ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [b"x", b"hi\n", b"\0", b"\0\0\0\0\0"])
def test_a_file_of_a_few_bytes_is_not_a_picture(start: bytes) -> None:
    assert refused(start).kind == "not a picture"


def test_each_reason_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.txt").write_text("a note of some length, in plain words", encoding="utf-8")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "cut.png").write_bytes(encoded(Image.new("RGB", (9, 9)), "png")[:20])
    kinds = {"gone.png": "missing", "empty.png": "empty", "notes.txt": "not a picture", "folder.png": "unreadable"}
    for name, kind in {**kinds, "cut.png": "damaged"}.items():
        error = refused(tmp_path / name)
        assert error.kind == kind
        assert str(error).startswith(str(tmp_path / name))


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, not the file itself; `git lfs pull`"),
        (b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg xmlns='...'", "an SVG drawing, which is lines and no pixels"),
        (b"<!DOCTYPE html>", "a web page, so the download went wrong"),
        (b"%PDF-1.7", "a PDF document"),
    ],
)
def test_what_is_no_picture_is_named_for_what_it_is(start: bytes, said: str) -> None:
    error = refused(start)
    assert error.kind == "not a picture" and f"is not a picture but {said}" in str(error)


@pytest.mark.parametrize("start", [b"\x89PNG\n\x1a\n, as an editor saved it", b"\xff\xd8\xffcut"])
def test_a_picture_whose_first_bytes_are_damaged_is_not_said_to_be_none(start: bytes) -> None:
    error = refused(start)
    assert error.kind == "damaged" and "is not a picture" not in str(error)


def test_sources_of_other_types() -> None:
    for source in (None, 5, [1, 2]):
        with pytest.raises(UserError, match="is not a picture; give a path, bytes"):
            read_picture(source)  # type: ignore[arg-type]


def test_heic_names_the_plug_in_and_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # not installed
    error = refused(data)
    assert (error.kind, str(error)[-28:]) == ("HEIC", 'pip install "crossbit[heic]"')
    called: list[str] = []
    plug_in = types.SimpleNamespace(register_heif_opener=lambda: called.append("registered"))
    monkeypatch.setitem(sys.modules, "pillow_heif", plug_in)
    refused(data)
    assert "registered" in called


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "tiff", "webp", "bmp"])
def test_a_cut_picture_is_refused(kind: str) -> None:
    data = encoded(NOISE, kind)
    assert refused(data[: len(data) // 2]).kind == "damaged"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp", "bmp"])
def test_a_look_refuses_what_reading_refuses(kind: str) -> None:
    def kind_of_error(read: Callable[[bytes], object], data: bytes) -> str:
        try:
            read(data)
        except PictureError as error:
            return error.kind
        return ""

    data = encoded(NOISE, kind)
    for start in range(8, len(data) - 8, 60):
        damaged = data[:start] + bytes(8) + data[start + 8 :]
        assert kind_of_error(look, damaged) == kind_of_error(read_picture, damaged)
    assert kind_of_error(look, data) == ""


def test_a_comment_that_unpacks_to_much() -> None:
    data = encoded(NOISE, "png")
    comment = b"zTXtComment\0\0" + zlib.compress(bytes(80_000_000), 1)
    chunk = struct.pack(">I", len(comment) - 4) + comment + struct.pack(">I", zlib.crc32(comment))
    assert refused(data[:33] + chunk + data[33:]).kind == "damaged"


def test_memory_that_does_not_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    assert "does not fit into this machine's memory" in str(refused(encoded(NOISE, "png")))


SOUND = [encoded(NOISE.resize((6, 6)), kind) for kind in ("png", "jpeg", "gif", "tiff", "webp", "bmp", "ppm", "ico")]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SOUND), st.data())
def test_whatever_bytes_there_are_pixels_or_one_line(sound: bytes, data: st.DataObject) -> None:
    changed = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    for read in (picture_size, read_picture):
        with contextlib.suppress(PictureError):
            read(bytes(changed), limit=10_000)
