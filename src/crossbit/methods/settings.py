"""Settings of methods: frozen dataclasses whose annotations say what a setting means and what it may be."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from crossbit.errors import UserError, unknown
from crossbit.networks.pictures import BACKBONES
from crossbit.networks.torchvision_networks import check_network
from crossbit.storage.packages import is_installed


@dataclass(frozen=True)
class Limit:
    """What a number must be, in words and as a test."""

    words: str
    holds: Callable[[float], bool]


NOT_NEGATIVE = Limit("at least 0", lambda value: value >= 0)
ABOVE_0 = Limit("above 0", lambda value: value > 0)
Count = Annotated[int, Limit("at least 1", lambda value: value >= 1)]
Natural = Annotated[int, NOT_NEGATIVE]
Rate = Annotated[float, ABOVE_0]
Weight = Annotated[float, NOT_NEGATIVE]
Share = Annotated[float, Limit("between 0 and 1", lambda value: 0 <= value <= 1)]
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class Setting:
    """One setting of a method.

    Attributes:
        name, default, meaning: as they are shown to people.
        kind: what its values are: bool, int, float or str.
        limits: what a number must be.
        choices: what a text may be; empty for any text.
    """

    name: str
    default: Any
    meaning: str
    kind: type
    limits: tuple[Limit, ...]
    choices: tuple[str, ...]

    def check(self, value: Any) -> None:
        """Raise UserError for a value that the setting must not have."""
        if self.choices and value not in self.choices:
            raise unknown(self.name, value, self.choices)
        right = [limit.words for limit in self.limits if not limit.holds(value)]
        if isinstance(value, float) and not math.isfinite(value):
            right.append("finite")
        if right:
            raise UserError(f"setting {self.name} is {value}; it must be {right[0]}")

    def read(self, value: Any) -> Any:
        """A value given as text, say on the command line, as the kind that the setting holds.

        Raises:
            UserError: it cannot be read so.
        """
        try:
            if self.kind is bool:
                truths = {"true": True, "1": True, "false": False, "0": False}
                return value if isinstance(value, bool) else truths[str(value).lower()]
            if self.kind is int and float(value) != int(float(value)):
                raise ValueError
            return int(float(value)) if self.kind is int else self.kind(value)
        except (ValueError, KeyError, TypeError, OverflowError):
            right = f"{KINDS[self.kind]}, such as {self.default!r}"
            raise UserError(f"setting {self.name} is {value!r}; it must be {right}") from None


@dataclass(frozen=True)
class Settings:
    """Base of every method's settings: a value that an annotation does not allow is refused.

    >>> @dataclass(frozen=True)
    ... class ToySettings(Settings):
    ...     width: Annotated[Count, "of the hidden layers (section 4.1)"] = 512
    >>> describe(ToySettings)[0].meaning
    'of the hidden layers (section 4.1)'
    >>> ToySettings(width=0)
    Traceback (most recent call last):
    crossbit.errors.UserError: setting width is 0; it must be at least 1
    """

    epochs: Annotated[Count, "passes over the rows; fitted in one, so further ones change nothing"] = 1

    def __post_init__(self) -> None:
        for setting in describe(type(self)):
            setting.check(getattr(self, setting.name))

    @property
    def takes_pixels(self) -> bool:
        """Whether pictures go in as pixels, not as vectors."""
        return False


def describe(settings: type[Settings]) -> tuple[Setting, ...]:
    """The settings of a class in the order of its source, inherited ones last."""
    hints = get_type_hints(settings, include_extras=True)
    own = settings.__annotations__
    fields = sorted(dataclasses.fields(settings), key=lambda field: field.name not in own)
    return tuple(_setting(field.name, field.default, hints[field.name]) for field in fields)


def _setting(name: str, default: Any, hint: Any) -> Setting:
    kind, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    meaning = next((note for note in notes if isinstance(note, str)), "")
    limits = tuple(note for note in notes if isinstance(note, Limit))
    return Setting(name, default, meaning, str if choices else kind, limits, choices)


def make_settings(cls: Any, given: Mapping[str, Any]) -> Any:
    """A method's settings with `given` values in place of the defaults; text is read as the setting's kind.

    The key "preset" stands for a named set of values, over which the other ones go.

    Args:
        cls: the method.
        given: values by name.

    Raises:
        UserError: an unknown key or preset (the known ones are listed) or a value that the setting must not have.
    """
    known = {setting.name: setting for setting in describe(cls.Settings)}
    given = dict(given)
    if (preset := given.pop("preset", None)) is not None:
        if preset not in cls.presets:
            raise unknown(f"preset of {cls.name}", str(preset), cls.presets)
        given = {**cls.presets[preset], **given}
    for key in given:
        if key not in known:
            raise unknown(f"setting of {cls.name}", key, known)
    try:
        return cls.Settings(**{key: known[key].read(value) for key, value in given.items()})
    except UserError as error:
        raise UserError(f"{cls.name}: {error}") from None


@dataclass(frozen=True)
class PictureSettings(Settings):
    """How a method takes pictures; the settings of every method with networks inherit these."""

    pictures: Annotated[
        str,
        'pictures go in as "vectors", or as pixels into a small "cnn", the paper\'s "cnn-f", or a network of '
        'torchvision\'s: "vgg16", "resnet18" ...',
    ] = "vectors"
    weights: Annotated[
        str, "file with that network's weights, .pth or .safetensors, or imagenet-vgg-f.mat; else random ones"
    ] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_pictures()

    @property
    def takes_pixels(self) -> bool:
        """Whether pictures go in as pixels."""
        return self.pictures != "vectors"

    def check_pictures(self) -> None:
        """Raise UserError for an unknown network, and for weights without one that takes them."""
        if self.pictures not in (known := ("vectors", *BACKBONES)):
            if not is_installed("torchvision"):
                more = 'for networks of torchvision\'s, such as vgg16, type: pip install "crossbit[torchvision]"'
                raise UserError(f"unknown pictures '{self.pictures}'; known: {', '.join(known)}; {more}")
            check_network(self.pictures)
        if self.weights and self.pictures in ("vectors", "cnn"):
            right = "pictures=cnn-f, or one of torchvision's, such as pictures=vgg16"
            raise UserError(f"weights '{self.weights}' need a network that takes them: set {right}")
