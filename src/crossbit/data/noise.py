"""Wrong labels and wrong pairs on purpose, seeded, with a mask of what they hit. A new rule is one decorated function.

"50 % noise" means different things in different papers; a rule's name and rate, `RULE:RATE`, say which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossbit.bits.labels import as_matrix, check_labels
from crossbit.data.split import generator, group_numbers
from crossbit.data.types import PairedData, Rows
from crossbit.errors import UserError, unknown

MOST_ADDED = 3  # labels that `candidates` adds to a row
PAIRS = "shuffle-pairs"  # the one rule that is of pairs, not of labels
Change = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Rule:
    """What a rule makes of the labels of the chosen rows, whether it is for one label a row only, whether it gives rows
    several, and what it does in words; empty where nobody said."""

    change: Change  # (labels (rows, classes) 0/1 or (rows,) integers, number of classes, generator) -> labels
    single: bool
    several: bool
    says: str


RULES: dict[str, Rule] = {}


def rule(name: str, *, single: bool = False, several: bool = False, says: str = "") -> Callable[[Change], Change]:
    """Register a noise rule; `single` rules get integers, also where the data holds a matrix with one 1 per row, and
    those that give `several` labels a matrix, also where it holds integers. `says` is what happens to a row."""

    def register(change: Change) -> Change:
        RULES[name] = Rule(change, single, several, says)
        return change

    return register


@dataclass(frozen=True)
class Noise:
    """A noise rule with its rate; `each` draws once per modality, `grouped` once per group.

    Prints as it is written: `RULE:RATE[:each][:group]`.
    """

    rule: str
    rate: float
    each: bool = False
    grouped: bool = False

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise unknown("noise rule", self.rule, RULES)
        _check_rate(self.rate)
        if self.of_pairs and (self.each or self.grouped):
            raise UserError(f"noise '{self}': shuffle-pairs draws no labels, so it takes neither ':each' nor ':group'")

    @property
    def of_pairs(self) -> bool:
        """Whether it makes wrong pairs, not wrong labels."""
        return self.rule == PAIRS

    @property
    def words(self) -> str:
        """What it does, for people.

        >>> parse_noise("swap-one:0.5").words
        'on purpose, in 50 % of the training rows one label is exchanged for another (swap-one:0.5)'
        """
        says = RULES[self.rule].says or f"{self.rule} changes the labels"
        apart = ", for each modality by itself" * self.each + ", in whole groups" * self.grouped
        return f"on purpose, in {100 * self.rate:g} % of the training rows {says}{apart} ({self})"

    def __str__(self) -> str:
        rate = int(self.rate) if self.rate in (0, 1) else self.rate
        return f"{self.rule}:{rate}" + ":each" * self.each + ":group" * self.grouped


def parse_noise(text: str | Noise) -> Noise:
    """Read `RULE:RATE`, with `:each`, `:group` or both behind it.

    Raises:
        UserError: another form, an unknown rule, or a rate outside [0, 1].

    >>> parse_noise("flip:0.6:each")
    Noise(rule='flip', rate=0.6, each=True, grouped=False)
    >>> str(parse_noise("swap-one:.5"))
    'swap-one:0.5'
    """
    if isinstance(text, Noise):
        return text
    name, *rest = str(text).split(":")
    if name not in RULES:
        raise unknown("noise rule", name, RULES)
    try:
        rate = float(rest[0])
    except (IndexError, ValueError):
        raise UserError(f"noise '{text}' has no rate that is a number; write RULE:RATE, such as '{name}:0.5'") from None
    behind = rest[1:]
    if sorted(behind) not in ([], ["each"], ["group"], ["each", "group"]):
        right = "only ':each' (drawn per modality) and ':group' (drawn per group) may follow the rate"
        raise UserError(f"noise '{text}' ends in '{':'.join(behind)}'; {right}")
    return Noise(name, rate, "each" in behind, "group" in behind)


def corrupt(
    labels: np.ndarray, noise: str | Noise, seed: int, *, classes: int | None = None, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Corrupt int(n * rate) randomly chosen rows of labels; `:each` is the caller's to mind (see `corrupt_data`).

    The product is cut, not rounded, as the papers' code does: .29 of 100 rows are 28, since .29 * 100 is a little less
    than 29 in floating point. With `:group` it is int(groups * rate) randomly chosen groups, all rows of each. The rule
    is drawn once for the rows of a group that have the same labels, so that they get the same wrong ones.

    Args:
        labels: (n, classes) 0/1 or (n,) integer classes from 0; not changed.
        noise: `RULE:RATE`.
        seed: the same seed gives the same noise.
        classes: how many there are, for integer labels; one more than the largest if None.
        groups: (n,) the group of each row, of any type; for `:group` alone.

    Returns:
        The observed labels, in the form and type of `labels`, and a mask bool (n,) of the rows that really changed.
        Where a rule gives rows several labels they are 0/1 (n, classes), also of integers.

    Raises:
        UserError: the rule, the rate or the labels are not what they must be.

    >>> labels = np.eye(4, dtype=np.uint8)
    >>> observed, changed = corrupt(labels, "swap-one:0.5", seed=0)
    >>> changed.tolist(), observed.sum(axis=1).tolist()
    ([False, False, True, True], [1, 1, 1, 1])
    >>> corrupt(np.zeros(6, int), "swap-one:0.5:group", 1, classes=9, groups=np.array(list("aabbcd")))[0].tolist()
    [0, 0, 8, 8, 1, 0]
    """
    noise = parse_noise(noise)
    truth = check_labels(labels, "labels")
    classes = truth.shape[1] if truth.ndim == 2 else max(classes or 0, int(truth.max(initial=-1)) + 1)
    if classes < 2:
        raise UserError(f"labels have {classes} classes; noise needs at least two")
    single = RULES[noise.rule].single
    values = _classes_of(truth, noise.rule) if single else truth
    if RULES[noise.rule].several:
        values = as_matrix(values, classes)
    rng = generator(seed)
    chosen, first, like = _choose_groups(values, noise, groups, rng) if noise.grouped else _choose(values, noise, rng)
    observed = values.copy()
    observed[chosen] = RULES[noise.rule].change(values[chosen][first], classes, rng)[like]
    changed = observed != values if values.ndim == 1 else (observed != values).any(axis=1)
    if single and truth.ndim == 2:
        observed = as_matrix(observed, classes)
    return observed.astype(np.asarray(labels).dtype), changed


def corrupt_data(
    data: PairedData, noise: str | Noise, seed: int
) -> tuple[PairedData, np.ndarray | dict[str, np.ndarray]]:
    """Corrupt what training sees of the training rows; the truth and every other row stay as they are.

    Noise comes on top of observed labels that the data has already.

    Returns:
        The data with its observed labels, and a mask bool (n,) of the rows that really changed; with `:each` the
        observed labels and the masks are per modality.

    Raises:
        UserError: as `corrupt`; or the data has no labels, or has them per modality and the noise lacks `:each`; or the
            noise has `:group` and the data has no groups.

    >>> data = PairedData("toy", {"x": np.eye(4)}, np.array([0, 1, 0, 1]),
    ...                   {"train": [1, 2, 3], "query": [0], "retrieval": [1, 2, 3]})
    >>> noisy, changed = corrupt_data(data, "swap-one:1", seed=0)
    >>> noisy.train.observed().tolist(), noisy.train.label.tolist(), changed.tolist()
    ([0, 1, 0], [1, 0, 1], [False, True, True, True])
    """
    noise = parse_noise(noise)
    if RULES[noise.rule].several:
        data = _with_matrices(data)
    if noise.grouped and data.group is None:
        right = "give an array 'group' (n,) with the group of each pair, or leave ':group' out"
        raise UserError(f"data '{data.name}' has no groups for noise '{noise}' to be drawn once for each; {right}")
    if noise.each:
        seeds = generator(seed).integers(1 << 32, size=len(data.modalities))
        draws = {name: _corrupt_train(data, noise, own, name) for name, own in zip(data.modalities, seeds, strict=True)}
        observed = {name: labels for name, (labels, _) in draws.items()}
        return data.with_observed(observed), {name: changed for name, (_, changed) in draws.items()}
    if data.modality_observed_label or (data.label is None and data.modality_label):
        raise UserError(f"data '{data.name}' has labels per modality; write '{noise}:each' to corrupt each of them")
    labels, changed = _corrupt_train(data, noise, seed, None)
    return data.with_observed(labels), changed


def shuffle_pairs(n: int, rate: float, seed: int) -> np.ndarray:
    """Wrong pairs: int(n * rate) randomly chosen rows exchange their texts, so that none of them keeps its own.

    The product is cut, not rounded (see `corrupt`). One chosen row has nobody to exchange with and keeps its text.

    Returns:
        int64 (n,), for each image row the row of its text.

    Raises:
        UserError: the rate is outside [0, 1].

    >>> text = shuffle_pairs(6, 0.5, seed=0)
    >>> int((text != np.arange(6)).sum()), sorted(text.tolist())
    (3, [0, 1, 2, 3, 4, 5])
    """
    _check_rate(rate)
    rng = generator(seed)
    text = np.arange(n)
    chosen = rng.choice(n, int(n * rate), replace=False)
    if len(chosen) > 1:
        moved = rng.permutation(chosen)
        while (moved == chosen).any():  # a permutation has no fixed point with probability 1/e
            moved = rng.permutation(chosen)
        text[chosen] = moved
    return text


@rule("swap-one", says="one label is exchanged for another")
def _swap_one(labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """NRCH: one random 1 becomes 0 and one random 0 becomes 1; a class becomes another one.

    A row without a 1 gains one; a row of nothing but 1s has nothing to gain and stays.
    """
    if labels.ndim == 1:
        return (labels + rng.integers(1, classes, len(labels))) % classes
    score = rng.random(labels.shape, np.float32)
    rows = np.flatnonzero((labels == 0).any(axis=1))
    lost = np.where(labels == 1, score, -1).argmax(axis=1)  # column 0, which is 0 already, in a row without a 1
    gained = np.where(labels == 0, score, -1).argmax(axis=1)
    swapped = labels.copy()
    swapped[rows, lost[rows]] = 0
    swapped[rows, gained[rows]] = 1
    return swapped


@rule("resample", says="the labels are replaced by as many drawn at random")
def _resample(labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """A random label set of the same size, which may be the same set."""
    if labels.ndim == 1:
        return rng.integers(classes, size=len(labels))
    place = rng.permuted(np.broadcast_to(np.arange(classes), labels.shape), axis=1)
    return (place < labels.sum(axis=1, dtype=np.int64)[:, None]).astype(labels.dtype)


@rule("candidates", several=True, says="one to three labels that it does not have are added")
def _candidates(labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Partial labels (Cour, Sapp and Taskar, JMLR 2011): the true label is one of several that are given.

    A row without a label stays so: it would have wrong ones alone.
    """
    more = rng.integers(1, MOST_ADDED, len(labels), endpoint=True) * labels.any(axis=1)
    order = np.where(labels == 0, rng.random(labels.shape, np.float32), 1).argsort(axis=1)
    added = np.zeros(labels.shape, bool)
    np.put_along_axis(added, order, np.arange(classes) < more[:, None], axis=1)
    return np.where(added, 1, labels).astype(labels.dtype)


@rule("flip", single=True, says="the class is drawn at random")
def _flip(labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """MRL: uniform over all classes, the true one too, so a share (classes - 1) / classes really changes."""
    return rng.integers(classes, size=len(labels))


@rule("asymmetric", single=True, says="half of the classes are taken for another one each")
def _asymmetric(labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """MRL: a random half of the classes is taken for the other half, one for one; the rest stays."""
    order = rng.permutation(classes)
    half = classes // 2
    becomes = np.arange(classes)
    becomes[order[:half]] = order[half : 2 * half]
    return becomes[labels]


@rule(PAIRS, says="what belongs together is exchanged for that of another row")
def _shuffle_pairs(labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Wrong image-text pairs, hence no rule for labels."""
    right = "crossbit.data.noise.shuffle_pairs(n, rate, seed) gives each image row the row of its text"
    raise UserError(f"noise 'shuffle-pairs' permutes pairs, not labels; {right}")


def _check_rate(rate: float) -> None:
    if not 0 <= rate <= 1:
        raise UserError(f"noise rate is {rate}; it must be from 0 to 1")


def _with_matrices(data: PairedData) -> PairedData:
    """The same labels of all kinds, as matrices."""
    whole, apart = ("label", "observed_label"), ("modality_label", "modality_observed_label")
    made: dict[str, Any] = {}
    for name in whole:
        labels = getattr(data, name)
        made[name] = None if labels is None else as_matrix(labels, data.classes)
    for name in apart:
        made[name] = {one: as_matrix(labels, data.classes) for one, labels in getattr(data, name).items()}
    return data.replace(**made)


def _classes_of(labels: np.ndarray, name: str) -> np.ndarray:
    """Integer classes (n,) of labels that are already so, or a matrix with one 1 per row."""
    if labels.ndim == 1:
        return labels
    sizes = labels.sum(axis=1, dtype=np.int64)
    if (sizes != 1).any():
        row = int(np.flatnonzero(sizes != 1)[0])
        raise UserError(
            f"noise '{name}' is for one label per row, row {row} has {sizes[row]}; take 'swap-one' or 'resample'"
        )
    return labels.argmax(axis=1)


def _choose(values: np.ndarray, noise: Noise, rng: np.random.Generator) -> tuple[np.ndarray, Any, Any]:
    """As `_choose_groups` where every row is drawn for itself."""
    return rng.choice(len(values), int(len(values) * noise.rate), replace=False), slice(None), slice(None)


def _choose_groups(
    values: np.ndarray, noise: Noise, groups: np.ndarray | None, rng: np.random.Generator
) -> tuple[np.ndarray, Any, Any]:
    """The chosen rows; among them one for each group and labels; and for each chosen row which of those it is like."""
    if groups is None:
        raise UserError(f"noise '{noise}' is drawn once for each group; give `groups`, the group of each row")
    numbers = group_numbers(groups, len(values))
    many = int(numbers.max(initial=-1)) + 1
    chosen = np.flatnonzero(np.isin(numbers, rng.choice(many, int(many * noise.rate), replace=False)))
    same = np.column_stack([numbers[chosen], values[chosen]])
    _, first, like = np.unique(same, axis=0, return_index=True, return_inverse=True)
    return chosen, first, like


def _corrupt_train(data: PairedData, noise: Noise, seed: int, modality: str | None) -> tuple[np.ndarray, np.ndarray]:
    labels = Rows(data, np.arange(data.n)).observed(modality)
    if labels is None:
        raise UserError(f"data '{data.name}' has no labels that noise could corrupt")
    train = data.splits["train"]
    changed = np.zeros(data.n, bool)
    groups = data.train.group if noise.grouped else None
    labels[train], changed[train] = corrupt(labels[train], noise, seed, classes=data.classes, groups=groups)
    return labels, changed
