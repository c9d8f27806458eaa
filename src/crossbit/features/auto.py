"""`--features auto`: the best kind of features whose packages are installed."""

from __future__ import annotations

from crossbit.data.checks import Kind
from crossbit.features import Featuriser, available, parsed

AUTO = "auto"


def best(held: Kind, default: str) -> str:
    """The name of the featuriser of highest rank for what a modality holds, if its packages are there.

    >>> best("vectors", "scaled")
    'scaled'
    """
    if default == "pixels":  # what the encoder takes
        return default
    return next((each.name for each in _ranked(held) if not each.wanting()), default)


def reason(modality: str, name: str) -> str:
    """A line that says what `auto` took, and what a better one would need."""
    line = f"features {modality}={name}, the best that is installed"
    featuriser = parsed(name)[0]
    missing = [each for each in _ranked(featuriser.reads) if each.rank > featuriser.rank and each.wanting()]
    return line + "".join(f"; {each.name} is better and needs: {each.wanting()}" for each in missing[:1])


def _ranked(held: Kind) -> list[type[Featuriser]]:
    ranked = [each for each in available().values() if each.reads == held and each.rank]
    return sorted(ranked, key=lambda each: -each.rank)
