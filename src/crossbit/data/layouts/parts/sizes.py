"""Which side of an array holds the pairs: the one whose size all arrays of a set share; never guessed."""

from __future__ import annotations

from collections.abc import Mapping

from crossbit.errors import UserError

Shape = tuple[int, ...]


def pairs_of(shapes: Mapping[str, Shape], transposed: bool | None = None) -> dict[str, bool]:
    """For each array, whether its rows are on the last axis (MATLAB 7.3 stores arrays so) and not on the first.

    The number of pairs is the one size that is a side of every array. Arrays that are square, or sets with two such
    sizes, are decided by `transposed` and by nothing else.

    Args:
        shapes: name to shape, (n,), (n, d) or (d, n), pictures with four axes.
        transposed: which of two possible ways is meant.

    Raises:
        UserError: no common size, or two ways are possible and `transposed` is None.

    >>> pairs_of({"XAll": (4096, 50), "YAll": (50, 20), "LAll": (24, 50)})
    {'XAll': True, 'YAll': False, 'LAll': True}
    """
    n = _common(shapes, transposed)
    turned = {}
    for name, shape in shapes.items():
        if shape[0] == shape[-1] and len(shape) > 1:
            if transposed is None:
                raise _ambiguous(f"{name} is square, {shape}")
            turned[name] = transposed
        else:
            turned[name] = shape[0] != n
    return turned


def _common(shapes: Mapping[str, Shape], transposed: bool | None) -> int:
    listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    if bare := [name for name, shape in shapes.items() if not shape or 0 in shape]:
        raise UserError(f"{bare[0]} is empty; every array must have a row per pair, there are {listed}")
    common = set.intersection(*({shape[0], shape[-1]} for shape in shapes.values()))
    if not common:
        raise UserError(f"no size is shared by {listed}; the number of pairs must be a side of every array")
    if len(common) == 1:
        return common.pop()
    sides = [{shape[-1] if transposed else shape[0] for shape in shapes.values() if len(shape) > 1}]
    if transposed is None or len(sides[0]) != 1:
        raise _ambiguous(f"{' and '.join(map(str, sorted(common)))} could both be the number of pairs of {listed}")
    return sides[0].pop()


def _ambiguous(what: str) -> UserError:
    right = (
        "say it with transposed=True (--transposed: as MATLAB 7.3 stores arrays) or transposed=False (--no-transposed)"
    )
    return UserError(f"{what}, so its rows cannot be told from its columns; {right}")
