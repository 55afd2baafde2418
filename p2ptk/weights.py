"""Portable model files: the generator's tensors, and a header that says how to rebuild and use it.

A file is plain safetensors; the header is JSON under the metadata key `p2ptk`. Reading it needs
neither torch nor the code of the generator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

import p2ptk
from p2ptk.contracts import Side
from p2ptk.errors import P2ptkError, UserError, did_you_mean
from p2ptk.files import replacing
from p2ptk.missing import installed
from p2ptk.schema import explain
from p2ptk.specs import Spec
from p2ptk.tensors import load_matching, load_tensors, read_table, save_tensors, sizes

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

FORMAT: Final = 1
__all__ = [
    "ModelHeader",
    "find_model",
    "load_generator",
    "load_matching",
    "load_tensors",
    "missing_providers",
    "read_header",
    "save_generator",
]

MODEL_FILE = "generator.safetensors"  # a run folder's newest weights

Dtype = Literal[
    "bool", "uint8", "uint16", "int8", "int16", "int32", "int64", "float16", "float32", "float64"
]


def _both(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


Size = Annotated[
    tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]], BeforeValidator(_both)
]


class ModelHeader(BaseModel):
    """What a model file says of its generator.

    generator: the resolved spec, as a table.
    source_channels, target_channels: of the network's tensors; one-hot for labels.
    size: height and width of the pictures it was trained for. aspect, scale: width / height of the
        training sources as they came, and `size`'s height as a share of theirs.
    source, target: what the generator maps from and to, `direction` already applied.
    source_dtype, target_dtype: of the training files; translations are written in the latter.
    providers: distribution and version of each component, `{"generator/unet": "p2ptk 0.1.0"}`.
    parent: what the weights were started from (`--init`).
    inference_norm: batch norm at test time by running statistics or by each picture's own.
    inference_dropout: whether dropout stays on at test time.
    derive: specs of the augmentations that make the source from a photo, with their keys as `as`.
    photo_channels: of that photo; `target_channels` where it is left out.
    validation, best_by: of a run's best weights, their values on the validation pairs at this step,
        and the value that they were selected by.
    trained_on, pairs: name of the data, number of training pairs.
    version: of the p2ptk that wrote it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1] = FORMAT
    generator: dict[str, Any]
    source_channels: Annotated[int, Field(gt=0)]
    target_channels: Annotated[int, Field(gt=0)]
    size: Size
    size_multiple: Size = (1, 1)
    direction: Literal["AtoB", "BtoA"] = "AtoB"
    source: Side = Side()
    target: Side = Side()
    source_dtype: Dtype = "uint8"
    target_dtype: Dtype = "uint8"
    providers: dict[str, str] = {}
    step: Annotated[int, Field(ge=0)] = 0
    parent: str | None = None
    inference_norm: Literal["running", "image"] = "running"
    inference_dropout: bool = False
    derive: tuple[dict[str, Any], ...] = ()
    photo_channels: Annotated[int, Field(gt=0)] | None = None
    validation: dict[str, float] = {}
    best_by: str | None = None
    trained_on: str | None = None
    pairs: int | None = None
    aspect: float | None = None
    scale: float | None = None
    version: str = p2ptk.__version__

    @property
    def spec(self) -> Spec:
        return Spec.of(self.generator)


def save_generator(path: str | Path, module: nn.Module, header: ModelHeader) -> None:
    """Write a generator's parameters and buffers with its header, atomically.

    Tensors keep their dtype. Raises P2ptkError where the file can't be written.
    """
    with replacing(path) as place:
        save_tensors(place, module.state_dict(), {"p2ptk": header.model_dump_json()})


def find_model(path: str | Path) -> Path:
    """The model file that a MODEL argument means: a file, or a run folder's newest weights.

    Raises UserError where there is none.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / MODEL_FILE).is_file():
            other = sorted(p.name for p in path.glob("*.safetensors"))
            hint = f"name one of its files: {', '.join(other)}" if other else "is it a run folder?"
            raise UserError(f"{path} holds no {MODEL_FILE}; {hint}")
        return path / MODEL_FILE
    if not path.is_file():
        near = [p.name for p in path.parent.glob("*.safetensors")]
        hint = did_you_mean(path.name, near) if near else "give a run folder or a model file."
        raise UserError(f"there is no model {str(path)!r}: {hint}")
    return path


def read_header(path: str | Path) -> ModelHeader:
    """The header of a model file or run folder, without loading torch or the tensors.

    Raises UserError where the file is missing, truncated, not safetensors, without a header, or
    written in a newer format.
    """
    path = find_model(path)
    text = read_table(path).get("__metadata__", {}).get("p2ptk")
    if not isinstance(text, str):
        raise UserError(
            f"{path} holds tensors but no p2ptk header; "
            f"`p2ptk import {path} -G SPEC -o MODEL` gives it one."
        )
    try:
        table = json.loads(text)
        if not isinstance(table, dict):
            raise ValueError("it is no table")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} has a damaged p2ptk header: {error}.") from None
    written = table.get("format", 1)
    if isinstance(written, int) and written > FORMAT:
        raise UserError(
            f"{path} has format {written}, written by p2ptk {table.get('version', '(unknown)')}; "
            f"this is p2ptk {p2ptk.__version__}, which reads format {FORMAT}: upgrade p2ptk to "
            f"{table.get('version', 'a newer release')} or newer."
        )
    try:
        return ModelHeader.model_validate(table)
    except ValidationError as error:
        raise UserError(f"{path} has a wrong p2ptk header: {explain(error)}") from None


def load_generator(
    path: str | Path,
    device: str | torch.device = "cpu",
    norm: Literal["running", "image"] | None = None,
    dropout: bool | None = None,
) -> nn.Module:
    """A trained generator in eval mode: N source_channels H W -> N target_channels H W, in [-1, 1].

    path: a model file or run folder; H and W must be multiples of its `size_multiple`.
    norm, dropout: override the header's inference rule (see `p2ptk.inference.apply_rule`).
    Raises UserError for a bad file, a plugin that is missing, or tensors that don't fit.
    """
    import torch

    from p2ptk.inference import apply_rule
    from p2ptk.rebuild import rebuilding

    path = find_model(path)
    header = read_header(path)
    # Random first weights are drawn and thrown away: the caller's random numbers stay as they are.
    with torch.random.fork_rng(devices=[]), rebuilding():
        module = _build(path, header)
    _load_exactly(module, load_tensors(path), path)
    module = module.to(device)
    return apply_rule(
        module,
        header.inference_norm if norm is None else norm,
        header.inference_dropout if dropout is None else dropout,
    )


def _build(path: Path, header: ModelHeader) -> nn.Module:
    """The header's generator, not yet with its weights, if the file's tensors fit it.

    A header may name a network that no memory holds: it is tried first without memory for its
    tensors, and ends where it has many more than the file.
    """
    from p2ptk.components import resolve
    from p2ptk.rebuild import bounded_by, without_memory

    shapes = {n: tuple(e["shape"]) for n, e in read_table(path).items() if n != "__metadata__"}
    try:
        generator = resolve("generator", header.spec)
        build = partial(
            generator.build,
            source_channels=header.source_channels,
            target_channels=header.target_channels,
        )
        with bounded_by(len(shapes)):
            sketch = without_memory(build)
            if sketch is not None:
                _need_fit({n: tuple(t.shape) for n, t in sketch.items()}, shapes, path)
            module: nn.Module = build()
    except _Unfit:
        raise
    except P2ptkError as error:
        missing = missing_providers(header.providers)
        if missing:
            raise UserError(f"{path} needs {' and '.join(missing)}.") from error
        raise UserError(f"{path} can't be rebuilt: {error}") from error
    except (RuntimeError, TypeError, MemoryError, OverflowError) as error:
        raise UserError(f"{path} can't be rebuilt: {str(error).splitlines()[0]}.") from error
    return module


def missing_providers(providers: Mapping[str, str]) -> list[str]:
    """What of a header's providers is not installed here, in words that say how to get it."""
    words = []
    for part, provider in providers.items():
        distribution, _, version = provider.partition(" ")
        kind, _, name = part.partition("/")
        whose = f"the {kind} {name!r}"
        if distribution.startswith("local/"):
            stem = distribution.removeprefix("local/")
            words.append(f"{whose} from {stem}.py: pass that file again with --plugin {stem}.py")
        elif distribution == "here":
            words.append(f"{whose}, which the training script registered: register it again")
        elif distribution != "p2ptk" and not installed(distribution):
            words.append(f"{whose} of {distribution} {version}: pip install {distribution}")
    return words


def _load_exactly(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load all tensors, or raise UserError naming the first that does not fit."""
    mine = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    _need_fit(mine, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, path)
    module.load_state_dict(dict(tensors))


class _Unfit(UserError):
    """The tensors of a file are not those of its generator."""


def _need_fit(
    mine: Mapping[str, tuple[int, ...]], given: Mapping[str, tuple[int, ...]], path: Path
) -> None:
    """mine, given: shapes by name, of the generator and of the file. Raises _Unfit."""
    for name, shape in mine.items():
        if name not in given:
            raise _Unfit(f"{path} lacks the tensor {name!r} that its generator has.")
        if given[name] != shape:
            raise _Unfit(
                f"{path} does not fit its generator: {name!r} is {sizes(given[name])} in the "
                f"file and {sizes(shape)} in the generator."
            )
    for name in given:
        if name not in mine:
            raise _Unfit(f"{path} holds the tensor {name!r}, which its generator lacks.")
