"""RunConfig: everything that decides a run, in one validated tree that reads and writes TOML.

The command line's options are made from these fields, so a default stands here and nowhere else.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from p2ptk.errors import UserError
from p2ptk.layers import PARTS, layers_of, listed, merge, name_parts, read_toml
from p2ptk.schema import explain
from p2ptk.specs import Spec

FORMAT = 1

Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
BatchSize = Annotated[Count, BeforeValidator(lambda n: 0 if n == "auto" else n)]
Betas = tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]


def flag(default: Any, name: str, text: str, **more: Any) -> Any:
    """A field that is also a command-line option of its own."""
    return Field(default, description=text, json_schema_extra={"flag": name, **more})


def key(default: Any, text: str) -> Any:
    """A field that `--set` reaches."""
    return Field(default, description=text)


def _size(value: Any) -> Any:
    """256, "256x512" (height x width) or [256, 512] as (height, width)."""
    if isinstance(value, str):
        value = [int(side) if side.strip().isdigit() else side for side in value.split("x")]
    if isinstance(value, int):
        value = [value]
    if not isinstance(value, (list, tuple)):
        return value
    return tuple(value) * 2 if len(value) == 1 else tuple(value)


Pixels = Annotated[int, Field(gt=0, le=65_536)]
Size = Annotated[tuple[Pixels, Pixels], BeforeValidator(_size)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Train(Section):
    """How the networks are updated."""

    epochs: Positive | None = flag(None, "--epochs", "passes over the training pairs")
    steps: Positive | None = flag(None, "--steps", "updates, instead of epochs")
    batch_size: BatchSize = flag(1, "--batch-size", "pairs in an update; auto (0) measures")
    accumulate: Positive = key(1, "split each batch into this many parts, to save memory")
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = key("adam", "the optimiser of both")
    lr: float = flag(2e-4, "--lr", "learning rate of both networks")
    lr_g: float | None = key(None, "the generator's own learning rate")
    lr_d: float | None = key(None, "the discriminator's own learning rate")
    betas: Betas = key((0.5, 0.999), "Adam's decay rates")
    betas_g: Betas | None = key(None, "the generator's own decay rates")
    betas_d: Betas | None = key(None, "the discriminator's own decay rates")
    weight_decay: float = key(0.0, "L2 penalty (adam) or decoupled decay (adamw)")
    weight_decay_g: float | None = key(None, "the generator's own weight decay")
    weight_decay_d: float | None = key(None, "the discriminator's own weight decay")
    schedule: Literal["linear", "constant", "cosine"] = key(
        "linear", "the learning rate's course: linear falls to 0 after `decay_from`"
    )
    decay_from: Fraction = key(0.5, "share of the run after which linear decay begins")
    warmup_steps: Count = key(0, "steps over which the learning rate rises from 0")
    judge: Literal["after", "before"] = key(
        "after", "score G by the discriminator after or before its update of the same step"
    )
    d_steps: Positive = key(1, "discriminator updates a step, each on its own batch")
    d_start: Count = key(0, "first step that uses and trains the discriminator")
    pool: Count = key(0, "earlier translations kept for the discriminator to see; 0 is none")
    ema: Fraction = flag(0.0, "--ema", "decay of the averaged generator weights; 0 is off")
    init: Literal["normal", "xavier", "kaiming", "orthogonal"] = key("normal", "weights at start")
    init_gain: float = key(0.02, "standard deviation (normal) or gain of the initial weights")
    on_nan: Literal["stop", "skip"] = key("stop", "a non-finite loss stops the run or is skipped")
    channels_last: bool = key(True, "keep a map's channels side by side in memory")
    deep_products: bool = key(True, "compute the deepest layers as matrix products on a CPU")
    graph: bool = key(False, "capture the step as a CUDA graph; not yet tried on a GPU")
    sync_norm: bool = flag(
        False, "--sync-norm", "batch norm over all processes' shares of a batch, not each one's own"
    )
    compile: bool = flag(False, "--compile", "compile the networks; a slow start")
    checkpoint_activations: bool = flag(
        False, "--checkpoint-activations", "compute the generator twice, to save memory"
    )

    @model_validator(mode="after")
    def _one_length(self) -> Train:
        if self.epochs and self.steps:
            raise ValueError("give epochs or steps, not both")
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} can't be split in {self.accumulate}")
        return self


class Output(Section):
    """What a run writes, and how often (steps; 0 chooses by the run's length)."""

    log_every: Count = key(0, "steps between lines of metrics.jsonl")
    sample_every: Count = flag(0, "--sample-every", "steps between sample sheets; 0 chooses")
    checkpoint_every: Count = flag(0, "--checkpoint-every", "steps between checkpoints; 0 chooses")
    keep: Positive = key(2, "checkpoints kept")
    evaluate_every: Count = flag(
        0, "--evaluate-every", "steps between evaluations on the validation pairs; 0 is never"
    )
    best: str | None = key(
        None, "the validation metric that best.safetensors is kept by; the first if none"
    )
    samples: Positive = key(6, "validation pairs on a sample sheet")


class Inference(Section):
    """How the generator is used once trained; stored with its weights."""

    norm: Literal["running", "image"] = key(
        "running", "batch norm at test time: running statistics, or each picture's own"
    )
    dropout: bool = key(False, "keep dropout on at test time, as a source of noise")


class RunConfig(Section):
    """A whole run."""

    format: int = key(FORMAT, "version of this file's layout")
    recipe: str | None = key(None, "the recipe that the run began from")
    data: Spec = key(Spec("demo"), "the pairs")
    train_share: Share = flag(
        1.0, "--train-share", "part of the training pairs to learn from, drawn by their names"
    )
    direction: Literal["AtoB", "BtoA"] = flag("AtoB", "--direction", "which side is the source")
    size: Size = flag((256, 256), "--size", "training size: 256, or HEIGHTxWIDTH")
    val_size: Size | None = flag(
        None, "--val-size", "size of validation pictures, where it is not the training size"
    )
    generator: Spec = key(Spec("unet"), "the network that translates")
    discriminator: Spec | None = key(Spec("patchgan"), "the network that judges; none trains alone")
    losses: dict[str, Spec] = key({}, "terms of the objective, by key")
    augmentations: dict[str, Spec] = key({}, "random changes to the pairs, by key")
    trackers: dict[str, Spec] = key({}, "places that metrics are mirrored to, by key")
    metrics: dict[str, Spec] = key({}, "what evaluations during training compute, by key")
    seed: Count = flag(0, "--seed", "decides weights, order, crops and dropout")
    device: str = flag("auto", "--device", "auto, cpu, cuda, cuda:1, mps")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = flag(
        "auto", "--precision", "bf16 where the device is good at it, else fp32"
    )
    deterministic: bool = flag(False, "--deterministic", "same bits on every CUDA run; slower")
    workers: Count | None = key(None, "decoding processes or threads; none chooses")
    cache: bool = flag(True, "--cache/--no-cache", "keep decoded pairs on disk for further runs")
    init: str | None = flag(None, "--init", "model or run folder to take first weights from")
    train: Train = key(Train(), "how the networks are updated")
    output: Output = key(Output(), "what is written, and how often")
    inference: Inference = key(Inference(), "how the generator is used once trained")
    providers: dict[str, str] = key({}, "distribution and version of every component (a record)")
    record: dict[str, Any] = key({}, "what the run found: val pairs, device (a record)")

    @model_validator(mode="after")
    def _readable(self) -> RunConfig:
        if self.format > FORMAT:
            raise ValueError(
                f"format {self.format} was written by a newer p2ptk; this one reads {FORMAT}"
            )
        return self

    @classmethod
    def of(cls, *layers: Mapping[str, Any]) -> RunConfig:
        """Merge layers, the later over the earlier, and validate.

        Raises UserError with one sentence about the first thing that is wrong.
        """
        merged: dict[str, Any] = {}
        for layer in layers:
            merged = merge(merged, layer)
        try:
            return cls.model_validate(name_parts(merged))
        except ValidationError as error:
            raise UserError(_sentence(error)) from None

    @classmethod
    def read(cls, path: str | Path) -> RunConfig:
        """The config of a TOML file, over the recipe that it names (else `pix2pix`)."""
        return cls.of(*layers_of(read_toml(Path(path))))

    def table(self) -> dict[str, Any]:
        """Plain values for TOML; None is left out where the default is None, else "none"."""
        return _plain(self)

    def toml(self) -> str:
        return tomli_w.dumps(self.table())


def options(section: type[BaseModel] = RunConfig, prefix: str = "") -> dict[str, FieldInfo]:
    """Every field by its dotted key, sections walked into."""
    found: dict[str, FieldInfo] = {}
    for name, info in section.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            found.update(options(inner, f"{prefix}{name}."))
        else:
            found[prefix + name] = info
    return found


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "extra_forbidden":
        wrong = ".".join(str(part) for part in first["loc"])
        near = difflib.get_close_matches(wrong, options(), n=1)
        last = difflib.get_close_matches(
            str(first["loc"][-1]), [k.rpartition(".")[2] for k in options()], n=1
        )
        match = near or [k for k in options() if last and k.rpartition(".")[2] == last[0]]
        return f"there is no option {wrong!r}" + (
            f": did you mean {match[0]!r}?" if match else "; `p2ptk run --help` lists them."
        )
    return explain(error)


def _plain(value: Any) -> Any:
    """Values as TOML holds them. None is written only where leaving it out would mean another."""
    if isinstance(value, BaseModel):
        table: dict[str, Any] = {}
        for name, info in type(value).model_fields.items():
            item = getattr(value, name)
            if name in PARTS:
                table[name] = [listed(k, spec) for k, spec in item.items()]
            elif item is not None:
                table[name] = _plain(item)
            elif info.default is not None:
                table[name] = "none"
        return table
    if isinstance(value, Spec):
        return value.table()
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
