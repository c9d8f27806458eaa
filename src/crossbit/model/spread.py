"""A model whose rows are encoded on a Ray cluster: the same bytes as here, and none of them twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import UserError
from crossbit.jobs.cluster import connected, in_order
from crossbit.model.model import Made, Model, load_model
from crossbit.storage.npz import read_npz, write_npz
from crossbit.storage.picture_files import PictureFiles


@contextmanager
def spread(model: Model, address: str | None, kept: Path) -> Iterator[Model]:
    """The model, encoding on a Ray cluster; as it is where there is no address.

    The run's folder, and pictures in files, must be on a disk that all machines share. Each worker takes as many
    threads as this process: on processors of one kind all bytes are then the same as here.

    Args:
        model: loaded from a folder.
        address: as for `ray.init`: "auto", "host:port" or "ray://host:port".
        kept: a folder for the batches that are done. When the work is cut off, the same call goes on from there; when
            it is done, the folder goes.

    Raises:
        UserError: Ray is not installed, there is no cluster, or a worker has another run in that folder.
    """
    if address is None:
        yield model
        return
    with connected(address) as ray:
        yield SpreadModel(model, ray, kept)
    shutil.rmtree(kept, ignore_errors=True)


class SpreadModel(Model):
    """A model that makes each batch on a cluster; see `spread`."""

    def __init__(self, model: Model, ray: Any, kept: Path) -> None:
        if model.folder is None:
            raise UserError("the workers load a model from its folder, and this one has none; load it with load_model")
        super().__init__(model.config, {}, model.featurisers, history=model.history, rows=model.rows)
        self.encoders, self.folder = model.encoders, model.folder
        self._folder = str(model.folder.path.absolute())
        self._model, self._ray, self._kept = model, ray, kept

    @property
    def metric(self) -> str:
        return self._model.metric

    @property
    def floor(self) -> bool:
        return self._model.floor

    @property
    def digest(self) -> str:
        return self._model.digest

    def each(self, function: Callable[..., Made], calls: Iterable[tuple[Any, ...]]) -> Iterator[Made]:
        """`function(model, *call)` for each call, in order, by the workers."""
        self._kept.mkdir(parents=True, exist_ok=True)
        digest, threads = self.digest, _threads()
        where = self._folder, digest, threads
        named = ((_name(function, digest, call), *where, function, *call) for call in calls)
        for (name, *_), made in in_order(self._ray, _made, named, lambda call: self._read(call[0])):
            if not (self._kept / name).exists():
                write_npz(self._kept / name, {"made": made[0], "beside": np.array(json.dumps(made[1]))})
            yield made

    def _read(self, name: str) -> Made | None:
        if not (self._kept / name).exists():
            return None
        held = read_npz(self._kept / name, "a batch that was kept", f"remove {self._kept}")
        return held["made"], json.loads(str(held["beside"]))


def _made(name: str, folder: str, digest: str, threads: int, function: Callable[..., Made], *call: Any) -> Made:
    """What a worker does."""
    model, held = _loaded(folder)
    if held != digest:
        raise UserError(f"a worker of the cluster finds another model in {folder}; all machines must share that folder")
    if "torch" in sys.modules:  # an exported model does without
        sys.modules["torch"].set_num_threads(threads)
    return function(model, *call)


@lru_cache(maxsize=1)
def _loaded(folder: str) -> tuple[Model, str]:
    model = load_model(folder)
    return model, model.digest


def _threads() -> int:
    """Threads that a matrix product takes here."""
    return int(sys.modules["torch"].get_num_threads()) if "torch" in sys.modules else 1


def _name(function: Callable[..., Made], digest: str, call: tuple[Any, ...]) -> str:
    """The file of a call's result: the same where function, model and rows are."""
    told = hashlib.blake2b(f"{function.__name__} {digest}".encode(), digest_size=16)
    for value in call:
        told.update(_bytes(value))
    return f"{told.hexdigest()}.npz"


def _bytes(value: Any) -> bytes:
    """A call's argument as bytes; of a picture's file its path, size and time."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return f"{value.dtype.str} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes()
    if isinstance(value, PictureFiles):
        return json.dumps([_stamp(path) for path in value]).encode()
    if isinstance(value, list | np.ndarray):
        return b"\n".join(map(_bytes, value))
    if isinstance(value, os.PathLike):
        return json.dumps(_stamp(value)).encode()
    return (
        json.dumps(value).encode() if value is None or isinstance(value, str | float | int) else _bytes(np.array(value))
    )


def _stamp(path: str | os.PathLike[str]) -> list[Any]:
    try:
        stat = os.stat(path)
    except OSError:  # who reads it says so
        return [os.fspath(path)]
    return [os.fspath(path), stat.st_size, stat.st_mtime_ns]
