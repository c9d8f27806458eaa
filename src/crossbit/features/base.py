"""What every featuriser offers: what it reads, how it is fitted, what it makes of rows, and its state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossbit.data.checks import Kind
from crossbit.errors import UserError
from crossbit.storage.picture_files import PictureFiles
from crossbit.storage.pictures import to_square

FIT_ROWS = 20_000  # that a featuriser is fitted on, at most: enough for means, words and components
State = tuple[dict[str, Any], dict[str, NDArray[Any]]]
Pictures: TypeAlias = NDArray[np.uint8] | PictureFiles  # (n, h, w, 3) of one size, or files of any sizes


class Featuriser(ABC):
    """Turns the rows of one modality into what an encoder takes. It is fitted once and saved with the model.

    A new one is one new file in this folder: a subclass with `name` and `reads`. It is found by looking into the
    folder. A module that is called as its featuriser ("-" as "_") is imported alone when that one is asked for.

    Attributes:
        name: as written in `--features MODALITY=NAME`.
        reads: "pictures" (uint8 (n, h, w, 3), or files: see `squares`), "words" (n strings) or "vectors"
            (numbers (n, d)).
        takes: what stands behind a colon of the name, for the error: "a folder"; empty: nothing does.
        twins: by what else the same network reads, the name of the featuriser that does.
        rank: `auto` takes the highest that is installed; 0 is never taken.
        chunk: rows that are featurised together, at most.
    """

    name: ClassVar[str]
    reads: ClassVar[Kind]
    takes: ClassVar[str] = ""
    twins: ClassVar[Mapping[Kind, str]] = {}
    rank: ClassVar[int] = 0
    chunk: ClassVar[int] = 4096

    @classmethod
    def wanting(cls) -> str:
        """What to type so that its packages are there; empty where they are."""
        return ""

    @property
    @abstractmethod
    def dim(self) -> int | tuple[int, int, int]:
        """Numbers per row; of pixels, the shape of a row."""

    @classmethod
    @abstractmethod
    def fit(cls, rows: Any, *, seed: int = 0) -> Self:
        """A featuriser fitted to rows that are not queries.

        Args:
            rows: what the modality holds, as `reads` says.
            seed: of what is drawn, such as the rows that are used where there are too many.

        Raises:
            UserError: rows of another form, or too few.
        """

    @abstractmethod
    def transform(self, rows: Any) -> NDArray[Any]:
        """Rows (n, ...) to float32 (n, dim), or uint8 (n, *dim): a writable array in C order, whatever the rows' order.

        Raises:
            UserError: rows of another form.
        """

    def knows(self, row: Any) -> bool:
        """False where the row says nothing to this featuriser, such as a text without any known word."""
        return True

    def as_known(self, row: Any) -> Any:
        """A query as this featuriser knows it best, such as with *dog* for *dogs*, where it knows that alone."""
        return row

    def check_query(self, row: Any, found: Collection[str] = ()) -> list[str]:
        """Lines that tell the user what of a query was not understood; none where all was.

        Args:
            row: the query.
            found: words of it that are found otherwise, such as in captions, and need not be understood.

        Raises:
            UserError: nothing can be found from this row.
        """
        return []

    @abstractmethod
    def state(self) -> State:
        """JSON-able settings with `name` among them, and arrays: all that `from_state` needs."""

    @classmethod
    @abstractmethod
    def from_state(cls, config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Self:
        """The featuriser that `state` was taken from; it transforms equally to the bit."""


def check_pictures(pictures: Pictures) -> None:
    """Raise UserError unless `pictures` is uint8 (n, h, w, 3), or files."""
    if isinstance(pictures, PictureFiles):
        return
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3 or 0 in pictures.shape[1:]:
        raise UserError(f"pictures must be uint8 (n, h, w, 3), not {pictures.dtype} {pictures.shape}")


def longest_side(pictures: Pictures, of_files: int) -> int:
    """The longer side of pictures (n, h, w, 3); `of_files` for files, which may have any sizes."""
    return of_files if isinstance(pictures, PictureFiles) else max(pictures.shape[1:3])


def squares(pictures: Pictures, side: int) -> NDArray[np.uint8]:
    """Pictures to uint8 (n, side, side, 3), the same whether they come as an array or as files.

    Those of that size already are returned as they are. Call it with as many pictures as shall be in memory together.

    >>> squares(np.zeros((2, 10, 20, 3), np.uint8), 16).shape
    (2, 16, 16, 3)
    """
    if isinstance(pictures, PictureFiles):
        return pictures.read(side)
    if pictures.shape[1:3] == (side, side):
        return pictures
    out = np.empty((len(pictures), side, side, 3), dtype=np.uint8)
    for i, picture in enumerate(pictures):
        out[i] = to_square(picture, side)
    return out
