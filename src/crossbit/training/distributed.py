"""Training in several processes, as `torchrun` starts them: each encodes its part of every batch.

Every process sees all rows and draws the same batches. Of a batch it encodes its own part; the outputs of all parts are
gathered, so that each process computes the loss of the whole batch, whatever that compares. Backwards each goes on with
the gradient of its own part, and the gradients of the encoders are summed. So the weights are those of one process, up
to the order of sums. What is solved in closed form, or decided by a number, is made by the first process for all.
"""

from __future__ import annotations

import atexit
import importlib
import math
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
        layers: those of them that look at whole batches.
    """

    number: int = 0
    count: int = 1
    encoders: list[nn.Module] = field(default_factory=list)
    layers: list[Any] = field(default_factory=list)

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
        for layer in self.layers:
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
        self.layers = [each for encoder in self.encoders for each in encoder.modules() if type(each) in WHOLE]
        kinds = [type(layer) for layer in self.layers]
        for layer, kind in zip(self.layers, kinds, strict=True):
            layer.__class__ = WHOLE[kind]
        try:
            yield
        finally:
            for layer, kind in zip(self.layers, kinds, strict=True):
                layer.__class__ = kind
            self.encoders, self.layers = [], []


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
    if "RANK" not in os.environ:
        raise UserError(f"WORLD_SIZE is {count}, and RANK is not set; start with torchrun, or unset WORLD_SIZE")
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


class _WholeBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Normalises by the mean and the variance of all rows of a batch, as one process does."""

    part = (0, 0, 0)  # start, stop, all

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        many, shape = self.part[2] * math.prod(x.shape[2:]), (1, -1, *[1] * (x.dim() - 2))
        if many < 2:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}")
        values, others = x.float(), [0, *range(2, x.dim())]
        mean = _summed(values.sum(others)) / many
        away = values - mean.view(shape)
        variance = _summed(away.square().sum(others)) / many
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            with torch.no_grad():
                self.num_batches_tracked += 1
                weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean, weight)
                self.running_var.lerp_(variance * many / (many - 1), weight)
        made = away * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            made = made * self.weight.view(shape) + self.bias.view(shape)
        return made.to(x.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        """The layer whose place this one has had its shapes checked by the network that was built with it."""


WHOLE: dict[type[nn.Module], type[nn.Module]] = {
    nn.Dropout: _WholeDropout,
    nn.BatchNorm1d: _WholeBatchNorm,
    nn.BatchNorm2d: _WholeBatchNorm,
    nn.BatchNorm3d: _WholeBatchNorm,
}


class _Sum(torch.autograd.Function):
    """The sum over all processes, on which the parts of all depend: so backwards gradients are summed, too."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        whole = own.clone()
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        whole = gradients[0].clone()
        distributed.all_reduce(whole)
        return whole


def _summed(own: Tensor) -> Tensor:
    whole: Tensor = _Sum.apply(own)
    return whole


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
