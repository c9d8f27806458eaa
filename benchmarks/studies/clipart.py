"""An own collection as people have it: Debian's open clip art, 8,121 drawings with titles and tags; one JSON object.

    python -m benchmarks.studies.clipart --runs FOLDER [--clipart /usr/share/openclipart] [--seeds 3] [--only-table]

    apt-get install openclipart-svg openclipart-png    (public domain; nothing of it is in this repository)

The titles and keywords come from the drawings' own metadata. Told for each method and kind of features: mAP@all,
the overlap of labels of the first ten, the drawing's own pair among ten; and how often the name of a drawing, typed
as it stands, finds it among ten. What is done is kept in FOLDER, and not done again.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

CLIPART = Path("/usr/share/openclipart")
TITLE, TEXT, TAGS = (f"{{http://purl.org/dc/elements/1.1/}}{name}" for name in ("title", "description", "subject"))
TAG = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
WORKS = "{http://web.resource.org/cc/}Work", "{http://creativecommons.org/ns#}Work"


def drawings(clipart: Path) -> Iterator[dict[str, str]]:
    """A row of the table for each drawing, by its path."""
    for picture in sorted((clipart / "png").rglob("*.png")):
        path = picture.relative_to(clipart / "png")
        drawing = ElementTree.parse(clipart / "svg" / path.with_suffix(".svg")).getroot()
        work = next(found for name in WORKS for found in drawing.iter(name))
        tags = dict.fromkeys((tag.text or "").strip().lower() for tag in work.iterfind(f"{TAGS}//{TAG}"))
        yield {
            "file": f"png/{path}",
            "title": " ".join((work.findtext(TITLE) or "").split()),
            "description": " ".join((work.findtext(TEXT) or "").split()),
            "tags": ";".join(tag for tag in tags if tag),
            "folder": "/".join(path.parts[:-1]),
        }


def collection(folder: Path, clipart: Path) -> Path:
    """A folder with `drawings.csv`, and a link to the pictures beside it."""
    if not (table := folder / "drawings.csv").exists():
        folder.mkdir(parents=True, exist_ok=True)
        os.symlink(clipart / "png", folder / "png")
        rows = list(drawings(clipart))
        with open(table, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--clipart", type=Path, default=CLIPART)
    args = parser.parse_args()
    print(collection(args.runs / "collection", args.clipart))


if __name__ == "__main__":
    main()
