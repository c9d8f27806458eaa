"""Training in several processes, as `torchrun` starts them: each encodes its part of every batch.

Every process sees all rows and draws the same batches. Of a batch it encodes its own part; the outputs of all parts are
gathered, so that each process computes the loss of the whole batch, whatever that compares. Backwards each goes on with
the gradient of its own part, and the gradients of the encoders are summed. So the weights are those of one process, up
to the order of sums. What is solved in closed form, or decided by a number, is made by the first process for all.
"""

from __future__ import annotations

import atexit
import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from crossbit.errors import UserError
from crossbit.features import Featuriser, featuriser_from_state

T = TypeVar("T")

PATIENCE = timedelta(hours=12)  # for the first process, which may have much to solve


@dataclass
class Processes:
    """The processes of one training; this one alone, by default.

    Attributes:
        number: this one's, from 0.
        count: how many there are.
        encoders: the networks that each takes through its part of a batch.
        dropouts: their layers that draw for whole batches.
    """

    number: int = 0
    count: int = 1
    encoders: list[nn.Module] = field(default_factory=list)
    dropouts: list[_WholeDropout] = field(default_factory=list)

    @property
    def first(self) -> bool:
        """Whether this one writes, and speaks for all."""
        return self.number == 0

    def agree(self, make: Callable[[], T]) -> T:
        """What `make` returns or raises; the first process alone calls it, for all of them."""
        if self.count == 1:
            return make()
        told: list[Any] = [None, None]
        if self.first:
            try:
                told[0] = make()
            except UserError as mistake:
                told[1] = mistake
        distributed.broadcast_object_list(told, src=0)
        made, error = told
        if error is not None:
            raise error
        agreed: T = made
        return agreed

    def through(self, network: Callable[[Tensor], Any], x: Tensor) -> Any:
        """What a network makes of the rows of a batch (m, ...): a tensor (m, ...), or a named tuple of such."""
        if self.count == 1:
            return network(x)
        size = -(-len(x) // self.count)
        start, stop = min(self.number * size, len(x)), min((self.number + 1) * size, len(x))
        for layer in self.dropouts:
            layer.part = start, stop, len(x)
        outputs = network(x[start:stop])
        if isinstance(outputs, Tensor):
            return _gathered(outputs, self, len(x))
        return type(outputs)(*(_gathered(each, self, len(x)) for each in outputs))

    def backward(self, loss: Tensor) -> None:
        """`loss.backward()`; what that adds to the gradients of `encoders` is summed over the processes."""
        if self.count == 1:
            return loss.backward()
        trained = [p for encoder in self.encoders for p in encoder.parameters() if p.requires_grad]
        before = [parameter.grad for parameter in trained]
        for parameter in trained:
            parameter.grad = None
        loss.backward()
        made = [(p, p.grad) for p in trained if p.grad is not None]  # the same in all processes
        if made:
            total = torch.cat([gradient.flatten() for _, gradient in made])
            distributed.all_reduce(total)
            parts = total.split([gradient.numel() for _, gradient in made])
            for (parameter, _), part in zip(made, parts, strict=True):
                parameter.grad = part.view_as(parameter)
        for parameter, old in zip(trained, before, strict=True):
            if old is not None:
                parameter.grad = old if parameter.grad is None else old + parameter.grad
        return None

    @contextmanager
    def training(self, encoders: Iterable[nn.Module]) -> Iterator[None]:
        """Inside, these are what the processes share the work of."""
        self.encoders = list(encoders) if self.count > 1 else []
        layers = [layer for encoder in self.encoders for layer in encoder.modules() if type(layer) is nn.Dropout]
        for layer in layers:
            layer.__class__ = _WholeDropout
        self.dropouts = layers  # type: ignore[assignment]
        try:
            yield
        finally:
            for layer in layers:
                layer.__class__ = nn.Dropout
            self.encoders, self.dropouts = [], []


@contextmanager
def processes() -> Iterator[Processes]:
    """Those that `torchrun` started, or this one alone.

    Their group is made with NCCL where there is a GPU for each, else with Gloo, and stays until they end. A group that
    is there is taken.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    if not distributed.is_initialized():
        # Its functions have the group as a default argument. Imported later (optimisers import it), they would keep the
        # group, and its threads, after it is destroyed: Python would go from under them.
        importlib.import_module("torch.distributed.nn")
        apart = torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"])
        if apart:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("cpu:gloo,cuda:nccl" if apart else "gloo", timeout=PATIENCE)
        atexit.register(_end)  # not sooner: made anew, it would find the addresses of before
    yield Processes(distributed.get_rank(), count)
    distributed.barrier()  # a process that ended sooner would take the others' connections with it


def _end() -> None:
    if distributed.is_initialized():  # else a script has ended it
        distributed.destroy_process_group()


def fitted(several: Processes, fit: Callable[[], dict[str, Featuriser]]) -> dict[str, Featuriser]:
    """Featurisers that the first process fits, in all of them."""
    if several.count == 1:
        return fit()
    made = several.agree(lambda: {modality: each.state() for modality, each in fit().items()})
    return {modality: featuriser_from_state(*state) for modality, state in made.items()}


class _WholeDropout(nn.Dropout):
    """Draws for all rows of a batch, as one process does, and takes those of its part."""

    part = (0, 0, 0)  # start, stop, all

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        start, stop, whole = self.part
        return x * F.dropout(x.new_ones(whole, *x.shape[1:]), self.p)[start:stop]


class _Gather(torch.autograd.Function):
    """Parts (size, ...) of all processes, one after the other; backwards each has its own part's gradient."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, processes: Processes) -> Tensor:
        ctx.place = processes.number * len(own), (processes.number + 1) * len(own)
        parts = [torch.empty_like(own) for _ in range(processes.count)]
        distributed.all_gather(parts, own)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0][slice(*ctx.place)], None


def _gathered(own: Tensor, processes: Processes, rows: int) -> Tensor:
    """The outputs of a whole batch from this process's part of it; parts are made equally long on the way."""
    size = -(-rows // processes.count)
    filled = torch.cat([own, own.new_zeros(size - len(own), *own.shape[1:])]).contiguous()
    whole: Tensor = _Gather.apply(filled, processes)
    return whole[:rows]
