"""What every method is: settings, encoders, one training epoch over a view, and a state that is flat."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from crossbit.errors import UserError
from crossbit.methods.settings import PictureSettings, Settings
from crossbit.networks.pictures import Dim, PictureEncoder, load_weights
from crossbit.storage.tensors import part


@dataclass(frozen=True)
class Task:
    """What a method is built for: the form of the features, the number of classes, the code length.

    `dims` has for each modality the width of its vectors, or (h, w, 3) for pictures that the encoder takes as pixels.
    """

    dims: dict[str, Dim]
    classes: int
    bits: int

    @property
    def widths(self) -> dict[str, int]:
        """The widths, for a method that takes vectors only."""
        return {modality: dim for modality, dim in self.dims.items() if isinstance(dim, int)}


def _backward(loss: Tensor) -> None:
    loss.backward()


@dataclass
class View:
    """What a method sees of the data during one epoch: the rows it trains on, and nothing else.

    Attributes:
        features: by modality float32 (n, d), or uint8 (n, h, w, 3) pixels, on the device.
        labels: observed labels by modality, float32 0/1 (n, classes), on the device; given one tensor, every modality
            has that; zeros for rows outside the training split. None for a method that sees no labels, and for data
            without any.
        rows: (n,) row numbers in the data.
        epoch, epochs: the epoch to train, from 0, and how many there will be.
        groups: (n,) int64, the number from 0 of each row's group: rows that show the same thing, such as one character
            in several faces; None where the data have no groups. In a wrong pair, the group of the first modality.
        seed: of the run; `batches` and `generator` depend on (seed, epoch, pass) alone, so that a resumed run repeats.
        autocast: the precision that encoders run in, as a context (losses stay in float32).
        backward: called with the loss, in place of `loss.backward()`.
        through: a modality's network and the rows of a batch, in place of calling it: of several processes each encodes
            its part (`crossbit.training.distributed`), and all get the whole.
        agree: what a function returns; of several processes the first calls it, for all. Nothing in it goes `through`.
        tick: called with the finished share of the current pass.
        say: called with a line for the user, such as what a long pause before the first step is for.
    """

    features: dict[str, Tensor]
    labels: Any  # dict[str, Tensor] | None; a Tensor on the way in
    rows: np.ndarray
    epochs: int
    seed: int
    epoch: int = 0
    groups: np.ndarray | None = None
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    backward: Callable[[Tensor], Any] = _backward
    through: Callable[[Callable[[Tensor], Any], Tensor], Any] = field(default=lambda network, x: network(x))
    agree: Callable[[Callable[[], Any]], Any] = field(default=lambda make: make())
    tick: Callable[[float], Any] = field(default=lambda share: None)
    say: Callable[[str], Any] = field(default=lambda text: None)

    def __post_init__(self) -> None:
        if isinstance(self.labels, Tensor):
            self.labels = dict.fromkeys(self.features, self.labels)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def device(self) -> torch.device:
        return next(iter(self.features.values())).device

    def observed(self, modality: str | None = None) -> Tensor:
        """Observed labels (n, classes) of a modality; or (None) of the pair: every label that a modality was given.

        A method that declares `sees_labels = False` must not ask.
        """
        if self.labels is None:
            raise RuntimeError("this view has no labels")
        if modality is not None:
            return self.labels[modality]
        first, *others = self.labels.values()
        apart = [labels for labels in others if labels is not first]
        return torch.stack([first, *apart]).amax(0) if apart else first

    def random_seed(self, number: int = 0) -> int:
        """A seed for use `number` in this epoch, from (run seed, epoch, number)."""
        return int(np.random.SeedSequence([self.seed, self.epoch, number]).generate_state(1)[0])

    def batches(self, size: int, *, number: int = 0, shuffle: bool = True) -> Iterator[Tensor]:
        """Row positions (<= size,) of pass `number`, every row once; the last batch may be smaller."""
        n = len(self)
        generator = torch.Generator().manual_seed(self.random_seed(number))
        order = torch.randperm(n, generator=generator) if shuffle else torch.arange(n)
        order = order.to(self.device)
        self.tick(0.0)
        for start in range(0, n, size):
            yield order[start : start + size]
            self.tick(min(1.0, (start + size) / n))


class Method(ABC):
    """A method: one file beside its paper. Subclasses set the class attributes and the three abstract methods.

    `networks` holds everything that is trained, `optimizers` one optimiser or more over it; what else a method keeps
    between epochs (a memory bank, say) goes into `buffers`. Together they are its whole state, so that a resumed run
    continues to the bit.
    """

    name: ClassVar[str]
    title: ClassVar[str]  # the paper, in one line
    Settings: ClassVar[type[Settings]]
    rows: ClassVar[str] = "train"  # or "retrieval": the rows it trains on
    sees_labels: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True  # False: of a method that sees them, but takes data without any, too
    metric: ClassVar[str] = "hamming"  # or "cosine": it ranks by its real vectors, and its codes are their signs
    floor: ClassVar[bool] = False  # a floor that others are measured against, such as random codes
    scale_vectors: ClassVar[bool] = True  # the default for vectors: centred and scaled; else as they are
    presets: ClassVar[dict[str, dict[str, Any]]] = {}  # settings by name, such as the paper's for a data set
    later: ClassVar[dict[str, Any]] = {}  # settings that came later, each with the value that runs from before it had
    ablations: ClassVar[dict[str, dict[str, Any]]] = {}  # a part that is left out, and the settings that do it

    def __init__(self, settings: Any, task: Task) -> None:
        self.settings = settings
        self.task = task
        self.networks = nn.ModuleDict()
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.buffers: dict[str, Tensor] = {}
        self.networks.update(self.build_encoders(settings, task))
        if isinstance(settings, PictureSettings) and settings.weights:
            load_weights(self.networks, settings.weights)

    def frozen_epochs(self) -> float:
        """How many first epochs hold a convolutional network still whose weights were given; `math.inf` for all."""
        return 0

    def freeze(self, epoch: int) -> None:
        """Hold such networks still in `epoch` (from 0), or train them; the training loop calls it before each epoch."""
        settings = self.settings
        given = isinstance(settings, PictureSettings) and bool(settings.weights)
        frozen = given and epoch < self.frozen_epochs()
        for network in self.networks.values():
            if isinstance(network, PictureEncoder):
                network.freeze(frozen)

    @classmethod  # noqa: B027 (most methods refuse nothing)
    def check_labels(cls, settings: Any, labels: Mapping[str, np.ndarray]) -> None:
        """Refuse observed labels 0/1 (rows, classes) by modality that the method cannot learn from.

        Raises:
            UserError: they are not what the method is made for.
        """

    @classmethod
    def epoch_work(cls, settings: Any, rows: int) -> float:
        """How much work an epoch on so many rows is, in any unit: rows, unless its steps do not grow with them."""
        return rows

    @classmethod
    def choose_modalities(cls, modalities: list[str]) -> list[str]:
        """Which of the data's modalities to train on: image and text where they are there, else the first two."""
        if len(modalities) < 2:
            raise UserError(f"{cls.name} needs two modalities, the data has only: {', '.join(modalities)}")
        preferred = [m for m in ("image", "text") if m in modalities]
        return (preferred + [m for m in modalities if m not in preferred])[:2]

    @classmethod
    @abstractmethod
    def build_encoders(cls, settings: Any, task: Task) -> Mapping[str, nn.Module]:
        """An encoder (n, dim) -> (n, bits) for each modality of the task."""

    @abstractmethod
    def build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimisers, made when the networks are on their device."""

    @abstractmethod
    def train_epoch(self, view: View) -> dict[str, Any]:
        """Train one epoch and return its figures.

        Figures are numbers for the history ("loss" among them, None where no step was made), small JSON values, and
        arrays with an entry for each row of the view; a boolean one is compared with the truth by the training loop,
        where the truth is known. A text under "note" is shown to the user.
        """

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The whole state: flat tensors, and JSON (the optimisers' changing numbers)."""
        tensors = {f"networks.{key}": value for key, value in self.networks.state_dict().items()}
        tensors |= {f"buffers.{key}": value for key, value in self.buffers.items()}
        numbers: dict[str, Any] = {}
        for name, optimizer in self.optimizers.items():
            state = optimizer.state_dict()
            for index, entry in state["state"].items():
                held = {key: value for key, value in entry.items() if value is not None}
                tensors |= {f"optimizers.{name}.{index}.{key}": value for key, value in held.items()}
            numbers[name] = [{k: v for k, v in group.items() if k != "params"} for group in state["param_groups"]]
        return tensors, numbers

    def load_state(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Put a state back, in place."""
        self.networks.load_state_dict(part(tensors, "networks."))
        device = next(self.networks.parameters()).device
        for key, value in part(tensors, "buffers.").items():  # also those that a first epoch makes
            self.buffers[key] = value.to(device)
        for name, optimizer in self.optimizers.items():
            state = optimizer.state_dict()
            entries: dict[int, dict[str, Tensor]] = {}
            for key, value in part(tensors, f"optimizers.{name}.").items():
                index, entry = key.split(".", 1)
                entries.setdefault(int(index), {})[entry] = value
            for group, kept in zip(state["param_groups"], numbers[name], strict=True):
                group.update(kept)
            optimizer.load_state_dict({"state": entries, "param_groups": state["param_groups"]})
