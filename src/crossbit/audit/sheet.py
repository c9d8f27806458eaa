"""The sheet: suspect labels with their pictures in one HTML file, to be decided about by keyboard."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from crossbit.audit.seen import Seen
from crossbit.storage.pictures import PictureError, read_picture

if TYPE_CHECKING:
    from crossbit.audit import Audit
    from crossbit.audit.entries import SuspectRow

SIDE = 160  # pixels of a picture, at most
SMALL = 48  # pixels up to which a picture is kept as it is
QUALITY = 80  # of JPEG
MOST = 200  # suspects on a sheet


def build_sheet(found: Audit, top: int | None = None) -> str:
    """The whole page, with everything inside.

    Args:
        found: the audit.
        top: how many suspects it has, the strongest first; 200 if None.
    """
    loader = PackageLoader("crossbit.audit")
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    suspects = found.suspects[: top or MOST]
    picture = _pictures(found.seen)
    shown: dict[int, str] = {}
    for entry in suspects:
        for row in (entry.row, *(one.row for one in entry.neighbours)):
            if row not in shown:
                shown[row] = picture(row)
    held = {
        "data": found.fingerprint,
        "single": found.single,
        "names": found.seen.names,
        "pictures": shown,
        "items": [_item(entry) for entry in suspects],
    }
    return page.get_template("sheet.html").render(found=found, held=held)


def _item(entry: SuspectRow) -> dict[str, Any]:
    """What the page shows of one row."""
    names = "row", "modality", "probability", "observed", "suggested", "reason", "pair_reason", "caption", "path"
    item = {name: getattr(entry, name) for name in names}
    near = [{"row": one.row, "name": one.name, "labels": one.labels} for one in entry.neighbours]
    return item | {"wrong_pair": entry.wrong_pair, "first": entry.family == entry.row, "neighbours": near}


def _pictures(seen: Seen) -> Callable[[int], str]:
    """Gives the picture of a row as an address that holds it; empty where there is none."""
    held = pictures_of(seen)

    def picture(row: int) -> str:
        try:
            return "" if held is None else address(read_picture(held(row)))
        except PictureError:
            return ""

    return picture


def pictures_of(seen: Seen) -> Callable[[int], Any] | None:
    """Gives the picture of a row, as `read_picture` takes it; None where the data have no pictures."""
    data = seen.data
    modality = next((m for m in seen.model.modalities if data.kind(m) == "pictures"), None)
    if modality is None:
        return None
    own = modality == seen.model.modalities[0]
    partner = dict(zip(seen.view.rows.tolist(), seen.partner.tolist(), strict=True))
    held: Any = data[modality]
    return lambda row: held[row if own else partner[row]]


def address(pixels: np.ndarray) -> str:
    """A small picture of pixels, uint8 (h, w, 3), as an address that holds it.

    >>> address(np.zeros((2, 2, 3), np.uint8))[:22], address(np.zeros((500, 300, 3), np.uint8))[:23]
    ('data:image/png;base64,', 'data:image/jpeg;base64,')
    """
    picture, file = Image.fromarray(pixels), io.BytesIO()
    kind = "PNG" if max(picture.size) <= SMALL else "JPEG"
    picture.thumbnail((SIDE, SIDE))
    picture.save(file, kind, optimize=True, quality=QUALITY)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
