"""State dicts that other programs saved: tensors are read, and nothing is ever run.

The only place where p2ptk opens a pickle, and only with torch's `weights_only=True`, which knows
tensors, numbers, texts and their containers, and refuses all else.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from p2ptk.errors import UserError, did_you_mean
from p2ptk.tensors import load_tensors, read_table

# What wrappers put in front of every name: DataParallel, torch.compile, a model that holds both.
PREFIXES = ("module.", "_orig_mod.", "netG.", "netD.", "generator.", "discriminator.")

_PICKLE = (b"PK\x03\x04", b"\x80")  # torch's archive, or a bare pickle as of old
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def read_state(path: str | Path, key: str | None = None) -> dict[str, Tensor]:
    """The tensors of a saved network by name, without wrappers' prefixes, floats as float32.

    path: a file of torch.save, or a safetensors file of no p2ptk model. It may hold a state dict,
        or tables of which some are state dicts.
    key: which table, where there are several; or what the names of the tensors wanted begin with.
    Raises UserError for anything else; code in the file is never run.
    """
    path = Path(path)
    state = _choose(_read(path), key, path)
    for prefix in _prefixes(state):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except FileNotFoundError:
        raise UserError(f"there is no file {str(path)!r}.") from None
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from None
    if not head.startswith(_PICKLE):
        about = read_table(path).get("__metadata__", {})
        if "p2ptk" in about:
            raise UserError(f"{path} is a model of p2ptk already: use it as it is.")
        return load_tensors(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats, which this is here to read
            return torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # a strange file makes torch raise almost anything
        raise UserError(_refusal(path, str(error))) from None


def _refusal(path: Path, words: str) -> str:
    found = _GLOBAL.search(words)
    if found or "TorchScript" in words or "Weights only" in words:
        what = f" ({found[1]})" if found else ""
        return (
            f"{path} holds more than tensors{what}, and p2ptk runs no code of a file: where it was "
            "made, save the weights alone with torch.save(net.state_dict(), FILE)."
        )
    return f"{path} is damaged or was not written by torch.save."


def _choose(found: Any, key: str | None, path: Path) -> dict[str, Tensor]:
    """The one state dict in what was read: the whole, or a table in it, at most two deep."""
    states = dict(_states(found))
    if key is not None:
        if key in states:
            return states[key]
        named = [
            x for state in states.values() for x in state.items() if x[0].startswith(f"{key}.")
        ]
        if not named:
            raise UserError(f"{path} has no state dict {key!r}: {did_you_mean(key, states)}")
        return {name.removeprefix(f"{key}."): tensor for name, tensor in named}
    if not states:
        held = ", ".join(map(repr, list(found)[:5])) if isinstance(found, Mapping) else ""
        shown = f"it is a table of {held}" if held else f"it is a {type(found).__name__}"
        raise UserError(f"{path} holds no state dict, that is tensors by name: {shown}.")
    if len(states) > 1:
        names = ", ".join(states)
        raise UserError(f"{path} holds {len(states)} state dicts: name one with --key, of {names}.")
    return next(iter(states.values()))


def _states(found: Any, at: str = "") -> Iterator[tuple[str, dict[str, Tensor]]]:
    if not isinstance(found, Mapping) or at.count(".") > 1:
        return
    if found and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in found.items()):
        yield at, dict(found)
        return
    for name, value in found.items():
        if isinstance(name, str):  # an optimiser keeps its tensors under numbers
            yield from _states(value, f"{at}.{name}" if at else name)


def _prefixes(state: Mapping[str, Tensor]) -> Iterator[str]:
    """Prefixes that all names share, from the outside in."""
    names = list(state)
    while shared := next((p for p in PREFIXES if all(n.startswith(p) for n in names)), None):
        yield shared
        names = [name.removeprefix(shared) for name in names]
