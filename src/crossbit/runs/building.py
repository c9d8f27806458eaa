"""What is wrong where a run's files were read and nothing can be made of them: another version, or damage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crossbit.errors import UserError


@contextmanager
def building_from(what: str, remedy: str) -> Iterator[None]:
    """Say in one line what is wrong where something cannot be built from a run's files, which were read already.

    A name that this version of crossbit does not know is no damage: another version made the run.

    Args:
        what: what is built from, such as "run folder x".
        remedy: what to do.

    Raises:
        UserError: in place of any error that unfitting contents raise.

    >>> with building_from("run folder x", "train it again"):
    ...     raise UserError("unknown method 'y'")
    Traceback (most recent call last):
    crossbit.errors.UserError: run folder x was made by another version of crossbit: unknown method 'y'; train it again
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"{what} was made by another version of crossbit: {error}; {remedy}") from error
    except KeyError as error:
        raise UserError(f"{what} is damaged: it lacks {error}; {remedy}") from error
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        told = " ".join(str(error).split("\n")[:2]).strip()  # PyTorch lists every tensor that does not fit
        raise UserError(f"{what} is damaged: {told or type(error).__name__}; {remedy}") from error
