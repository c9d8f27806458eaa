"""Paired data: what every layout is read into and every method is trained on; it is checked when it is made."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from crossbit.bits.labels import check_labels
from crossbit.data.checks import (
    RESERVED,
    Kind,
    check_group,
    check_modalities,
    check_rows,
    check_splits,
    check_strings,
    form,
    kind,
)
from crossbit.errors import UserError, unknown
from crossbit.storage.picture_files import PictureFiles


@dataclass(frozen=True, eq=False)
class PairedData:
    """Pairs of a picture, a text (or any other modalities), their labels and splits; row i of everything is pair i.

    Attributes:
        name: what reports call it.
        modalities: per modality float (n, d) vectors, uint8 (n, h, w, 3) pictures or `PictureFiles`, or unicode (n,)
            words. Never copied.
        label: the truth, (n, c) 0/1 (held as uint8) or (n,) classes from 0 (held as int64); None without labels.
        splits: row numbers under "train", "query", "retrieval", optionally "validation"; no query is in another split.
        observed_label: what training may see instead of `label`, in the same form.
        modality_label: the truth where each modality has its own labels.
        modality_observed_label: what training may see of one modality.
        label_names: a name for each class.
        caption: (n,) unicode, a line about each pair.
        path: (n,) unicode, where each pair came from.
        group: (n,) integers (held as int64) or unicode: pairs that show the same thing, such as one character in
            several faces, have the same.
        notes: what was decided when files of a public layout were read, a sentence each.
        source: where `load_data` found them, a built-in name or an absolute path; empty for data made otherwise.
        options: the keywords of `load_data` by which they were read.
        columns: by name what else is known of each pair, object (n,): numbers, texts, lists of texts; None for nothing.
            It goes into the items of an index.

    Raises:
        UserError: something does not fit; one line with the array, the value received, and what would be right.

    >>> data = PairedData(
    ...     "toy", {"image": np.zeros((3, 4)), "text": np.array(["a", "b", "c"])}, label=np.array([0, 1, 1]),
    ...     splits={"train": [1, 2], "query": [0], "retrieval": [1, 2]})
    >>> len(data), data.classes, data.kind("text"), data.train["text"].tolist()
    (3, 2, 'words', ['b', 'c'])
    """

    name: str
    modalities: dict[str, np.ndarray]
    label: np.ndarray | None
    splits: dict[str, np.ndarray]
    observed_label: np.ndarray | None = None
    modality_label: dict[str, np.ndarray] = field(default_factory=dict)
    modality_observed_label: dict[str, np.ndarray] = field(default_factory=dict)
    label_names: list[str] | None = None
    caption: np.ndarray | None = None
    path: np.ndarray | None = None
    group: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    source: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    _seen: tuple[np.ndarray, ...] = field(default=(), repr=False)  # feature arrays known to be finite, by identity

    def __post_init__(self) -> None:
        _set(self, modalities=check_modalities(self.modalities, self._seen), _seen=())
        _set(self, splits=check_splits(self.splits, self.n))
        _check_labels(self)
        for name in ("caption", "path"):
            if (strings := getattr(self, name)) is not None:
                _set(self, **{name: check_strings(name, strings, self.n)})
        if self.group is not None:
            _set(self, group=check_group(self.group, self.n))
        for name, values in self.columns.items():
            check_rows(f"column '{name}'", np.asarray(values), self.n)

    def __repr__(self) -> str:
        """One line: name, pairs, modalities, classes, splits; no arrays.

        >>> PairedData("toy", {"x": np.eye(3)}, None, {"train": [1, 2], "query": [0], "retrieval": [1, 2]})
        <PairedData toy: 3 pairs of x (vectors, 3), no labels, train 2, query 1, retrieval 2>
        """
        shapes = {name: "x".join(map(str, array.shape[1:])) for name, array in self.modalities.items()}
        held = [f"{name} ({', '.join(filter(None, (self.kind(name), shapes[name])))})" for name in shapes]
        parts = [f"{self.n:,} pairs of {' and '.join(held)}"]
        parts.append(f"{self.classes:,} classes" if self.classes else "no labels")
        parts += [f"{split} {len(rows):,}" for split, rows in self.splits.items()]
        return f"<PairedData {self.name}: {', '.join(parts)}>"

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(next(iter(self.modalities.values())))

    def __len__(self) -> int:
        """Number of pairs, as `n`."""
        return self.n

    @cached_property
    def classes(self) -> int:
        """Number of classes: the labels' width, or the names', or one more than the largest class; 0 without labels."""
        arrays = [array for _, array in _label_arrays(self)]
        if arrays and arrays[0].ndim == 2:
            return int(arrays[0].shape[1])
        if arrays and self.label_names is None:
            return 1 + max(int(array.max()) for array in arrays)
        return len(self.label_names or ())

    @cached_property
    def multi_label(self) -> bool:
        """Whether some pair has other than one label; False for an (n, c) matrix with a single 1 in every row."""
        arrays = [array for _, array in _label_arrays(self) if array.ndim == 2]
        return any(bool((array.sum(axis=1, dtype=np.int64) != 1).any()) for array in arrays)

    def kind(self, modality: str) -> Kind:
        """What a modality holds: "vectors", "pictures" or "words"."""
        return kind(modality, self[modality])

    def __getitem__(self, modality: str) -> np.ndarray:
        """All rows of a modality, not copied."""
        asked: object = modality
        if not isinstance(asked, str):  # as `data[0]` and `list(data)` have it
            rows = f"data['{next(iter(self.modalities))}'] gives its rows"
            raise UserError(f"{asked!r} is no modality; {rows}, and data.take([0, 1]) the first two pairs")
        if modality not in self.modalities:
            raise unknown("modality", modality, self.modalities)
        return self.modalities[modality]

    @property
    def train(self) -> Rows:
        """The rows that methods train on."""
        return self._rows("train")

    @property
    def query(self) -> Rows:
        """The rows that only evaluation may see."""
        return self._rows("query")

    @property
    def retrieval(self) -> Rows:
        """The database that queries search."""
        return self._rows("retrieval")

    @property
    def validation(self) -> Rows:
        """The rows that choose an epoch; empty where the data names none."""
        return self._rows("validation")

    def with_observed(self, observed: np.ndarray | Mapping[str, np.ndarray]) -> PairedData:
        """A copy whose training sees `observed`, one array or one per modality, instead of what it saw before."""
        if isinstance(observed, Mapping):
            return self.replace(observed_label=None, modality_observed_label=dict(observed))
        return self.replace(observed_label=observed, modality_observed_label={})

    def replace(self, **changes: Any) -> PairedData:
        """A checked copy with some attributes changed; feature arrays that stay are shared, and not read again."""
        return dataclasses.replace(self, **{"_seen": tuple(self.modalities.values()), **changes})

    def only(self, modalities: Iterable[str]) -> PairedData:
        """A copy with these modalities and their labels alone, in this order.

        Raises:
            UserError: one of them is not there.
        """
        parts = ("modalities", "modality_label", "modality_observed_label")
        named = {modality: self[modality] for modality in modalities}
        kept = {part: {m: getattr(self, part)[m] for m in named if m in getattr(self, part)} for part in parts}
        return self.replace(**kept)

    def take(self, rows: np.ndarray | Sequence[int]) -> PairedData:
        """A copy of these rows alone, each given once, numbered anew in this order; splits keep what is left of them.

        >>> data = PairedData("toy", {"x": np.array(list("abcd"))}, None,
        ...                   {"train": [3, 1], "query": [0], "retrieval": [1, 2, 3]})
        >>> few = data.take(np.array([2, 3]))
        >>> few["x"].tolist(), few.train.index.tolist(), few.retrieval["x"].tolist(), len(few.query)
        (['c', 'd'], [1], ['c', 'd'], 0)
        """
        rows = np.asarray(rows)
        place = np.full(self.n, -1)
        place[rows] = np.arange(len(rows))
        whole = ("label", "observed_label", "caption", "path", "group")
        apart = ("modalities", "modality_label", "modality_observed_label", "columns")
        changes: dict[str, Any] = {name: _take(getattr(self, name), rows) for name in whole}
        changes |= {name: {m: _take(x, rows) for m, x in getattr(self, name).items()} for name in apart}
        return self.replace(splits={name: place[x][place[x] >= 0] for name, x in self.splits.items()}, **changes)

    def _rows(self, split: str) -> Rows:
        return Rows(self, self.splits.get(split, np.empty(0, np.int64)))


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of paired data, fetched when asked for.

    >>> data = PairedData("toy", {"x": np.eye(3)}, label=np.array([0, 1, 1]),
    ...                   splits={"train": [1, 2], "query": [0], "retrieval": [1, 2]},
    ...                   observed_label=np.array([0, 1, 0]))
    >>> len(data.train), data.train["x"].tolist(), data.train.label.tolist(), data.train.observed().tolist()
    (2, [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [1, 1], [1, 0])
    """

    data: PairedData
    index: np.ndarray  # (rows,) int64, row numbers of `data`

    def __repr__(self) -> str:
        return f"<{len(self):,} rows of {self.data!r}>"

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, modality: str) -> np.ndarray:
        """These rows of a modality, as a new array in memory; pictures in files stay files."""
        rows: np.ndarray = _take(self.data[modality], self.index)
        return rows

    @property
    def label(self) -> np.ndarray | None:
        """The truth for these rows, for evaluation only."""
        return _take(self.data.label, self.index)

    @property
    def caption(self) -> np.ndarray | None:
        """The captions of these rows."""
        return _take(self.data.caption, self.index)

    @property
    def group(self) -> np.ndarray | None:
        """The groups of these rows; None where the data have none."""
        return _take(self.data.group, self.index)

    def observed(self, modality: str | None = None) -> np.ndarray | None:
        """The labels that training may see, of one modality or (None) of the pair; None where there are no labels.

        The first there is of: the modality's observed labels, observed labels, the modality's labels, labels.

        Raises:
            UserError: the modality is unknown; or None was asked for and only per-modality labels exist (never falls
                back on the truth behind them).
        """
        data = self.data
        if modality is not None:
            data[modality]  # refuses an unknown one
            own, seen = data.modality_label.get(modality), data.modality_observed_label.get(modality)
            choices = [seen, data.observed_label, own, data.label]
        else:
            choices = [data.observed_label, None if data.modality_observed_label else data.label]
        label = next((choice for choice in choices if choice is not None), None)
        if label is None and (data.modality_observed_label or data.modality_label):
            if modality is not None:
                raise UserError(f"data '{data.name}' has no labels of {modality}, though others have; give it its own")
            wanted = "one label array for all modalities; noise without ':each' gives that"
            raise UserError(f"data '{data.name}' has labels per modality only; this needs {wanted}")
        return _take(label, self.index)


def _set(data: PairedData, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(data, name, value)


def _take(array: Any, index: np.ndarray) -> Any:
    if array is None or isinstance(array, PictureFiles):
        return None if array is None else array[index]
    return np.asarray(array[index])


def _label_arrays(data: PairedData) -> Iterator[tuple[str, np.ndarray]]:
    named = [("label", data.label), ("observed_label", data.observed_label)]
    named += [(f"label_{name}", array) for name, array in data.modality_label.items()]
    named += [(f"observed_label_{name}", array) for name, array in data.modality_observed_label.items()]
    yield from ((name, array) for name, array in named if array is not None)


def _check_labels(data: PairedData) -> None:
    for name in ("label", "observed_label"):
        if (array := getattr(data, name)) is not None:
            _set(data, **{name: _check_label(name, array, data.n)})
        apart = getattr(data, f"modality_{name}")
        if strangers := [f"{name}_{modality}" for modality in apart if modality not in data.modalities]:
            known = {*RESERVED, *(f"{name}_{modality}" for modality in data.modalities)}
            raise unknown("array", strangers[0], known)
        checked = {modality: _check_label(f"{name}_{modality}", array, data.n) for modality, array in apart.items()}
        _set(data, **{f"modality_{name}": checked})
    arrays = list(_label_arrays(data))
    for name, array in arrays[1:]:
        if array.shape[1:] != arrays[0][1].shape[1:]:
            other = f"{arrays[0][0]} has {arrays[0][1].shape}"
            raise UserError(f"{name} has shape {array.shape} but {other}; all label arrays must have one form")
    if data.label_names is not None:
        _check_label_names(data, arrays)


def _check_label(name: str, label: Any, n: int) -> np.ndarray:
    check_rows(name, np.asarray(label), n)
    return check_labels(label, name)


def _check_label_names(data: PairedData, arrays: list[tuple[str, np.ndarray]]) -> None:
    given = np.asarray(data.label_names)
    if given.ndim != 1 or given.dtype.kind != "U":
        raise UserError(f"label_names is {form(given)}; it must be unicode strings of shape (classes,)")
    _set(data, label_names=[unicodedata.normalize("NFC", name) for name in given.tolist()])  # as they are typed
    for name, array in arrays:
        if array.ndim == 2 and array.shape[1] != len(given):
            raise UserError(f"label_names has {len(given)} names but {name} has {array.shape[1]} classes; one each")
        if array.ndim == 1 and array.max() >= len(given):
            raise UserError(f"label_names has {len(given)} names but {name} holds class {array.max()}; one each")
