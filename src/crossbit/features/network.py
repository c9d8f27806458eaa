"""Features by a network that others trained: its weights' hash, its vectors kept by content, every column scaled."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import unicodedata
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from crossbit.errors import UserError
from crossbit.features.base import Featuriser, Pictures, State, check_pictures, squares
from crossbit.features.cached import KEY, FeatureCache
from crossbit.features.scaled import ScaledFeaturiser
from crossbit.features.words import Texts, as_texts
from crossbit.storage.hashed import hash_of_files
from crossbit.storage.picture_facts import facts_of
from crossbit.storage.picture_files import PictureFiles
from crossbit.storage.words import words_of

Vector = NDArray[np.float32]
BATCH = 64  # rows computed between two writes to the cache
_one_at_a_time = threading.Lock()  # networks share PyTorch's number of threads


class NetworkFeaturiser(Featuriser):
    """A network's vectors, every column to mean 0 and standard deviation 1 on the fitted rows.

    A row goes through the network alone, on one thread: it has the same bits in every batch and with any number of
    threads. Several rows go through at once. Vectors are kept in the user's cache (`crossbit features`), but for those
    of a single row, which is most often a query.

    Args:
        argument: what stands behind the colon of the name, such as a folder.
        weights: the hash of the weights.

    Attributes:
        scaling: what was fitted; None for the network's own vectors.
        package: whose version decides the vectors, too.
    """

    chunk = BATCH
    package: ClassVar[str]

    def __init__(self, argument: str, weights: str) -> None:
        self.argument, self.weights = argument, weights
        self.scaling: ScaledFeaturiser | None = None

    # --- what a subclass says ---

    @classmethod
    @abstractmethod
    def files(cls, argument: str, *, fetch: bool = False) -> list[Path]:
        """The files that decide the vectors; `fetch` allows what the user named to be fetched from a hub.

        Raises:
            UserError: they, or a package, are not there.
        """

    @abstractmethod
    def network(self) -> Callable[[Any], Vector]:
        """A function of one prepared row to its vector; asked for once, when it is first needed."""

    @abstractmethod
    def prepared(self, rows: Any) -> Any:
        """Rows as the function takes them: pictures of one size, texts in one form."""

    @abstractmethod
    def keys(self, rows: Any) -> list[bytes]:
        """What each row is kept under: a hash of its content."""

    # --- what all of them do ---

    @classmethod
    def opened(cls, argument: str = "", *, fetch: bool = False) -> Self:
        """The network's own vectors, not scaled."""
        return cls(cls.from_anywhere(argument), hash_of_files(cls.files(argument, fetch=fetch)))

    @classmethod
    def from_anywhere(cls, argument: str) -> str:
        """The argument with its path made absolute, so that a model is the same wherever it is opened."""
        path = Path(argument).expanduser()
        return str(path.resolve()) if argument and path.exists() else argument

    @classmethod
    def fit(cls, rows: Any, *, seed: int = 0, argument: str = "") -> Self:
        """Measure the columns of these rows' vectors; nothing is random, `seed` is not used."""
        network = cls.opened(argument, fetch=True)
        return network.scaled_by(network.transform(rows))

    def scaled_by(self, vectors: Vector) -> Self:
        """The same network, its columns scaled as those of vectors (n, width)."""
        scaled = copy(self)  # with the opened network, and what is kept
        scaled.scaling = ScaledFeaturiser.fit(vectors)
        return scaled

    @cached_property
    def compute(self) -> Callable[[Any], Vector]:
        return self.network()

    @cached_property
    def cache(self) -> FeatureCache:
        decides = f"{self.name} {self.argument_decides} {self.weights} {self.version}"
        digest = hashlib.blake2b(decides.encode(), digest_size=8).hexdigest()
        return FeatureCache(f"{self.name}-{digest}", f"{self.name}:{self.argument}".rstrip(":"))

    @property
    def argument_decides(self) -> str:
        """What of the argument decides the vectors beside the weights; where the files lie does not."""
        return ""

    @property
    def version(self) -> str:
        try:
            return f"{self.package} {version(self.package)}"
        except PackageNotFoundError:  # a module beside the installed ones
            return self.package

    @property
    def dim(self) -> int:
        return len(self._own(self._blank())[0]) if self.scaling is None else self.scaling.dim

    @abstractmethod
    def _blank(self) -> Any:
        """One row of any content."""

    def transform(self, rows: Any) -> Vector:
        """Rows (n,) to float32 (n, dim); UserError where they are of another form."""
        if not len(rows):
            return np.empty((0, self.dim), np.float32)
        own = self._own(rows)
        return own if self.scaling is None else self.scaling.transform(own)

    def _own(self, rows: Any) -> Vector:
        """The network's own vectors (n, width): kept ones, and new ones, which are kept from now on."""
        if len(rows) == 1:
            return self._computed(rows)
        keys = self.keys(rows)
        found = {key: vector for key in dict.fromkeys(keys) if (vector := self.cache.get(key)) is not None}
        first = {key: row for row, key in reversed(list(enumerate(keys))) if key not in found}
        missing = sorted(first.values())
        for start in range(0, len(missing), BATCH):
            some = missing[start : start + BATCH]
            vectors = self._computed(_picked(rows, some))
            self.cache.put([keys[row] for row in some], vectors)
            found |= {keys[row]: vector for row, vector in zip(some, vectors, strict=True)}
        return np.stack([found[key] for key in keys])

    def _computed(self, rows: Any) -> Vector:
        prepared = self.prepared(rows)
        compute = self.compute
        with _one_at_a_time, _single_threads() as threads:
            if len(prepared) == 1 or threads == 1 or not self.several_at_once:
                return np.stack([compute(row) for row in prepared]).astype(np.float32, copy=False)
            with ThreadPoolExecutor(threads) as pool:
                return np.stack(list(pool.map(compute, prepared))).astype(np.float32, copy=False)

    several_at_once: ClassVar[bool] = True  # False: the network's own code cannot be in two threads

    def state(self) -> State:
        assert self.scaling is not None
        config = {"name": self.name, "argument": self.argument, "version": self.version, "weights": self.weights}
        return config, self.scaling.state()[1]

    @classmethod
    def from_state(cls, config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Self:
        """The featuriser of that state.

        Raises:
            UserError: the weights are not there, or are others.
        """
        network = cls.opened(config["argument"])
        if network.weights != config["weights"]:
            spelled = f"{cls.name}:{config['argument']}".rstrip(":")
            raise UserError(
                f"features {spelled} have other weights than those that this model was trained on "
                f"({config['version']}): hash {network.weights}, it must be {config['weights']}; put those back, "
                "or train again"
            )
        network.scaling = ScaledFeaturiser.from_state({}, tensors)
        return network


class PictureNetwork(NetworkFeaturiser):
    """A network over pictures, all of one square size."""

    reads = "pictures"

    @property
    @abstractmethod
    def side(self) -> int:
        """Pixels that the network takes each way."""

    def prepared(self, rows: Pictures) -> NDArray[np.uint8]:
        check_pictures(rows)
        return squares(rows, self.side)

    def keys(self, rows: Pictures) -> list[bytes]:
        check_pictures(rows)
        if isinstance(rows, PictureFiles):  # a file that cannot be read has no content, and is refused when it is read
            return [
                bytes.fromhex(facts.content) or os.fsencode(path)
                for facts, path in zip(facts_of(rows), rows, strict=True)
            ]
        return [_hash(f"{row.shape}".encode(), np.ascontiguousarray(row).tobytes()) for row in rows]

    def _blank(self) -> NDArray[np.uint8]:
        return np.zeros((1, self.side, self.side, 3), np.uint8)


class TextNetwork(NetworkFeaturiser):
    """A network over texts, which come in Unicode's composed form, of normal width."""

    reads = "words"

    def prepared(self, rows: Texts) -> list[str]:
        return [_composed(text) for text in as_texts(rows)]

    def keys(self, rows: Texts) -> list[bytes]:
        return [_hash(text.encode()) for text in self.prepared(rows)]

    def _blank(self) -> list[str]:
        return [""]

    def knows(self, row: str) -> bool:
        """Whether a text holds any word; which words they are does not matter to the network."""
        return bool(words_of(row))

    def check_query(self, row: str, found: Collection[str] = ()) -> list[str]:
        """Nothing is ever unknown; UserError where there is no word at all."""
        if not self.knows(row):
            raise UserError(f"there is no word in {row!r:.60}; give words that describe what to find")
        return []


def _hash(*parts: bytes) -> bytes:
    state = hashlib.blake2b(digest_size=KEY)
    for part in parts:
        state.update(part)
    return state.digest()


def _composed(text: str) -> str:
    """A text that every tokeniser takes: composed, without the zero character and halves of a pair."""
    sound = text.encode("utf-8", "replace").decode()
    return unicodedata.normalize("NFKC", sound).replace("\0", " ")


def _picked(rows: Any, places: list[int]) -> Any:
    return [rows[place] for place in places] if isinstance(rows, list | tuple) else rows[np.array(places)]


@contextmanager
def _single_threads() -> Iterator[int]:
    """PyTorch works on one thread meanwhile; gives how many it had, 1 where no network has imported it."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield 1
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)
