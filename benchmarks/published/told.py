"""How the results of a comparison with published code are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.common.page import Section, mean_text, table

SAME_STEPS = "`form=official` and the published code from identical weights on identical batches."
AN_EPOCH = "*products*: the matrix products of the steps alone, forward and backward. In turns in one process."
NOT_BELOW = "*Not below*: not worse than published by more than max(.005, 2 standard errors of the difference)."


def sections(method: str, speed: str, steps: str, accuracy: str, accuracy_body: Any = None) -> dict[str, Section]:
    """The three sections of a method; the texts say how its figures are to be read."""
    name = method.upper()
    bodies: dict[str, tuple[str, str, Callable[[Any], str]]] = {
        "speed": ("an epoch beside the published code", speed, speed_body),
        "steps": ("ten identical steps", steps, steps_body),
        "accuracy": ("accuracy beside the published code", accuracy, accuracy_body or accuracy_table),
    }
    return {f"{method}-{job}": Section(f"{name}: {title}", *rest) for job, (title, *rest) in bodies.items()}  # type: ignore[arg-type]


def speed_body(result: dict[str, Any]) -> str:
    rows = []
    for name, seconds in result["median_seconds"].items():
        published = result["ratios"].get(f"published / {name}")
        products = result["median_seconds"][name] / result["median_seconds"]["products"]
        rows.append([name, f"{seconds:.1f}", "" if published is None else f"{published:.2f}", f"{products:.2f}"])
    head = ["an epoch", "seconds", "times faster than published", "times the matrix products"]
    clock = f"Seconds are {result['clock']}'s." if result.get("clock") == "processor" else ""
    width = f"Width {result['width']}." if "width" in result else ""
    return table(head, rows) + f"\n\n{width} {clock}".rstrip()


def steps_body(result: dict[str, Any]) -> str:
    rows = [[kind, *(f"{value:.1e}" for value in figures.values())] for kind, figures in result.items()]
    names = [name.replace("_", " ") for name in next(iter(result.values()))]
    return table(["", *names], rows)


def accuracy_table(result: dict[str, Any]) -> str:
    rows = []
    for variant, directions in result.items():
        for direction, entry in directions.items():
            row = [f"{variant}, {direction}", str(entry["seeds"]), mean_text(entry, 4)]
            if "minus_published" in entry:
                holds = "yes" if entry["not_below"] else "**no**"
                row += [f"{entry['minus_published']:+.4f}", f"{entry['standard_error']:.4f}", holds]
            rows.append(row + [""] * (6 - len(row)))
    return table(["", "seeds", "mAP@all", "minus published", "standard error", "not below"], rows)


def accuracy_tables(result: dict[str, Any]) -> str:
    """A table for each of the outer keys, two deep."""
    parts = []
    for setup, choices in result.items():
        for choice, of in choices.items():
            parts.append(f"{setup}; {choice}:\n\n{accuracy_table(of)}")
    return "\n\n".join(parts)
