"""kornia's own random transforms, built from specs and drawn a sample at a time."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import kornia.augmentation as kornia
import torch
from torch import Tensor

from p2ptk import Spec, UserError

WHO = "kornia-pipeline"

# These move pixels, though kornia does not count them among its geometric transforms.
BENDING = ("RandomElasticTransform", "RandomFisheye", "RandomThinPlateSpline")
# What a batch shares in kornia, so that each sample has to be changed alone.
SHARED = ("ColorJiggle", "ColorJitter", "RandomChannelDropout", "RandomMotionBlur")
SIZES = "it changes the size: `jitter` crops, and kornia-affine scales"
UNFIT = {
    **dict.fromkeys(
        (
            "CenterCrop",
            "LongestMaxSize",
            "PadTo",
            "RandomCrop",
            "RandomResizedCrop",
            "Resize",
            "SmallestMaxSize",
        ),
        SIZES,
    ),
    "RandomDissolving": "it runs a diffusion model",
    "RandomRain": "its samples draw numbers of different counts",
}
# Parameters that have no meaning where each sample draws for itself.
OWN = ("same_on_batch", "keepdim", "p_batch")
DRAWN_FOR = 3  # channels of the noise that kornia draws
GATE, INPUT = "batch_prob", "forward_input_shape"  # what kornia calls them


@lru_cache(maxsize=1)
def known() -> dict[str, type]:
    """kornia's transforms of single images that keep their size, by name."""
    found = {}
    for name, value in vars(kornia).items():
        fits = inspect.isclass(value) and issubclass(value, kornia.AugmentationBase2D)
        if fits and name not in UNFIT and not name.endswith("Base2D"):
            found[name] = value
    return found


@dataclass(frozen=True)
class Transform:
    """One of kornia's transforms, and the same by nearest neighbour.

    p: the share of samples that it changes. moves: whether it changes places, and not colours.
    fills: whether it leaves what comes in from outside empty, since kornia gives it no padding.
    """

    name: str
    p: float
    smooth: Any
    nearest: Any | None
    moves: bool
    fills: bool

    def sample(self, size: tuple[int, int]) -> dict[str, Tensor]:
        """One sample's parameters, from torch's global numbers."""
        wanted = torch.rand(()) < self.p
        drawn = self.smooth.forward_parameters(torch.Size((1, DRAWN_FOR, *size)))
        own = {name: torch.as_tensor(x) for name, x in drawn.items() if name != INPUT}
        return {**own, GATE: wanted}

    def apply(self, x: Tensor, params: dict[str, Tensor], nearest: bool = False) -> Tensor:
        """N C H W; params as `sample` gave them, stacked."""
        gate = params[GATE].view(-1, 1, 1, 1)
        rest = {
            name: self._fitted(name, value, x) for name, value in params.items() if name != GATE
        }
        changed = self._run(x, rest, nearest)
        if self.fills:
            inside = self._run(torch.ones_like(x[:, :1]), rest, False) > 1 - 1e-4
            gate = gate & inside
        return torch.where(gate, changed, x)

    def _run(self, x: Tensor, params: dict[str, Tensor], nearest: bool) -> Tensor:
        transform = self.nearest if nearest else self.smooth
        if self.name in SHARED:
            rows = range(len(x))
            alone = [{name: value[i] for name, value in params.items()} for i in rows]
            return torch.cat([_call(transform, x[i : i + 1], alone[i]) for i in rows])
        return _call(transform, x, {name: value.flatten(0, 1) for name, value in params.items()})

    def _fitted(self, name: str, value: Tensor, x: Tensor) -> Tensor:
        """Noise was drawn for three channels: grey pictures take the first."""
        if value.ndim != 5 or value.shape[2] != DRAWN_FOR or x.shape[1] == DRAWN_FOR or self.moves:
            return value
        if x.shape[1] != 1:
            raise UserError(
                f"{WHO}: {self.name} draws its {name} for 1 or 3 channels, not for {x.shape[1]}."
            )
        return value[:, :, :1]


def _call(transform: Any, x: Tensor, params: dict[str, Tensor]) -> Tensor:
    """kornia's transform of every image: whether it is wanted is decided elsewhere.

    kornia looks at these two on the host, so they are made there.
    """
    own = {GATE: torch.ones(len(x)), INPUT: torch.tensor(x.shape)}
    try:
        changed: Tensor = transform(x, params={**params, **own})
    except (ValueError, TypeError, AssertionError) as error:
        name, shape = type(transform).__name__, "x".join(map(str, x.shape[1:]))
        raise UserError(
            f"{WHO}: {name} does not take pictures of {shape}: {_told(error)}"
        ) from error
    return changed


def build(spec: Spec) -> Transform:
    """A transform from its spec. Raises UserError for a wrong name, parameter or value."""
    target = _find(spec.name)
    signature = inspect.signature(target).parameters
    open_to = [name for name in signature if name not in OWN]
    given = {}
    for name, value in spec.params.items():
        if name not in open_to:
            raise UserError(
                f"{WHO}: kornia's {spec.name} has no parameter {name!r}: {_near(name, open_to)}"
            )
        given[name] = _value(value, signature[name].annotation)
    p = given.pop("p", signature["p"].default)
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise UserError(f"{WHO}: p of {spec.name} should be from 0 to 1 (got {p!r}).")
    given["p"] = 1.0  # so that kornia draws as much for every sample
    if "padding_mode" in signature and "padding_mode" not in given:
        given["padding_mode"] = "reflection"
    moves = issubclass(target, kornia.GeometricAugmentationBase2D) or spec.name in BENDING
    smooth = _made(target, given)
    nearest = None
    if moves:
        same = "resample" not in signature and spec.name not in BENDING  # pixels keep their values
        can = "resample" in signature
        nearest = (
            smooth if same else _made(target, {**given, "resample": "nearest"}) if can else None
        )
    flips = ("RandomHorizontalFlip", "RandomVerticalFlip")
    fills = moves and "padding_mode" not in signature and spec.name not in flips
    return Transform(spec.name, float(p), smooth, nearest, moves, fills)


def _made(target: type, given: dict[str, Any]) -> Any:
    try:
        made = target(**given)
        with global_numbers(torch.Generator()):
            made.forward_parameters(torch.Size((1, DRAWN_FOR, 64, 64)))
    except Exception as error:
        raise UserError(f"{WHO}: kornia refuses {target.__name__}: {_told(error)}") from error
    return made


def _find(name: str) -> type:
    if name in UNFIT:
        raise UserError(f"{WHO} can't use kornia's {name}: {UNFIT[name]}.")
    if name not in known():
        raise UserError(f"{WHO}: kornia has no transform {name!r}: {_near(name, known())}")
    return known()[name]


def _value(value: Any, annotation: Any) -> Any:
    """As kornia takes it: lists are tuples, `none` is None; some ranges must be tensors."""
    if value == "none":
        return None
    if not isinstance(value, (list, tuple)):
        return value
    if annotation in (Tensor, "Tensor", "torch.Tensor"):
        return torch.tensor(value)
    return tuple(_value(item, None) for item in value)


def _near(word: str, choices: Sequence[str] | dict[str, Any]) -> str:
    near = difflib.get_close_matches(word, list(choices), n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"choose from {', '.join(sorted(choices))}."


def _told(error: Exception) -> str:
    """An exception's first line as the end of a sentence."""
    lines = str(error).strip().splitlines()
    text = lines[0].strip().rstrip(".") if lines else type(error).__name__
    return f"{text}."


@contextmanager
def global_numbers(generator: torch.Generator) -> Iterator[None]:
    """Let torch's global numbers on the CPU be those of a generator, and put them back after."""
    kept = torch.get_rng_state()
    torch.set_rng_state(generator.get_state())
    try:
        yield
    finally:
        torch.set_rng_state(kept)
