"""The one reader of pictures: training, search and `encode` see the same pixels of the same file."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import IO, Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from crossbit.errors import UserError
from crossbit.storage.grey import to_bytes
from crossbit.storage.kinds import BYTES, known_kind
from crossbit.storage.lines import shown

Source: TypeAlias = "str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | np.ndarray"

LIMIT = 100_000_000  # pixels; 300 MB as colours
LIMIT_NAME = "CROSSBIT_MAX_PIXELS"
LOOK_SIDE, LOOK_COLOURS = 16, 4  # of how a picture looks: grey values, colours
DRAFT = LOOK_SIDE * 4  # pixels: a JPEG may be decoded so small to see how it looks
HINT = "give a picture file such as .png or .jpg"
_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and its values that exchange width and height
_SAMPLE_FORMAT, _UNSIGNED, _SIGNED = 339, 1, 2  # the TIFF tag, and two of its values
_pillow_limit = threading.Lock()


class PictureError(UserError):
    """A picture that cannot be read; `kind` says in a word or two why: "damaged", "too large", "not a picture" ..."""

    def __init__(self, name: str, kind: str, said: str) -> None:
        super().__init__(name, kind, said)  # all of it, so that it comes over from another process
        self.kind, self._text = kind, f"{name} {said}"

    def __str__(self) -> str:
        return self._text


def read_picture(source: Source, *, limit: int | None = None) -> np.ndarray:
    """A picture as uint8 (h, w, 3): upright by its EXIF, transparent parts on white, the first of several frames.

    Grey values of more than 8 bits are scaled (`crossbit.storage.grey`). A JPEG of up to four times as many pixels as
    the limit is read at half its width and height.

    Args:
        source: a path, the bytes of a file, an open file, a PIL picture, or uint8 (h, w), (h, w, 3) or (h, w, 4).
        limit: the most pixels that are read; by default the environment's CROSSBIT_MAX_PIXELS, or 100 million.

    Raises:
        PictureError: it is missing, damaged, too large, or not a picture.
        UserError: an array of another shape or type; a limit that is no number.

    >>> read_picture(np.array([[0, 255]], np.uint8)).tolist()
    [[[0, 0, 0], [255, 255, 255]]]
    """
    if isinstance(source, np.ndarray):
        return _of_array(source)
    with _opened(source, limit) as picture:
        picture.load()  # a PNG may keep its EXIF behind its pixels
        return _colours(_upright(picture, _orientation(picture)))


def picture_size(source: Source, *, limit: int | None = None) -> tuple[int, int]:
    """Height and width that `read_picture` gives, mostly from the header alone; raises what it raises."""
    if isinstance(source, np.ndarray):
        height, width = _of_array(source).shape[:2]
        return height, width
    with _opened(source, limit) as picture:
        width, height = picture.size
        return (width, height) if _orientation(picture) in _SIDEWAYS else (height, width)


def look(source: Source) -> tuple[int, int, bytes]:
    """Height and width that `read_picture` gives, and how the picture looks: 16 x 16 grey values, 4 x 4 colours.

    All of the file is decoded, so what is damaged raises here; a big JPEG at an eighth of its size, which is much
    faster. Raises what `read_picture` raises.

    >>> height, width, seen = look(Image.new("RGB", (40, 20), "red"))
    >>> height, width, len(seen)
    (20, 40, 304)
    """
    with _opened(source, None) as picture:
        width, height = picture.size
        if min(width, height) >= 2 * DRAFT:
            picture.draft(picture.mode, (DRAFT, DRAFT))
        picture.load()  # first: a PNG is loaded for its notes, too, and damage would pass for broken notes
        turned = _orientation(picture)
        upright = _upright(picture, turned)
        if upright.mode not in ("RGB", "L") or upright.has_transparency_data:
            upright = Image.fromarray(_colours(upright))
        small = _small(upright)
    colours = (small if small.mode == "RGB" else small.convert("RGB")).reduce(LOOK_SIDE // LOOK_COLOURS)
    size = (width, height) if turned in _SIDEWAYS else (height, width)
    return *size, small.convert("L").tobytes() + colours.tobytes()


def _small(picture: Image.Image) -> Image.Image:
    """LOOK_SIDE by LOOK_SIDE: the mean of each part; whole multiples are reduced by a faster way of Pillow's."""
    by, left = zip(*(divmod(size, LOOK_SIDE) for size in picture.size), strict=True)
    return picture.resize((LOOK_SIDE, LOOK_SIDE), Image.Resampling.BOX) if any(left) else picture.reduce(by)


def to_square(pixels: np.ndarray, side: int) -> np.ndarray:
    """A picture uint8 (h, w, 3) as (side, side, 3), its height and width scaled each for itself.

    >>> to_square(np.zeros((10, 40, 3), np.uint8), 16).shape
    (16, 16, 3)
    """
    if pixels.shape[:2] == (side, side):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))


def _of_array(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        right = "a picture is uint8 (height, width, 3), (height, width) or (height, width, 4)"
        raise UserError(f"an array is {array.dtype} of shape {array.shape}; {right}")
    return array if array.shape[2:] == (3,) else _colours(Image.fromarray(array))


def has_picture_name(path: str | os.PathLike[str]) -> bool:
    """Whether a file's name ends as a picture's; its content may be something else."""
    return os.path.splitext(path)[1].lower() in Image.registered_extensions()


@contextmanager
def _opened(source: Any, limit: int | None) -> Iterator[Image.Image]:
    """A picture whose header is read and whose size is allowed; what decoders raise meanwhile is a PictureError."""
    most, name = _limit(limit), _name(source)
    with _explained(name):
        if isinstance(source, Image.Image):
            _check_size(source, name, most)
            yield source
            return
        with _stream(source) as stream, _identified(stream, name) as picture:
            if most < picture.width * picture.height <= 4 * most:  # a JPEG is decoded smaller at no cost
                picture.draft(picture.mode, (max(1, picture.width // 2), max(1, picture.height // 2)))
            _check_size(picture, name, most)
            yield picture


def _limit(limit: int | None) -> int:
    given = os.environ.get(LIMIT_NAME) if limit is None else str(limit)
    if given is None:
        return LIMIT
    if not given.isdecimal() or int(given) < 1:
        where = LIMIT_NAME if limit is None else "limit"
        raise UserError(f"{where} is '{given}'; it must be a number of pixels, such as {LIMIT}")
    return int(given)


def _name(source: Any) -> str:
    if isinstance(source, str | os.PathLike):
        return shown(os.fspath(source))
    name = getattr(source, "filename", None) or getattr(source, "name", None)  # of a PIL picture, of an open file
    return shown(name) if isinstance(name, str) and name else "the picture"


def _stream(source: Any) -> AbstractContextManager[IO[bytes]]:
    if isinstance(source, str | os.PathLike):
        return open(source, "rb")
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if not hasattr(source, "read"):
        right = "a path, bytes, an open file, a PIL picture or an array"
        raise UserError(f"a {type(source).__name__} is not a picture; give {right}")
    return nullcontext(source) if source.seekable() else io.BytesIO(source.read())


def _identified(stream: IO[bytes], name: str) -> Image.Image:
    stream.seek(0)
    head = stream.read(BYTES)
    if not head:
        raise PictureError(name, "empty", f"is empty; {HINT}")
    if head[4:8] == b"ftyp" and (b"hei" in head[:64] or b"hev" in head[:64]):
        _allow_heic(name)
    with _pillow_limit:  # Pillow's own limit is a warning, printed anywhere; ours is checked in its place
        theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(stream)
        except UnidentifiedImageError:
            start = head[:16].ljust(16, b"\0")  # Pillow's checks need that many bytes
            what = known_kind(head)
            begins = any(accept and accept(start) is True for _, accept in Image.OPEN.values())
            if begins or (what and what.endswith("picture")):
                said = f"begins like a picture, but is damaged or of a kind that cannot be read; {HINT}"
                raise PictureError(name, "damaged", said) from None
            kind = f" but {what}" if what else ""
            raise PictureError(name, "not a picture", f"is not a picture{kind}; {HINT}") from None
        finally:
            Image.MAX_IMAGE_PIXELS = theirs


def _allow_heic(name: str) -> None:
    try:
        pillow_heif: Any = import_module("pillow_heif")
    except ImportError:
        said = 'is a HEIC picture; to read such, type: pip install "crossbit[heic]"'
        raise PictureError(name, "HEIC", said) from None
    pillow_heif.register_heif_opener()


def _check_size(picture: Image.Image, name: str, most: int) -> None:
    width, height = picture.size
    if width * height > most:
        size = f"is {width:,} by {height:,} pixels, {width * height:,} in all, and the limit is {most:,}"
        raise PictureError(name, "too large", f"{size}; set {LIMIT_NAME}={width * height} to read it")


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Damaged bytes lead decoders to errors of every kind; each becomes a line."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise PictureError(name, "missing", f"does not exist; {HINT}") from error
    except MemoryError as error:
        raise PictureError(name, "too large", "does not fit into this machine's memory") from error
    except Exception as error:
        if why := getattr(error, "strerror", None):
            raise PictureError(name, "unreadable", f"cannot be read: {why}; {HINT}") from error
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise PictureError(name, "damaged", f"is damaged: {why}; {HINT}") from error


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # a broken note beside sound pixels
        return 1


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    """A loaded picture turned by its EXIF, its numbers with the sign that a TIFF gives them."""
    kind = getattr(picture, "tag_v2", {}).get(_SAMPLE_FORMAT, (0,))[0]
    upright = ImageOps.exif_transpose(picture) if orientation > 1 else picture
    if kind == _SIGNED and upright.mode == "L":  # Pillow reads 8 bits as unsigned
        return Image.fromarray(np.asarray(upright).view(np.int8).astype(np.int32))
    if kind == _UNSIGNED and upright.mode == "I" and (np.asarray(upright) < 0).any():  # and 32 bits as signed
        return Image.fromarray(np.asarray(upright).view(np.uint32).astype(np.float32))
    return upright


def _colours(picture: Image.Image) -> np.ndarray:
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        values = np.asarray(picture)
        grey = to_bytes(values)
        clear = picture.info.get("transparency")
        return np.stack([grey if clear is None else np.where(values == clear, np.uint8(255), grey)] * 3, axis=2)
    if picture.mode == "La":  # which becomes colours by this step only
        picture = picture.convert("LA")
    if picture.has_transparency_data:
        colours = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
    return np.asarray(picture.convert("RGB"))
