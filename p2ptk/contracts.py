"""What each kind of component must do: the protocols, and the values that pass between parts.

Tensors are float, N C H W, in [-1, 1] unless a line says otherwise. Nothing here imports torch
at run time, so that listing components stays quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

KINDS = (
    "generator",
    "encoder",
    "discriminator",
    "loss",
    "dataset",
    "augmentation",
    "metric",
    "launcher",
    "tracker",
    "recipe",
    "command",
)

# What the core passes when it builds a component: these are not parameters a user can set.
SUPPLIED: dict[str, tuple[str, ...]] = {
    "generator": ("source_channels", "target_channels"),
    "encoder": ("source_channels",),
    "discriminator": ("source_channels", "target_channels"),
    "tracker": ("folder",),
}

# Where an augmentation may act; `Augmentation` says what each means.
STAGES = ("derive", "data", "judge")

# Keys of a component's table that belong to the core, so no component may call a parameter so.
RESERVED = ("name", "weight", "as", "stage", "every")


@dataclass(frozen=True)
class Side:
    """What one side of a pair holds.

    kind: `image` (colours or grey), `labels` (a class a pixel; one-hot on the device, resized by
        nearest neighbour) or `values` (measurements).
    range: the values that map to -1 and 1; None means the dtype's own range (uint8: 0..255,
        uint16: 0..65535). Float data needs one.
    palette: RGB colour of each class, for labels stored as colours.
    classes: number of classes of `labels`.
    """

    kind: Literal["image", "labels", "values"] = "image"
    range: tuple[float, float] | None = None
    palette: tuple[tuple[int, int, int], ...] | None = None
    classes: int | None = None

    def __post_init__(self) -> None:
        if self.kind == "labels" and not (self.classes or self.palette):
            raise ValueError("a side of labels needs `classes` or a `palette`")

    @property
    def depth(self) -> int | None:
        """Channels the networks see for one-hot labels; None where the file decides."""
        return (self.classes or len(self.palette or ())) if self.kind == "labels" else None


class Pair(NamedTuple):
    """One aligned pair as a dataset gives it: `source` is always A, `target` always B.

    source, target: CPU tensors C H W, uint8, uint16 or float, each in its own size and dtype
        (labels: 1 H W of class numbers).
    name: unique within the split; used for file names.
    extra: further tensors C H W on the same grid (masks, instances); they get the same geometry
        and reach losses and metrics as N C H W.
    """

    source: Tensor
    target: Tensor
    name: str
    extra: Mapping[str, Tensor] = {}


class Judgement(NamedTuple):
    """What a discriminator says of images.

    logits: one N 1 h w map a scale; never probabilities.
    features: for each scale the intermediate feature maps, shallow to deep.
    """

    logits: tuple[Tensor, ...]
    features: tuple[tuple[Tensor, ...], ...]


@runtime_checkable
class Generator(Protocol):
    """An `nn.Module` built with `source_channels, target_channels`.

    Optional attributes: `bounded = False` where the output is not confined to [-1, 1];
    `capturable = False`, for any network, where a CUDA graph can't hold its forward and backward.
    """

    size_multiple: int | tuple[int, int]

    def forward(self, source: Tensor) -> Tensor:
        """source: N source_channels H W -> N target_channels H W, in [-1, 1]."""


@runtime_checkable
class Encoder(Protocol):
    """An `nn.Module` built with `source_channels`; for `unet:encoder=SPEC`."""

    channels: Sequence[int]
    strides: Sequence[int]

    def forward(self, source: Tensor) -> Sequence[Tensor]:
        """Features from fine to coarse; feature i has channels[i] at 1/strides[i] of H and W."""


@runtime_checkable
class Discriminator(Protocol):
    """An `nn.Module` built with `source_channels, target_channels`.

    receptive_field: pixels a side that one logit depends on, the most of any scale; norms, whose
        statistics reach further, left out. None where that is the whole image, whatever its size.
    Optional: `conditional = False` where the source makes no difference.
    """

    receptive_field: int | None

    def forward(self, source: Tensor, image: Tensor) -> Judgement:
        """Judge `image` as the translation of `source`."""


class Loss(Protocol):
    """Any object with `generator(t)` and/or `discriminator(t)`, each giving a finite scalar.

    The core multiplies by `weight`. Optional attributes: `input_gradients = True` where the loss
    differentiates D by its input (the core judges in float32, on inputs that require gradients);
    `every = 16` for lazy terms (called on every 16th step and scaled by 16);
    `adversarial`, whether it asks the discriminator (by default: whether it has `discriminator`);
    `needs_own_pair = True` where D's phase sets a fake against its own target (no `train.pool`);
    `trainable = "generator" | "discriminator"` when a module's parameters join that optimiser.
    """

    def generator(self, t: Translation) -> Tensor: ...

    def discriminator(self, t: Translation) -> Tensor: ...


class Split(Protocol):
    """A sequence of pairs that decodes when indexed and can be sent to worker processes."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Pair: ...


class Dataset(Protocol):
    """Pairs by split. `a` and `b` say what the two sides hold.

    A split may also have `names` (the pairs' names without decoding), `sizes() -> (H, W) of each
    pair`, and `files() -> paths` of all files that its pairs are made of, in their order: decoded
    pairs are then kept between runs, until a file's path, size or time changes, or the dataset's
    parameters or version. What decodes to something else each time must not have `files`.

    For sets that do not fit in memory: `names` may be any sequence, as one that looks each name up
    when asked. `blocks() -> (lengths, window)`, or None, says that the pairs lie in blocks of so
    many consecutive ones, each read best in one go, as the shards of an archive: training then
    shuffles blocks, and mixes the pairs of about `window` of them, rather than all with all.
    """

    a: Side
    b: Side

    def splits(self) -> tuple[str, ...]: ...

    def split(self, name: str) -> Split: ...


RngOf = Callable[[int], "torch.Generator"]


class Augmentation(Protocol):
    """Random changes to a batch, as a pure function of explicitly drawn numbers.

    stage: "derive" makes the source from the target before anything else: the source comes as a
        copy of the target, and of several augmentations each changes what the one before made;
        "data" comes next; "judge" is differentiable and is applied to every image that D sees in a
        step.
    Optional, for any stage: `sides(source: Side, target: Side)`, told once, before step 0, what
        the two sides hold, so that labels are resampled by nearest neighbour; it raises UserError
        where the augmentation has no meaning for them. `load_size(size) -> (H, W)`, the size the
        feed resizes to when the augmentation crops. `geometry(x, params, nearest) -> x`, its
        geometric part alone, for extra tensors.
    Optional, for "derive": `restore(source, image) -> image`, where `apply` changes the target as
        well, or where a translation is to be finished by what is known of the source: it makes a
        picture, as the data holds them, from the source and an image as the networks have it.
    Optional, for "judge": `observe(judged_real: Judgement) -> dict of scalars`, called without
        gradient at the end of each step in which D judged real images (logits only, features left
        out); what it returns is logged as KEY_NAME. Nothing in it may wait for the device. What it
        remembers are buffers of `state`, an `nn.Module`: moved to the device, kept in checkpoints.
    """

    stage: Literal["derive", "data", "judge"]

    def sample(
        self, numbers: Sequence[int], size: tuple[int, int], rng: RngOf
    ) -> dict[str, Tensor]:
        """Draw CPU tensors with first dimension len(numbers); `rng(n)` is sample n's generator."""

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Change both sides by the same geometry; pure, batched, on the tensors' device."""


class Metric(Protocol):
    """Accumulates over batches; the result does not depend on how images are batched.

    Optional attributes: `higher_is_better`, a bool or a dict of them by value; `values`, by name
    the score of each image in their order (the mean over images then gets a bootstrap interval,
    and per_image.csv a column); `intervals()`, by name (low, high) or None, where the value is no
    mean over images; `protocol`, how the value is defined, in a line (else the docstring's first
    paragraph); `notes() -> list of sentences` a reader of the values should know;
    `prepare(setting)`, called once before the first batch with what `metrics/setting.py` says;
    `samples = n` with `update_samples(fakes, target, source)` in place of `update`, where several
    translations of each source are compared: fakes is n N C H W, each of the n with other noise.
    Raises UserError where the images don't suit it, Unavailable where its weights or a package
    can't be had: it is then left out, with that sentence, and the others go on.
    """

    def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None: ...

    def compute(self) -> dict[str, float]:
        """Values by name; a name carries its protocol."""


class Tracker(Protocol):
    """Mirrors what a run logs; called on rank 0 only."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None: ...

    def images(self, step: int, images: Mapping[str, Tensor]) -> None: ...

    def close(self) -> None: ...


class Launcher(Protocol):
    """Starts the jobs of a study, and gives their results as they end.

    It decides where and when. `job()` runs a job in a process of its own, with a log, and gives its
    result, also where the run fails; `job({"CUDA_VISIBLE_DEVICES": "1"})` sets variables for that
    process. Jobs can be pickled, to be called on another machine that sees the study's folder.
    `job.stop()` has a call in another thread end soon, with a checkpoint. `job.command` is the
    command line alone, `job.folder` where the run lives: `STUDY/runs/KEY`.
    When the iterator is closed, or interrupted, what runs is to be stopped. Results that are not
    given are gathered from the folders.
    Optional attribute: `hands_over = True` where it gives no results at all: the jobs run later.
    """

    def launch(self, jobs: Sequence[Callable[..., Any]]) -> Iterator[Any]: ...


@dataclass
class Translation:
    """What losses see: one object a phase.

    `fake` is detached in phase D. `judged_real` and `judged_fake` are made when first asked for,
    at most once a phase; in phase G the discriminator is frozen and `judged_real` carries no
    gradient. `judge(source, image)` judges anything else, such as interpolates.
    """

    step: int
    epoch: float
    phase: Literal["D", "G"]
    rng: torch.Generator
    source: Tensor
    target: Tensor
    fake: Tensor
    extra: Mapping[str, Tensor]
    generator: torch.nn.Module
    judge: Callable[[Tensor, Tensor], Judgement]
    logged: dict[str, Tensor] = field(default_factory=dict)
    _judged: dict[str, Judgement] = field(default_factory=dict)

    @property
    def judged_fake(self) -> Judgement:
        if "fake" not in self._judged:
            self._judged["fake"] = self.judge(self.source, self.fake)
        return self._judged["fake"]

    @property
    def judged_real(self) -> Judgement:
        if "real" not in self._judged:
            import torch

            with torch.set_grad_enabled(self.phase == "D" and torch.is_grad_enabled()):
                self._judged["real"] = self.judge(self.source, self.target)
        return self._judged["real"]

    def has_judged(self, which: Literal["real", "fake"]) -> bool:
        """Whether the discriminator was asked for that judgement in this phase."""
        return which in self._judged

    def log(self, name: str, value: Tensor) -> None:
        """Have a scalar written to metrics.jsonl beside the losses."""
        self.logged[name] = value.detach()
