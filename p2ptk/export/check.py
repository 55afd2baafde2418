"""Whether an exported file gives what the generator gives in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from p2ptk.errors import P2ptkError
from p2ptk.export.pictures import Pictures, as_given, as_seen
from p2ptk.export.trace import Traced, example
from p2ptk.translation.codec import Codec
from p2ptk.weights import ModelHeader

SHOWN = 2  # pictures that are compared

# Of pictures in 0..1 (values: of their range); of labels, the share of pixels.
TOLERANCE = {False: 1e-4, True: 5e-2}  # by `half`
Run = Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Checked:
    """The largest difference between an exported file and PyTorch, and on what it was found.

    difference: of pictures in 0..1, values as a share of their range, labels as the share of
        pixels that got another class.
    """

    difference: float
    tolerance: float
    pictures: int
    on: str


def compare(
    run: Run,
    reference: nn.Module,
    pictures: Pictures,
    header: ModelHeader,
    codec: Codec,
    traced: Traced,
    sources: Sequence[Tensor],
    on: str,
    *,
    half: bool,
) -> Checked:
    """Run a file on pictures, alone and in batches, in the trained size and in another one.

    run: the file. reference: of `load_generator`, under the same rule; or, where noise is an input,
        `pictures` itself in float32, since the file's masks are not torch's.
    sources: N C H W as the file takes them. on: what they are.
    Raises P2ptkError where they differ by more than the tolerance.
    """
    seed = None if pictures.seed is None else torch.tensor([7])
    batches = list(sources)
    if traced.any_batch:
        batches.append(torch.cat([batches[0].flip(-1), batches[-1]]))
    if traced.size is None:
        down, across = header.size_multiple
        height, width = batches[0].shape[-2:]
        batches.append(example(pictures, header, 1, (height + down, width + 2 * across)))
    worst = 0.0
    side = pictures.image_side
    for batch in batches:
        with torch.no_grad():
            if seed is None:
                x = as_seen(batch, pictures.source_side)
                expected = as_given(codec.restore(x, reference(x)), side)
            else:
                expected = reference(batch, seed)
        found = run(batch, seed)
        if found.shape != expected.shape:
            raise P2ptkError(
                f"the exported model gives {tuple(found.shape)} where PyTorch gives "
                f"{tuple(expected.shape)}: nothing was written."
            )
        if side.kind == "labels":
            off = (found != expected).float().mean().item()
        else:
            low, high = side.range or (0.0, 1.0)
            off = (found - expected).abs().max().item() / (high - low)
        worst = max(worst, off if off == off else float("inf"))
    checked = Checked(worst, TOLERANCE[half], len(sources), on)
    if worst > checked.tolerance:
        raise P2ptkError(
            f"the exported model differs from PyTorch by {worst:.2g} on {on}, more than "
            f"{checked.tolerance:g}: nothing was written."
        )
    return checked


def real_sources(
    model: Path, codec: Codec, pictures: Pictures, size: tuple[int, int], given: Sequence[Path]
) -> tuple[list[Tensor], str]:
    """Pictures to compare on, each 1 C H W as the file takes them, and what they are.

    given: image files or folders. Without any, the validation sources of the model's run folder;
    where they are not at hand, random numbers.
    Raises UserError for files that are no such pictures.
    """
    if given:
        from p2ptk.datasets.images import read_image
        from p2ptk.translation.inputs import find_inputs

        files = [job.path for job in find_inputs(given, Path())][:SHOWN]
        found = []
        for file in files:
            raw, side = codec.fit(read_image(file))
            found.append(as_given(codec.source(raw[None], side), pictures.source_side))
        return found, ", ".join(file.name for file in files)
    seen = _validation(model.parent, codec, size)
    if seen:
        sides = pictures.source_side
        return [as_given(x, sides) for x in seen], "validation pairs of its run"
    header = codec.header
    return [example(pictures, header, 1, size)], "random numbers"


def _validation(folder: Path, codec: Codec, size: tuple[int, int]) -> list[Tensor]:
    """Sources of the run's validation pairs, 1 C H W in [-1, 1]; none where they are not there."""
    from p2ptk.config import RunConfig
    from p2ptk.data import build_data
    from p2ptk.layers import read_toml
    from p2ptk.pairs.batch import fixed_batch

    try:
        config = RunConfig.of(read_toml(folder / "run.toml"))
        data = build_data(config)
        batches = [
            fixed_batch(
                data.val,
                [number],
                data.dataset.a,
                data.dataset.b,
                direction=codec.header.direction,
                size=size,
                augmentations=codec.augmentations,
                device=codec.device,
            )
            for number in range(min(SHOWN, len(data.val)))
        ]
    except (OSError, P2ptkError):
        return []
    return [batch.source for batch in batches]


def words(checked: Checked, against: str) -> str:
    """A check in one line."""
    count = f"{checked.pictures} picture{'s' * (checked.pictures != 1)}"
    return (
        f"checked with {against} on {count} ({checked.on}): largest difference "
        f"{checked.difference:.1e}, tolerance {checked.tolerance:g}"
    )


def facts_of(checked: Checked) -> dict[str, Any]:
    return {"difference": checked.difference, "tolerance": checked.tolerance, "on": checked.on}
