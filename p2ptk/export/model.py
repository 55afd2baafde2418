"""From a model file to one of another format, checked before it is put in its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

import p2ptk
from p2ptk.contracts import Side
from p2ptk.errors import UserError
from p2ptk.export.check import Checked, compare, real_sources
from p2ptk.export.formats import OPSET, metadata_of, to_onnx, to_torch
from p2ptk.export.pictures import Pictures, dtype_of
from p2ptk.export.trace import trace
from p2ptk.files import explained, replacing
from p2ptk.translation.codec import Codec
from p2ptk.weights import ModelHeader, find_model, load_generator, read_header

Noise = Literal["auto", "off", "seed"]


@dataclass(frozen=True)
class Exported:
    """What was written.

    facts: also in the file, as metadata `p2ptk_export`. notes: what does not come along.
    """

    path: Path
    facts: dict[str, Any]
    checked: Checked
    notes: tuple[str, ...]


def export_model(
    model: str | Path,
    out: str | Path,
    format: Literal["onnx", "torch"],
    *,
    half: bool = False,
    size: tuple[int, int] | None = None,
    opset: int = OPSET,
    noise: Noise = "auto",
    check: tuple[Path, ...] = (),
) -> Exported:
    """Write a model file, or a run folder's newest weights, in another format.

    The file takes and gives pictures as `p2ptk.export.pictures.Pictures` says, under the header's
    inference rule, and is compared with `load_generator` before it is put in its place.

    half: keep weights as float16. size: fix height and width. noise: "seed" makes dropout's noise
    an input, "off" leaves dropout out, "auto" is "seed" where the header's rule keeps dropout on.
    check: images or folders to compare on.
    Raises UserError where the generator has no such form, P2ptkError where the file differs.
    """
    path = find_model(model)
    header = read_header(path)
    _need_multiple(header, size)
    dropout = {"auto": header.inference_dropout, "off": False, "seed": True}[noise]
    generator = load_generator(path, dropout=dropout)
    notes = []
    codec = Codec(header, torch.device("cpu"), size=size or header.size, derive=False)
    plain = Pictures(generator, header, codec.augmentations).eval()
    if noise == "seed" and plain.seed is None:
        raise UserError("this generator has no dropout, so it has no noise to seed.")
    if codec.augmentations:
        notes.append("it takes the source itself: making one from a photo is not exported")
    pictures = Pictures(generator, header, codec.augmentations, half=True).eval() if half else plain
    traced = trace(pictures, header, size)
    if traced.refused:
        what = "one picture" if traced.size is None else "a fixed size"
        notes.append(f"it takes {what} at a time, for torch can't trace more: {traced.refused}")
    write = to_torch(traced) if format == "torch" else to_onnx(traced, opset, bool(plain.seed))

    facts = {
        "format": 1,
        "version": p2ptk.__version__,
        "generator": str(header.spec),
        "source": _picture(plain.source_side, header.source_channels),
        "image": _picture(plain.image_side, _channels(header)),
        "size": list(traced.size or header.size),
        "multiple": list(header.size_multiple),
        "any_size": traced.size is None,
        "any_batch": traced.any_batch,
        "seed": plain.seed is not None,
        "norm": header.inference_norm,
        "half": half,
        **({"opset": opset} if format == "onnx" else {"torch": torch.__version__}),
    }
    out = Path(out)
    with explained(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as place:
        run = write(place, metadata_of(header.model_dump_json(), facts))
        sources, on = real_sources(path, codec, plain, traced.size or header.size, check)
        reference = plain if plain.seed is not None else generator
        checked = compare(run, reference, plain, header, codec, traced, sources, on, half=half)
    return Exported(out, facts, checked, tuple(notes))


def _need_multiple(header: ModelHeader, size: tuple[int, int] | None) -> None:
    if size is None:
        return
    for length, multiple in zip(size, header.size_multiple, strict=True):
        if length % multiple:
            near = max(round(length / multiple), 1) * multiple
            raise UserError(
                f"--size: this generator takes multiples of {multiple} pixels, and {length} is "
                f"none: write {near}."
            )


def _channels(header: ModelHeader) -> int:
    return header.photo_channels or header.target_channels


def _picture(side: Side, channels: int) -> dict[str, Any]:
    """A side in plain values, for whoever runs the file."""
    labels = side.kind == "labels"
    return {
        "kind": side.kind,
        "channels": 1 if labels else channels,
        "dtype": str(dtype_of(side)).removeprefix("torch."),
        "range": None if labels else list(side.range or (0.0, 1.0)),
        "palette": [list(colour) for colour in side.palette] if side.palette else None,
        "classes": side.depth,
    }
