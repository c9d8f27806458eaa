"""HTML elements whose text and attributes are escaped by construction."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from PIL import Image


class Safe(str):
    """Text that is HTML already; every other string is escaped when it is put into an element."""


VOID = frozenset({"br", "hr", "img"})


def el(name: str, *children: object, **attributes: object) -> Safe:
    """An element; children that are None or False are left out, lists taken apart; `class_`, `aria_label` as in HTML.

    >>> el("p", "a < b", el("br"), class_="note", title='"quoted"')
    '<p class="note" title="&quot;quoted&quot;">a &lt; b<br></p>'
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    closing = "" if name in VOID else f"{join(*children)}</{name}>"
    return Safe(f"<{name}{given}>{closing}")


def join(*children: object) -> Safe:
    """Elements and texts one after another, texts escaped."""
    parts: list[str] = []
    for child in children:
        if child is None or child is False:
            continue
        if isinstance(child, (list, tuple)):
            parts.append(join(*child))
        else:
            parts.append(child if isinstance(child, Safe) else escape(str(child)))
    return Safe("".join(parts))


def picture(pixels: np.ndarray, alt: str, **attributes: object) -> Safe:
    """An image element that carries its pixels, uint8 (h, w, 3), as PNG.

    >>> picture(np.zeros((2, 2, 3), np.uint8), "a dot")[:53]
    '<img src="data:image/png;base64,iVBORw0KGgoAAAANSUhEU'
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    source = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    height, width = pixels.shape[:2]
    return el("img", src=source, alt=alt, width=width, height=height, **attributes)
