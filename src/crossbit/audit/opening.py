"""What a queue of decisions begins with: the labelled rows of a run, and a posterior that corrections can move."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from crossbit.audit.judged import Judged
from crossbit.audit.seen import Seen
from crossbit.errors import UserError
from crossbit.posterior import LEAST, estimate_posterior, labelled_alike
from crossbit.posterior.kept import method, put_together, take_apart
from crossbit.runs.folder import RunFolder
from crossbit.storage.files import leftovers
from crossbit.storage.mapped import read_mapped, write_mapped

STEPS = 6
ESTIMATED = 3  # of them, that are passed over where an opening before has done them
FREE = 4  # times what is kept must be free on the disk, or it is not kept


class Steps:
    """Says which step of an opening begins, of how many.

    >>> steps = Steps(print)
    >>> steps("reading")
    step 1 of 6: reading
    """

    def __init__(self, progress: Callable[[str], Any]) -> None:
        self._progress, self._begun = progress, 0

    def __call__(self, line: str) -> None:
        self._begun += 1
        self._progress(f"step {self._begun} of {STEPS}: {line}")

    def pass_over(self, many: int) -> None:
        """So many steps need not be done."""
        self._begun += many


def judge_to_keep(seen: Seen, step: Steps) -> tuple[Judged, str | None]:
    """The posterior that an audit computes, and what moves it when labels change: of labelled rows, in three steps.

    Returns:
        It, and the key under which `keep` may keep it; None where it was read from what is kept.
    """
    view, labels = seen.view, seen.view.observed()
    groups = None if view.groups is None else torch.from_numpy(view.groups)
    together = groups is not None and labelled_alike(labels, groups)
    key: str | None = _key(seen)
    if (held := read_mapped(RunFolder(seen.folder).opening_file)) is not None and held[0]["key"] == key:
        step.pass_over(ESTIMATED)
        key = None
        posterior = put_together(*held, view.features, view.labels, groups if together else None)
    else:
        posterior = estimate_posterior(
            view.features,
            view.labels,
            seed=view.random_seed(1),
            groups=groups,
            keep=True,
            pairs=False,
            progress=step,
        )
        if posterior.basis is None:
            needed = f"{LEAST} at least, whose labels are not all the same"
            raise UserError(f"{seen.folder} has {len(view):,} labelled rows; a queue of decisions needs {needed}")
    assert posterior.basis is not None
    judged = Judged(seen, posterior, view.groups if together else None)
    judged.smoother = posterior.basis.smoother
    return judged, key


def keep(judged: Judged, key: str) -> None:
    """Write what opening has computed into the run's folder, or nothing: where the disk has little room or may not be
    written, and while another program writes it."""
    file, (told, arrays) = RunFolder(judged.seen.folder).opening_file, take_apart(judged.posterior)
    with suppress(OSError, UserError):
        if shutil.disk_usage(file.parent).free < FREE * sum(array.nbytes for array in arrays.values()):
            return
        with FileLock(file.with_name(f".{file.stem}.lock")).acquire(timeout=0):
            for left in leftovers(file):  # of a program that was killed
                left.unlink(missing_ok=True)
            write_mapped(file, {"key": key, **told}, arrays)


def _key(seen: Seen) -> str:
    """A digest of all that the posterior follows from: what is read under it is what would be computed."""
    view, digest = seen.view, hashlib.blake2b(method().encode())
    digest.update(f"{view.random_seed(1)} {list(view.features)}".encode())
    for array in (*view.features.values(), view.observed(), *([] if view.groups is None else [view.groups])):
        whole = np.ascontiguousarray(array)
        digest.update(f"{whole.dtype} {whole.shape}".encode())
        digest.update(whole.data)
    return digest.hexdigest()
