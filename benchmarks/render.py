"""Write BENCHMARKS.md, and benchmarks/tables/ for what is long, from benchmarks/results/*.json.

    python -m benchmarks.render

A figure that was not recorded is not in it. Every script says in `SECTIONS` how its results are told; they are found by
walking through the rooms, so that a new benchmark is one file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Any

from benchmarks import published, speed, studies
from benchmarks.common.page import Section

HERE = Path(__file__).parent
ROOMS = speed, published, studies
LONGEST = 30  # lines of a section on the page itself
HEAD = """# Benchmarks

Every figure below was printed by the command beside it, on the machine and the day named with it;
`benchmarks/record.py` kept it and `benchmarks/render.py` wrote this page. Both sides of a comparison ran in turns in
one process with the same number of threads; a ratio is the median over the rounds. `make bench` repeats what needs no
published code. CHECKOUT is a folder with the published code of the method (`python -m benchmarks.published --help` says
which).
"""


def sections(room: ModuleType) -> Iterator[tuple[str, Section]]:
    """The sections of a room that have a result, by its name."""
    for info in walk_packages(room.__path__, f"{room.__name__}."):
        if not info.name.endswith("__main__"):
            held: dict[str, Section] = getattr(import_module(info.name), "SECTIONS", {})
            yield from ((name, section) for name, section in held.items() if kept(name).exists())


def kept(name: str) -> Path:
    return HERE / "results" / f"{name}.json"


def machine_of(result: dict[str, Any]) -> str:
    """When and where it was measured."""
    machine = result["machine"]
    versions = ", ".join(f"{key} {value}" for key, value in machine["versions"].items())
    size = f"{machine['cores']} cores, {machine['memory_gib']} GiB"
    note = f" {result['note']}" if result.get("note") else ""
    return f"{result['date']}: {machine['processor']}, {size}; {machine['system']}; {versions}.{note}"


def pages() -> dict[str, str]:
    """Every page by its path in the repository."""
    made, parts, contents = {}, [], []
    for room in ROOMS:
        parts.append(f"## {room.__doc__}\n")
        contents.append(f"- **{room.__doc__}**")
        for name, section in sections(room):
            result = json.loads(kept(name).read_text(encoding="utf-8"))
            body = section.body(result["result"])
            if body.count("\n") >= LONGEST:
                made[f"benchmarks/tables/{name}.md"] = f"# {section.title}\n\n{section.text}\n\n{body}\n"
                body = f"[All of its figures](benchmarks/tables/{name}.md)."
            told = [f"### {section.title}", section.text, f"    {result['command']}", body, machine_of(result)]
            parts.append("\n\n".join(told) + "\n")
            contents.append(f"    - [{section.title}](#{anchor(section.title)})")
    return {"BENCHMARKS.md": "\n".join([HEAD, *contents, "", *parts]), **made}


def anchor(title: str) -> str:
    """A heading's anchor, as GitHub makes it.

    >>> anchor("NRCH: an epoch beside the published code")
    'nrch-an-epoch-beside-the-published-code'
    """
    return "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")


def main() -> None:
    made = pages()
    for old in (HERE / "tables").glob("*.md"):
        if f"benchmarks/tables/{old.name}" not in made:
            old.unlink()
    (HERE / "tables").mkdir(exist_ok=True)
    for path, text in made.items():
        (HERE.parent / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
