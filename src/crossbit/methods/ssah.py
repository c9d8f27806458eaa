"""SSAH: Self-Supervised Adversarial Hashing Networks for Cross-Modal Retrieval (C. Li et al., CVPR 2018).

A network over the labels (LabNet) makes a semantic feature and a code for each pair; the image and the text network are
taught to agree with both, by pairwise similarity, and one discriminator for each tries to tell their features from
LabNet's. Where paper and published code disagree, `form` says which is meant; docs/ssah.md lists it.

Shapes: n pairs trained on, b in a batch, c classes, d the width of the semantic feature.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.errors import UserError
from crossbit.methods.base import Method, Task, View
from crossbit.methods.settings import Count, PictureSettings, Rate, Weight
from crossbit.networks.pictures import PictureEncoder, with_backbone

SIZES: dict[str, Any] = {"batch": 128, "width": 4096, "feature": 512, "label_lr": 1e-3}
SCHEDULE: dict[str, Any] = {"passes": "paper", "epochs": 5, "decay": 10**-0.5, **SIZES}
PUBLISHED = dict.fromkeys(("alpha", "gamma", "quantisation", "label", "delta"), 1.0) | {
    "form": "official",
    "init": 0.01,
    "label_lr": 1e-2,
    "discriminator_lr": 1e-3,
    "image_lr": 10**-4.5,
    "text_lr": 10**-3.5,
}
PAPER_PASSES = "10,5/1,1/15,7,5/15,7,5"
WEIGHTS = ("alpha", "gamma", "quantisation", "label", "delta")
SIMILAR = 0.999  # the published code's similarity of a similar pair
WINDOW = 5  # the smallest pooling window of the fusion block


@dataclass(frozen=True)
class SsahSettings(PictureSettings):
    """SSAH's settings. The paper's text gives few numbers; those marked "code" are the published code's."""

    form: Annotated[
        Literal["paper", "official"],
        '"paper": log likelihood, adversary that reaches the networks; "official": what the code does',
    ] = "paper"
    epochs: Annotated[Count, "outer epochs of four steps"] = 3
    batch: Annotated[Count, "pairs in a step (code: 128)"] = 32
    passes: Annotated[
        str, 'most passes of each step, a comma where the rate falls; "paper": 10,5/1,1/15,7,5/15,7,5'
    ] = "20/2/8/8"
    width: Annotated[
        Count, "width of the hidden layers: LabNet's, TxtNet's, the paper's discriminators' (code: 4096)"
    ] = 256
    feature: Annotated[Count, "width of the semantic feature (code: 512)"] = 128
    label_lr: Annotated[Rate, "first learning rate of LabNet (code: .01, at which it collapses)"] = 3e-3
    discriminator_lr: Annotated[Rate, "learning rate of the discriminators (code)"] = 1e-3
    image_lr: Annotated[Rate, "learning rate of the first modality's network (code: 10^-4.5)"] = 3e-3
    backbone_lr: Annotated[Rate, "learning rate of a convolutional network with given `weights` (code)"] = 10**-4.5
    text_lr: Annotated[Rate, "learning rate of the second modality's network (code: 10^-3.5)"] = 1e-3
    decay: Annotated[Rate, "factor on every rate, for each outer epoch and each level of `passes` (code: 10^-.5)"] = 0.5
    alpha: Annotated[Weight, "weight of the pairs of semantic features"] = 1.0
    gamma: Annotated[Weight, "weight of the pairs of codes"] = 1.0
    balanced: Annotated[
        bool, "form=paper: similar pairs weigh as much as dissimilar ones together; false: all pairs weigh the same"
    ] = True
    quantisation: Annotated[Weight, "weight of the distance to the signs (the paper's eta; the code calls it beta)"] = (
        0.01
    )
    label: Annotated[Weight, "weight of the predicted labels (the paper's beta; the code calls it eta)"] = 1.0
    delta: Annotated[Weight, "weight of the adversary (code: 1, where it does not reach the networks)"] = 0.01
    similar: Annotated[
        Rate, "S of a similar pair; .999 gives a finite optimum. form=official takes .999 in any case"
    ] = 1.0
    scales: Annotated[
        str, "windows of the fusion block, in units of 5 columns (code); the paper's may be 1,2,3,5,10"
    ] = "1,2,3,6,10"
    init: Annotated[Weight, "standard deviation of the first weights and biases (code: .01); 0: PyTorch's own"] = 0.0
    labnet: Annotated[bool, "false: the networks learn from one another's features and codes, without an adversary"] = (
        True
    )
    fusion: Annotated[bool, "false: three fully connected layers in the place of TxtNet's multi-scale fusion"] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.similar > 1:
            raise UserError(f"setting similar is {self.similar}; it must be above 0 and at most 1")
        if not any(getattr(self, name) for name in WEIGHTS[:-1]):
            raise UserError(f"settings {', '.join(WEIGHTS[:-1])} are all 0; one must be above")
        self.levels()
        self.windows()

    def levels(self) -> list[list[int]]:
        """The most passes of each step at each of its falling rates: LabNet, discriminators, first, second network.

        >>> SsahSettings(passes="2,1/1/3/3").levels()
        [[2, 1], [1], [3], [3]]
        """
        text = PAPER_PASSES if self.passes == "paper" else self.passes
        try:
            levels = [[int(number) for number in step.split(",")] for step in text.split("/")]
        except ValueError:
            levels = []
        if len(levels) != 4 or min(itertools.chain(*levels)) < 0:
            raise UserError(f"setting passes is {text!r}; it must be four steps' passes, like {PAPER_PASSES!r}")
        return levels

    def windows(self) -> list[int]:
        """The pooling windows of the fusion block; an empty `scales` means none."""
        try:
            windows = [WINDOW * int(scale) for scale in self.scales.split(",") if scale.strip()]
        except ValueError:
            windows = [0]
        if windows and min(windows) < 1:
            raise UserError(f"setting scales is {self.scales!r}; it must be whole numbers, like '1,2,3,6,10'")
        return windows


# --- losses -----------------------------------------------------------------------------------------------------------


def similarity_of(labels: Tensor, others: Tensor) -> Tensor:
    """S, 1 where two label sets share a label and 0 elsewhere: labels (n, c), others (b, c), 0/1 -> (n, b).

    >>> similarity_of(torch.eye(2), torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return (labels @ others.t() > 0).to(labels.dtype)


def pairwise_loss(a: Tensor, b: Tensor, similarity: Tensor, *, form: str = "paper") -> Tensor:
    """J1 and J2: how badly <a_i, b_j> / 2 tells similar pairs from others; a scalar, the sum over all pairs.

    Args:
        a, b: features or codes (n, d) and (b, d).
        similarity: S (n, b), 1 for pairs that share a label, else 0.
        form: "paper": negative log likelihood of S under sigmoid(theta); "official": half the sum of its squares,
            with .999 S, as published (there with a log(1 + exp) that overflows).

    >>> a = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]])
    >>> similarity = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    >>> pairwise_loss(a, a, similarity).item(), pairwise_loss(a, a, similarity, form="official").item()
    (4.33889..., 1.20717...)
    """
    return _pair_terms(a, b, similarity, form).sum()


def _pair_terms(a: Tensor, b: Tensor, similarity: Tensor, form: str) -> Tensor:
    """What each pair adds to `pairwise_loss`, (n, b)."""
    theta = a @ (0.5 * b).t()  # b is the batch, the smaller of the two
    if form == "official":
        return 0.5 * (SIMILAR * similarity * theta - F.softplus(theta)).square()
    return F.softplus(theta) - similarity * theta


def pair_weights(similarity: Tensor, *, balanced: bool = True) -> Tensor:
    """What each pair counts in a mean over pairs, (n, b), 1 together; S (n, b) is 0/1.

    balanced: similar pairs count as much as dissimilar ones together, each kind divided by its own number.

    >>> pair_weights(torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0]]))
    tensor([[0.5000, 0.1250, 0.1250, 0.1250, 0.1250]])
    """
    similar = similarity.sum()
    both = balanced & (similar > 0) & (similar < similarity.numel())
    alike = similar.new_tensor(similarity.numel())
    numbers = [torch.where(both, 2 * number, alike) for number in (similar, alike - similar)]
    return similarity / numbers[0] + (1 - similarity) / numbers[1]


def quantisation_loss(codes: Tensor) -> Tensor:
    """J3: squared distance of the codes to their signs, which are held constant; the sign of 0 is +1. A scalar, a sum.

    >>> quantisation_loss(torch.tensor([[0.5, -0.2], [0.1, 0.9]])).item()
    1.71...
    """
    return (torch.where(codes >= 0, 1.0, -1.0) - codes).square().sum()


def label_loss(predicted: Tensor, labels: Tensor) -> Tensor:
    """J4: squared distance of the predicted labels to the observed; a scalar, a sum.

    >>> label_loss(torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]])).item()
    0.5
    """
    return (predicted - labels).square().sum()


def adversarial_loss(scores: Tensor, real: bool, *, form: str = "paper") -> Tensor:
    """How far a discriminator's scores (n, 1) are from 1 (`real`: made by LabNet) or from 0; a scalar, a mean.

    form: "paper": squared error; "official": cross entropy of the scores as logits.

    >>> adversarial_loss(torch.zeros(3, 1), True).item(), adversarial_loss(torch.zeros(3, 1), True, form="official")
    (1.0, tensor(0.6931))
    """
    target = torch.full_like(scores, float(real))
    return F.mse_loss(scores, target) if form == "paper" else F.binary_cross_entropy_with_logits(scores, target)


def discriminator_loss(made: Tensor, real: Tensor, *, form: str = "paper") -> Tensor:
    """L_adv of one modality: its scores (b, 1) against 0, LabNet's against 1; a scalar, the mean over both.

    >>> discriminator_loss(torch.zeros(2, 1), torch.zeros(2, 1), form="official").item()  # log 2
    0.693147...
    """
    return 0.5 * (adversarial_loss(made, False, form=form) + adversarial_loss(real, True, form=form))


class Outputs(NamedTuple):
    """What a network makes of a batch: feature F (b, d), code H (b, bits) in (-1, 1), labels (b, c) in (0, 1)."""

    feature: Tensor
    code: Tensor
    label: Tensor


def network_loss(
    outputs: Outputs, feature: Tensor, code: Tensor, similarity: Tensor, labels: Tensor, settings: SsahSettings
) -> Tensor:
    """A network's loss without the adversary, a scalar. Terms of weight 0 are not computed.

    Args:
        outputs: of a batch.
        feature, code: what its features and codes are paired with, (n, d) and (n, bits), held constant.
        similarity: S (n, b), 0/1.
        labels: of the batch (b, c), 0/1.
        settings: form, weights, similar, balanced. In the paper's form each term is divided by its number of pairs or
            entries; in the official form they are the published sums, the last two halved.
    """
    s, paper = settings, settings.form == "paper"
    seen = s.similar * similarity if paper else similarity
    counted = pair_weights(similarity, balanced=s.balanced) if paper else 1.0
    terms = (
        (s.alpha, lambda: (counted * _pair_terms(feature, outputs.feature, seen, s.form)).sum()),
        (s.gamma, lambda: (counted * _pair_terms(code, outputs.code, seen, s.form)).sum()),
        (s.quantisation, lambda: quantisation_loss(outputs.code) / (outputs.code.numel() if paper else 2)),
        (s.label, lambda: label_loss(outputs.label, labels) / (outputs.label.numel() if paper else 2)),
    )
    return torch.stack([weight * term() for weight, term in terms if weight]).sum()


# --- networks ---------------------------------------------------------------------------------------------------------


def normalise(x: Tensor) -> Tensor:
    """Local response normalisation over the columns of (n, width): x_k / (2 + 1e-4 sum of 5 neighbours' squares)^.75.

    >>> normalise(torch.ones(1, 7))
    tensor([[0.5945, 0.5945, 0.5945, 0.5945, 0.5945, 0.5945, 0.5945]])
    """
    squares = F.pad(x.square(), (2, 2)).unfold(1, 5, 1).sum(-1)
    return x / (2 + 1e-4 * squares) ** 0.75


class Normalise(nn.Module):
    """`normalise` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return normalise(x)


class Fusion(nn.Module):
    """Multi-scale fusion of (n, dim) vectors and the full-width layer over it, (n, width).

    For each window: mean pooling without padding, a 1 x 1 convolution without bias, ReLU, linear resizing back to
    dim. Windows that do not fit into dim are left out.

    Args:
        dim, width: of input and output.
        windows: pooling windows.
        init: deviation of the convolutions' first weights; 0 makes them 1. A scale whose weight is drawn negative is
            dead for inputs that are never negative.

    >>> fusion = Fusion(1386, 8, [5, 10, 15, 30, 50])
    >>> [pooled.shape[1] for pooled in fusion.pooled(torch.zeros(2, 1386))], fusion.maps(torch.zeros(2, 1386)).shape
    ([277, 138, 92, 46, 27], torch.Size([6, 2, 1386]))
    """

    def __init__(self, dim: int, width: int, windows: list[int], init: float = 0.0) -> None:
        super().__init__()
        self.windows = [window for window in windows if window <= dim]
        levels = len(self.windows)
        self.scales = nn.Parameter(torch.randn(levels) * init if init else torch.ones(levels))
        full = nn.Linear((1 + levels) * dim, width)
        self.weight = nn.Parameter(full.weight.detach().t().reshape(1 + levels, dim, width).contiguous())
        self.bias = full.bias

    def pooled(self, x: Tensor) -> list[Tensor]:
        """Mean-pooled strips, (n, dim // window) each."""
        return [F.avg_pool1d(x.unsqueeze(1), window).squeeze(1) for window in self.windows]

    def maps(self, x: Tensor) -> Tensor:
        """The strip and, for each level, the resized ReLU of sign(scale) times its pooling: (1 + levels, n, dim)."""
        signs = self.scales.detach().sign()
        strips = [F.relu(sign * pooled) for sign, pooled in zip(signs, self.pooled(x), strict=True)]
        resized = [F.interpolate(s.unsqueeze(1), x.shape[1], mode="linear").squeeze(1) for s in strips]
        return torch.stack([x, *resized])

    def forward(self, x: Tensor) -> Tensor:
        # ReLU(w p) = |w| ReLU(sign(w) p), so w may stand behind the layer: its gradient then needs no second product.
        products = torch.bmm(self.maps(x).to(self.weight.dtype), self.weight)  # (1 + levels, n, width)
        return products[0] + torch.einsum("l,lnw->nw", self.scales.abs(), products[1:]) + self.bias


class Rescale(nn.Module):
    """Rows to a root mean square of 1, the scale at which CNN-F's features come: rates mean the same for all vectors.

    >>> Rescale()(torch.tensor([[0.03, 0.04], [0.0, 0.0]]))
    tensor([[0.8485, 1.1314],
            [0.0000, 0.0000]])
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1) * x.shape[1] ** 0.5


class Network(nn.Module):
    """Layers to the semantic feature, and two heads over it; called, it gives the code."""

    def __init__(self, layers: nn.Module, task: Task, feature: int, *, normed: bool = False) -> None:
        super().__init__()
        self.layers = layers
        self.norm = Normalise() if normed else nn.Identity()
        self.code, self.label = nn.Linear(feature, task.bits), nn.Linear(feature, task.classes)

    def outputs(self, x: Tensor) -> Outputs:
        feature = self.layers(x)
        seen = self.norm(feature)
        made = feature, self.code(seen).tanh(), self.label(seen).sigmoid()
        return Outputs(*(y.to(torch.promote_types(y.dtype, torch.float32)) for y in made))

    def forward(self, x: Tensor) -> Tensor:
        return self.outputs(x).code


def outputs_of(network: nn.Module, x: Tensor) -> Outputs:
    """Feature, code and labels, of pixels too."""
    if isinstance(network, PictureEncoder):
        return outputs_of(network.head, network.backbone(x))
    assert isinstance(network, Network)
    return network.outputs(x)


def label_network(settings: SsahSettings, task: Task) -> Network:
    """LabNet: c -> width, ReLU, LRN -> feature, ReLU."""
    layers = nn.Linear(task.classes, settings.width), nn.ReLU(), Normalise()
    last = nn.Linear(settings.width, settings.feature), nn.ReLU()
    return Network(nn.Sequential(*layers, *last), task, settings.feature)


def image_network(width: int, settings: SsahSettings, task: Task, *, rescale: bool = True) -> Network:
    """ImgNet over vectors, or with rescale=False over CNN-F's fc7: width -> feature, ReLU."""
    layers = [Rescale()] if rescale else []
    return Network(nn.Sequential(*layers, nn.Linear(width, settings.feature), nn.ReLU()), task, settings.feature)


def text_network(width: int, settings: SsahSettings, task: Task) -> Network:
    """TxtNet: fusion -> width, ReLU, LRN -> feature, ReLU; LRN before the heads. Without fusion: plain layers."""
    hidden, last = settings.width, (nn.Linear(settings.width, settings.feature), nn.ReLU())
    if not settings.fusion:
        return Network(nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), *last), task, settings.feature)
    fusion = Fusion(width, hidden, settings.windows(), settings.init if settings.form == "official" else 0.0)
    layers = nn.Sequential(fusion, nn.ReLU(), Normalise(), *last)
    return Network(layers, task, settings.feature, normed=True)


def discriminator(settings: SsahSettings) -> nn.Sequential:
    """A feature to a score: feature-width-width-1 (paper), feature-feature-feature/2-1 (official: 512-512-256-1)."""
    d = settings.feature
    hidden = [settings.width] * 2 if settings.form == "paper" else [d, max(1, d // 2)]
    layers = [module for a, b in itertools.pairwise([d, *hidden]) for module in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], 1))


def draw_weights(network: nn.Module, deviation: float) -> None:
    """New weights and biases from N(0, deviation^2), as published; a backbone and the fusion's scales keep theirs."""
    for name, parameter in network.named_parameters():
        if deviation and not name.startswith("backbone.") and not name.endswith("scales"):
            nn.init.normal_(parameter, std=deviation)


def without_dropout(network: nn.Module) -> None:
    """Nothing is dropped while it is trained, as published."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Gradients go through the network and not into it."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


# --- the method -------------------------------------------------------------------------------------------------------


class Ssah(Method):
    """Three networks and two discriminators; an outer epoch trains LabNet, the discriminators, then each network."""

    name = "ssah"
    title = "Self-Supervised Adversarial Hashing (CVPR 2018)"
    Settings = SsahSettings
    presets = {"paper": SCHEDULE, "official": SCHEDULE | PUBLISHED}  # noqa: RUF012
    ablations = {  # noqa: RUF012
        "SSAH-1: no label network": {"labnet": False},
        "SSAH-2: no multi-scale fusion": {"fusion": False},
        "SSAH-3: no adversary": {"delta": 0.0},
    }

    def __init__(self, settings: SsahSettings, task: Task) -> None:
        super().__init__(settings, task)
        self.first, self.second = task.dims
        self.monitored = replace(settings, form="paper")  # the loss that tells when a level is left, in both forms
        if settings.labnet:
            self.networks["labnet"] = label_network(settings, task)
            draw_weights(self.networks["labnet"], settings.init)
        if self.adversary:
            self.networks["discriminators"] = nn.ModuleDict({m: discriminator(settings) for m in task.dims})
            draw_weights(self.networks["discriminators"], settings.init)

    @property
    def adversary(self) -> bool:
        return self.settings.labnet and self.settings.delta > 0

    @classmethod
    def build_encoders(cls, settings: SsahSettings, task: Task) -> Mapping[str, nn.Module]:
        networks = {}
        for (modality, dim), make in zip(task.dims.items(), (image_network, text_network), strict=True):
            make = make if isinstance(dim, int) else partial(image_network, rescale=False)
            networks[modality] = with_backbone(settings.pictures, dim, partial(make, settings=settings, task=task))
            draw_weights(networks[modality], settings.init)
            without_dropout(networks[modality])
        return networks

    def build_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        def adam(network: nn.Module) -> torch.optim.Optimizer:
            groups: list[dict[str, Any]] = [{"params": list(network.parameters())}]
            if isinstance(network, PictureEncoder) and self.settings.weights:
                slower = self.settings.backbone_lr / self.settings.image_lr
                groups = [{"params": list(network.head.parameters())}]
                groups.append({"params": list(network.backbone.parameters()), "factor": slower})
            return torch.optim.Adam(groups, fused=True)

        made = {name: adam(network) for name, network in self.networks.items() if name != "discriminators"}
        if self.adversary:
            made |= {f"discriminator_{m}": adam(self.discriminator_of(m)) for m in self.task.dims}
        return made

    def discriminator_of(self, modality: str) -> nn.Module:
        discriminators = self.networks["discriminators"]
        assert isinstance(discriminators, nn.ModuleDict)
        return discriminators[modality]

    def train_epoch(self, view: View) -> dict[str, Any]:
        view, passes = labelled(view), itertools.count(1)
        steps: dict[str, list[float]] = {}
        if len(view):
            self.begin(view)
            label, between, first, second = self.settings.levels()
            s = self.settings
            if s.labnet:
                steps["label"] = self.train_network(view, "labnet", s.label_lr, label, passes, every=1)
            if self.adversary:
                steps["discriminator"] = self.train_discriminators(view, between, passes)
            steps["image"] = self.train_network(view, self.first, s.image_lr, first, passes, every=2)
            steps["text"] = self.train_network(view, self.second, s.text_lr, second, passes, every=2)
        last = {name: losses[-1] if losses else None for name, losses in steps.items()}
        made = [loss for name, loss in last.items() if name in ("image", "text") and loss is not None]
        figures: dict[str, Any] = {"loss": sum(made) if made else None, "labelled": len(view)}
        figures |= {f"{name}_loss": loss for name, loss in last.items()}
        return figures | {f"{name}_passes": len(losses) for name, losses in steps.items()}

    def begin(self, view: View) -> None:
        """Make the buffers of features and codes when the rows are first seen.

        They hold the untrained network's outputs; form=official: standard normal noise, as published.
        """
        generator = torch.Generator().manual_seed(view.random_seed())
        for name in ["labnet"] if self.settings.labnet else [self.first, self.second]:
            if f"{name}.feature" in self.buffers:
                continue
            for kind, width in (("feature", self.settings.feature), ("code", self.task.bits)):
                noise = torch.randn(len(view), width, generator=generator)
                self.buffers[f"{name}.{kind}"] = noise.to(view.device)
            if self.settings.form == "paper":
                with torch.no_grad():
                    for rows in view.batches(1024, shuffle=False):
                        self.remember(name, rows, self.outputs(view, name, rows))

    def outputs(self, view: View, name: str, rows: Tensor) -> Outputs:
        network = partial(outputs_of, self.networks[name])
        with view.autocast():
            if name == "labnet":
                return network(view.observed()[rows])
            made: Outputs = view.through(network, view.features[name][rows])
            return made

    def rate(self, view: View, lr: float, level: int) -> float:
        return float(lr * self.settings.decay ** (view.epoch + level))

    def train_network(
        self, view: View, name: str, lr: float, levels: list[int], passes: Iterator[int], *, every: int
    ) -> list[float]:
        """Passes of one network at falling rates; a level is left early once its monitored loss stops falling.

        The monitored loss, the paper's log likelihoods per pair, is compared every `every` passes, after the second.
        """
        losses: list[float] = []
        for level, most in enumerate(levels):
            start = len(losses)
            for made in range(1, most + 1):
                losses.append(self.one_pass(view, name, self.rate(view, lr, level), next(passes)))
                if made > 2 and made % every == 0 and losses[-1] >= losses[max(start, len(losses) - 1 - every)]:
                    break
        return losses

    def one_pass(self, view: View, name: str, lr: float, number: int) -> float:
        """Every row once through a network's step; the mean monitored loss."""
        batches = view.batches(self.settings.batch, number=number)
        mean = float(torch.stack([self.network_step(view, name, rows, lr) for rows in batches]).mean())
        return float(view.agree(lambda: mean))

    def network_step(self, view: View, name: str, rows: Tensor, lr: float) -> Tensor:
        """One step of LabNet or a modality's network; returns the monitored loss, detached."""
        labels, outputs = view.observed(), self.outputs(view, name, rows)
        self.remember(name, rows, outputs)
        other = {self.first: self.second, self.second: self.first}.get(name)
        source = "labnet" if self.settings.labnet else other
        pair = self.buffers[f"{source}.feature"], self.buffers[f"{source}.code"]
        similarity = similarity_of(labels, labels[rows])
        loss = network_loss(outputs, *pair, similarity, labels[rows], self.settings)
        monitored = loss.detach()
        if self.settings.form == "official":
            with torch.no_grad():
                monitored = network_loss(outputs, *pair, similarity, labels[rows], self.monitored)
        if self.adversary and name != "labnet":
            loss = loss + self.settings.delta * self.fooling_loss(view, name, outputs.feature)
        trained = [self.optimizers[name]]
        if self.adversary and name != "labnet" and self.settings.form == "official":
            trained.append(self.optimizers[f"discriminator_{name}"])
        self.update(view, loss, trained, lr)
        return monitored

    def remember(self, name: str, rows: Tensor, outputs: Outputs) -> None:
        """Overwrite the batch's rows in the network's buffers, where it has some."""
        if f"{name}.feature" in self.buffers:
            self.buffers[f"{name}.feature"][rows] = outputs.feature.detach()
            self.buffers[f"{name}.code"][rows] = outputs.code.detach()

    def fooling_loss(self, view: View, modality: str, feature: Tensor) -> Tensor:
        """The adversary's part in a network's step."""
        network = self.discriminator_of(modality)
        if self.settings.form == "official":  # the published slip: old features, so that only the discriminator moves
            with view.autocast():
                scores = network(feature.detach())
            return adversarial_loss(scores.float(), True, form="official")
        with frozen(network), view.autocast():
            scores = network(feature)
        return adversarial_loss(scores.float(), True)

    def train_discriminators(self, view: View, levels: list[int], passes: Iterator[int]) -> list[float]:
        """Passes of both discriminators at falling rates; their mean losses."""
        losses = []
        for level, most in enumerate(levels):
            rate = self.rate(view, self.settings.discriminator_lr, level)
            for _ in range(most):
                batches = view.batches(self.settings.batch, number=next(passes))
                losses.append(
                    float(torch.stack([self.discriminator_step(view, rows, rate) for rows in batches]).mean())
                )
        return losses

    def discriminator_step(self, view: View, rows: Tensor, lr: float) -> Tensor:
        """One step of both discriminators on features that are held constant; returns their mean loss, detached."""
        losses = []
        for modality in self.task.dims:
            with torch.no_grad():
                made = self.outputs(view, modality, rows).feature
            with view.autocast():
                scores = self.discriminator_of(modality)(torch.cat([made, self.buffers["labnet.feature"][rows]]))
            loss = discriminator_loss(*scores.float().chunk(2), form=self.settings.form)
            self.update(view, loss, [self.optimizers[f"discriminator_{modality}"]], lr)
            losses.append(loss.detach())
        return torch.stack(losses).mean()

    @staticmethod
    def update(view: View, loss: Tensor, optimizers: list[torch.optim.Optimizer], lr: float) -> None:
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr * group.get("factor", 1.0)
            optimizer.zero_grad()
        view.backward(loss)
        for optimizer in optimizers:
            optimizer.step()


def labelled(view: View) -> View:
    """The view without the pairs that nobody labelled: similar to nothing, they would push everything away."""
    labels = view.observed()
    rows = labels.any(1).nonzero().squeeze(1)
    if len(rows) == len(view):
        return view
    features = {modality: x[rows] for modality, x in view.features.items()}
    return replace(view, features=features, labels=labels[rows], rows=view.rows[rows.cpu().numpy()])
