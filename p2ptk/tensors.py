"""Tensors by name in safetensors files: written from any device, read with clear refusals."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from p2ptk.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

_LIMIT = 100_000_000  # bytes of a safetensors table; the format's own limit


def save_tensors(
    place: Path, tensors: Mapping[str, Tensor], about: dict[str, str] | None = None
) -> None:
    """Write tensors from any device, memory format or shared storage as safetensors."""
    from safetensors.torch import save_file

    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        cpu = tensor.detach().cpu().contiguous()
        start = cpu.untyped_storage().data_ptr()
        plain[name] = cpu.clone() if start in seen else cpu  # a storage may be written once only
        seen.add(start)
    save_file(plain, place, about)
    # safetensors makes its file private; give it the mode that any new file has here.
    probe = place.with_name("mode")
    probe.touch()
    place.chmod(probe.stat().st_mode)
    probe.unlink()


def load_tensors(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, on the CPU. Raises UserError where it is not whole."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    read_table(Path(path))
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path} can't be read as safetensors: {error}.") from None


def load_matching(
    module: nn.Module, tensors: Mapping[str, Tensor]
) -> tuple[list[str], dict[str, str]]:
    """Load every tensor whose name and shape fit (`--init`).

    Gives the names loaded, and for each name left out, on either side, the reason.
    """
    import torch

    mine = module.state_dict()
    loaded, rest = [], {}
    with torch.no_grad():
        for name, tensor in tensors.items():
            if name not in mine:
                rest[name] = "not in this generator"
            elif mine[name].shape != tensor.shape:
                rest[name] = f"{shape_of(tensor)} in the file, {shape_of(mine[name])} here"
            else:
                mine[name].copy_(tensor)
                loaded.append(name)
    rest.update({name: "not in the file" for name in mine if name not in tensors})
    return loaded, rest


def read_table(path: Path) -> dict[str, Any]:
    """The table at the head of a safetensors file, checked against the file's length.

    Needs no torch. Raises UserError where the file is unreadable, truncated or something else.
    """
    try:
        with path.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            head = file.read(9)
            length = int.from_bytes(head[:8], "little")
            text = b"{" + file.read(max(0, min(length, _LIMIT) - 1))
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from None
    if head[8:] != b"{" or length > _LIMIT:
        if head.startswith((b"PK\x03\x04", b"\x80\x02")):
            raise UserError(
                f"{path} is a PyTorch file; `p2ptk import {path} -G SPEC -o MODEL` converts it."
            )
        raise UserError(f"{path} is {'not a safetensors file' if total else 'empty'}.")
    if 8 + length > total:
        raise UserError(f"{path} is truncated: copy or download it again.")
    try:
        table: dict[str, Any] = json.loads(text)
        entries = [entry for name, entry in table.items() if name != "__metadata__"]
        end = max((entry["data_offsets"][1] for entry in entries), default=0)
        if not all(isinstance(n, int) and n >= 0 for entry in entries for n in entry["shape"]):
            raise ValueError("a shape is none")
        if not isinstance(table.get("__metadata__", {}), dict) or not isinstance(end, int):
            raise ValueError("it is not laid out as safetensors")
    except (ValueError, RecursionError, KeyError, TypeError, IndexError, AttributeError):
        raise UserError(f"{path} is not a safetensors file: its table is damaged.") from None
    if 8 + length + end > total:
        raise UserError(
            f"{path} is truncated: {total} of {8 + length + end} bytes; copy or download it again."
        )
    return table


def shape_of(tensor: Tensor) -> str:
    """64x3x4x4, for messages."""
    return sizes(tensor.shape)


def sizes(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a scalar"
