"""Training state on disk: safetensors and one JSON, whole or not there, never pickle.

    RUN/checkpoints/000400/{generator,discriminator,ema,optimizers,extras}.safetensors, state.json

`state.json` holds the SHA-256 of each file. A checkpoint counts when it is there and all agree.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import p2ptk
from p2ptk.errors import UserError
from p2ptk.files import remove_folder, remove_strays, replacing, sha256, write_atomically
from p2ptk.tensors import load_tensors, save_tensors, shape_of

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

FORMAT = 1
STATE = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint: every file is there and has the sum that was written down.

    state: what the trainer gave to `save_checkpoint`. names: the groups of tensors it holds.
    """

    folder: Path
    step: int
    state: dict[str, Any]
    names: tuple[str, ...]

    def load(self, name: str) -> dict[str, Tensor]:
        """One group of tensors, such as `generator`, on the CPU. Raises UserError if not held."""
        if name not in self.names:
            raise UserError(f"{self.folder} holds no {name!r}, only {', '.join(self.names)}.")
        return load_tensors(self.folder / f"{name}.safetensors")


def save_checkpoint(
    folder: str | Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    keep: int,
) -> Path:
    """Write a checkpoint into a run folder and delete older ones; gives the checkpoint's folder.

    tensors: groups by name, one file each. state: anything JSON holds.
    keep: how many whole checkpoints stay, this one included; at least 1.
    Raises P2ptkError where it can't be written; those already there are then untouched.
    """
    root = Path(folder) / "checkpoints"
    root.mkdir(parents=True, exist_ok=True)
    # This folder is the trainer's alone, the run folder is not: `p2ptk report` writes there too.
    remove_strays(root)
    remove_strays(folder, older_than=3600)
    final = _place(root, step)
    with replacing(final) as place:
        place.mkdir()
        for name, group in tensors.items():
            save_tensors(place / f"{name}.safetensors", group)
        head = {
            "format": FORMAT,
            "version": p2ptk.__version__,
            "step": step,
            "files": _sums([place / f"{name}.safetensors" for name in tensors]),
            "sum": _sum_of(state),
        }
        write_atomically(place / STATE, json.dumps({**head, "state": dict(state)}).encode())
    prune_checkpoints(root, keep)
    return final


def newest_checkpoint(folder: str | Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint of a run folder, or None; and a sentence for each one skipped.

    Raises UserError where the newest was written in a newer format.
    """
    notes: list[str] = []
    for *_, place in reversed(_numbered(Path(folder) / "checkpoints")):
        checkpoint = read_checkpoint(place)
        if isinstance(checkpoint, Checkpoint):
            return checkpoint, notes
        notes.append(checkpoint)
    return None, notes


def read_checkpoint(place: Path) -> Checkpoint | str:
    """One checkpoint's folder, verified, or the sentence that says how it is damaged."""
    damaged = f"checkpoint {place} is damaged and skipped:"
    try:
        table = json.loads((place / STATE).read_text("utf-8"))
        written = table["format"]
        if written > FORMAT:
            raise UserError(
                f"{place} has format {written}, written by p2ptk {table.get('version')}; this is "
                f"p2ptk {p2ptk.__version__}: upgrade it to {table.get('version')} or newer."
            )
        step, sums, state = int(table["step"]), dict(table["files"]), dict(table["state"])
        if table.get("sum", _sum_of(state)) != _sum_of(state):  # early ones have none
            raise ValueError("it was changed")
        if not all(re.fullmatch(r"[\w-]+\.safetensors", name) for name in sums):
            raise ValueError("it names files of elsewhere")
    except FileNotFoundError:
        return f"{damaged} it has no {STATE}."
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ):
        return f"{damaged} its {STATE} can't be read."
    missing = [name for name in sums if not (place / name).is_file()]
    if missing:
        return f"{damaged} {missing[0]} is missing."
    try:
        found = _sums([place / name for name in sums])
    except OSError as error:
        return f"{damaged} {error}."
    wrong = [name for name in sums if found[name] != sums[name]]
    if wrong:
        return f"{damaged} the content of {wrong[0]} does not have its SHA-256."
    return Checkpoint(place, step, state, tuple(name.removesuffix(".safetensors") for name in sums))


def optimizer_tensors(
    optimizer: Optimizer, named_parameters: Iterable[tuple[str, nn.Parameter]]
) -> dict[str, Tensor]:
    """An optimiser's state by parameter name: `NAME/exp_avg`, `NAME/step`, ...

    Plain numbers are stored as scalars under `NAME/KEY#int` and the like. Parameter groups are not
    stored: they come from the config.
    """
    import torch

    dtypes = {bool: torch.bool, int: torch.int64, float: torch.float64}
    tensors: dict[str, Tensor] = {}
    for name, parameter in named_parameters:
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, torch.Tensor):
                tensors[f"{name}/{key}"] = value.detach()
            elif type(value) in dtypes:
                number = torch.tensor(value, dtype=dtypes[type(value)])
                tensors[f"{name}/{key}#{type(value).__name__}"] = number
            elif value is not None:
                raise TypeError(f"the optimiser keeps {key!r} as {type(value)}: no tensor")
    return tensors


def restore_optimizer(
    optimizer: Optimizer,
    named_parameters: Iterable[tuple[str, nn.Parameter]],
    tensors: Mapping[str, Tensor],
) -> None:
    """Put the state that `optimizer_tensors` gave into a freshly built optimiser, bit for bit.

    Each tensor takes its parameter's device and memory format; step counters stay on the CPU
    unless the group is fused or capturable, as torch wants them. A parameter without stored
    state starts fresh. Raises UserError for a name or shape that does not fit.
    """
    parameters = dict(named_parameters)
    group_of = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    state: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        owner, _, key = name.rpartition("/")
        parameter = parameters.get(owner)
        if parameter is None or id(parameter) not in group_of:
            raise UserError(f"the checkpoint's optimiser state is for {owner!r}, not trained here.")
        if tensor.dim() and tensor.shape != parameter.shape:
            raise UserError(
                f"the checkpoint's {name!r} is {shape_of(tensor)}, its parameter is "
                f"{shape_of(parameter)}."
            )
        key, _, number = key.partition("#")
        value = tensor.item() if number else _like(tensor, parameter, key, group_of[id(parameter)])
        state.setdefault(owner, {})[key] = value
    for owner, parameter in parameters.items():
        optimizer.state.pop(parameter, None)
        if owner in state:
            optimizer.state[parameter] = state[owner]


def _like(tensor: Tensor, parameter: Tensor, key: str, group: Mapping[str, Any]) -> Tensor:
    import torch

    if key == "step" and not (group.get("fused") or group.get("capturable")):
        return tensor.clone()
    if tensor.shape != parameter.shape:
        return tensor.clone().to(parameter.device)
    return torch.empty_like(parameter, dtype=tensor.dtype, requires_grad=False).copy_(tensor)


def _place(root: Path, step: int) -> Path:
    """Where a step's checkpoint goes: never over a whole one, which must stay until this is whole.

    A resumed run that stops at once saves its step again, as `000400-2`.
    """
    saved = [number for each, number, place in _numbered(root) if each == step and _counts(place)]
    place = root / (f"{step:06d}-{saved[-1] + 1}" if saved else f"{step:06d}")
    if place.exists():
        remove_folder(place)
    return place


def _numbered(root: Path) -> list[tuple[int, int, Path]]:
    """Checkpoint folders with their step and how often it was saved, oldest first."""
    found = []
    for place in root.glob("*"):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", place.name)
        if match and place.is_dir():
            found.append((int(match[1]), int(match[2] or 1), place))
    return sorted(found)


def _counts(place: Path) -> bool:
    return (place / STATE).exists()


def prune_checkpoints(root: Path, keep: int) -> None:
    """Delete all but the newest `keep` steps below `checkpoints`, and earlier savings of each."""
    whole = [(step, place) for step, _, place in _numbered(root) if _counts(place)]
    newest = dict(whole)  # the last saving of each step
    kept = list(newest.values())[-max(keep, 1) :]
    for _, place in whole:
        if place not in kept:
            remove_folder(place)


def _sum_of(state: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(dict(state), sort_keys=True).encode()).hexdigest()


def _sums(files: list[Path]) -> dict[str, str]:
    with ThreadPoolExecutor(4) as pool:  # hashing leaves Python's lock
        return dict(zip([file.name for file in files], pool.map(sha256, files), strict=True))
