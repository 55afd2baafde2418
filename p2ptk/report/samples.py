"""A run's sample sheets taken apart: the same validation pairs, and their outputs through time."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from p2ptk.config import RunConfig
from p2ptk.report.looks import Pixels
from p2ptk.report.sheets import GUTTER, heading

STEPS = 24  # at most in a page, the first and the newest among them
PAIRS = 8
NEWEST, EARLIER = 512, 256  # pixels of a side at most
BYTES = 5_000_000  # of all pictures of the page; earlier steps go until they fit


@dataclass(frozen=True)
class Frame:
    """What one step's sheet shows: an output a pair; of a sheet that has another form, itself."""

    step: int
    outputs: tuple[Pixels, ...]


@dataclass(frozen=True)
class Samples:
    """The shown pairs through time. Without sources and targets, each frame is a whole sheet."""

    names: tuple[str, ...] = ()
    sources: tuple[Pixels, ...] = ()
    targets: tuple[Pixels, ...] = ()
    frames: list[Frame] = field(default_factory=list)

    @property
    def paired(self) -> bool:
        return bool(self.targets)


def read_samples(folder: Path, config: RunConfig) -> Samples:
    """The sheets `STEP.png` of a folder, at most STEPS of them, evenly chosen, the newest last.

    One that can't be read is left out.
    """
    found = sorted((int(p.stem), p) for p in folder.glob("*.png") if p.stem.isdigit())
    if len(found) > STEPS:
        found = [found[round(i * (len(found) - 1) / (STEPS - 1))] for i in range(STEPS)]
    sheets = []
    for step, path in found:
        try:
            with Image.open(path) as image:
                sheets.append((step, np.asarray(image.convert("RGB"))))
        except (OSError, UnidentifiedImageError, SyntaxError):
            continue
    if not sheets:
        return Samples()
    names = shown_names(config)
    newest = cells(sheets[-1][1], len(names), _aspect(config))
    if newest is None:
        whole = [Frame(step, (pixels,)) for step, pixels in sheets]
        return Samples(("whole sheet",), (), (), whole)
    same = [(step, cells(x, len(names), _aspect(config))) for step, x in sheets]
    frames = [Frame(step, tuple(row[1] for row in rows)) for step, rows in same if rows]
    return Samples(names, tuple(row[0] for row in newest), tuple(row[2] for row in newest), frames)


def shown_names(config: RunConfig) -> tuple[str, ...]:
    """Names of the validation pairs on a sheet, as far as run.toml tells."""
    names = [str(name) for name in config.record.get("val", ())]
    if len(names) == 1 and names[0].isdigit():  # a dataset without names recorded their number
        names = [f"pair {number}" for number in range(int(names[0]))]
    count = min(config.output.samples, len(names))
    return tuple(names[i * len(names) // count] for i in range(count))


def cells(sheet: Pixels, rows: int, aspect: float) -> list[tuple[Pixels, Pixels, Pixels]] | None:
    """The pictures of a sheet by rows; None where it was not drawn as `rows` by three.

    aspect: height of a picture over its width, to be sure.
    """
    height, width = sheet.shape[:2]
    across, rest = divmod(width - 4 * GUTTER, 3)
    if rest or across < 1 or not rows:
        return None
    head = heading(across)[1]
    down, rest = divmod(height - head, rows)
    down -= GUTTER
    if rest or down < 1 or abs(down / across / aspect - 1) > 0.03:
        return None
    found = []
    for row in range(rows):
        top = head + row * (down + GUTTER)
        lefts = [GUTTER + i * (across + GUTTER) for i in range(3)]
        a, b, c = (sheet[top : top + down, left : left + across] for left in lefts)
        found.append((a, b, c))
    return found


def unscaled(samples: Samples, config: RunConfig) -> Samples | None:
    """The pictures as the networks had them, small ones before they were enlarged on the sheet.

    None where there are no pairs, or where the sheet shows large ones reduced.
    """
    if not samples.paired:
        return None
    height = (config.val_size or config.size)[0]
    scale, rest = divmod(len(samples.targets[0]), height)
    if rest or not scale:
        return None

    def small(pictures: Sequence[Pixels]) -> tuple[Pixels, ...]:
        return tuple(x[scale // 2 :: scale, scale // 2 :: scale] for x in pictures)

    frames = [Frame(frame.step, small(frame.outputs)) for frame in samples.frames]
    return Samples(samples.names, small(samples.sources), small(samples.targets), frames)


def packed(samples: Samples) -> dict[str, Any]:
    """Plain values for the page, pictures as data URIs; at most PAIRS pairs and about BYTES."""
    pick = _spread(len(samples.names), PAIRS)
    frames = [(f.step, [f.outputs[i] for i in pick]) for f in samples.frames]
    fixed = [
        [data_uri(x[i], NEWEST) for i in pick] for x in (samples.sources, samples.targets) if x
    ]
    made = [
        (step, [data_uri(x, NEWEST if step == frames[-1][0] else EARLIER) for x in outputs])
        for step, outputs in frames
    ]
    if not samples.paired:
        made = [
            (step, [data_uri(x, 3 * (NEWEST if step == frames[-1][0] else EARLIER))])
            for step, (x,) in frames
        ]
    while len(made) > 2 and sum(len(u) for _, uris in made for u in uris) > BYTES:
        made = [made[0], *made[1:-1][1::2], made[-1]]
    shape = frames[-1][1][0].shape if frames else (1, 1)
    return {
        "names": [samples.names[i] for i in pick],
        "steps": [step for step, _ in made],
        "outputs": [uris for _, uris in made],
        "sources": fixed[0] if samples.paired else [],
        "targets": fixed[1] if samples.paired else [],
        "width": shape[1],
        "height": shape[0],
    }


def data_uri(pixels: Pixels, longest: int) -> str:
    """A picture reduced to `longest` pixels a side, as WebP (JPEG where Pillow has none)."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if max(image.size) > longest:
        scale = longest / max(image.size)
        size = [max(1, round(side * scale)) for side in image.size]
        image = image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    kind = "webp" if features.check("webp") else "jpeg"
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=86 if longest > EARLIER else 80)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _aspect(config: RunConfig) -> float:
    height, width = config.val_size or config.size
    return height / width


def _spread(count: int, most: int) -> list[int]:
    """At most `most` of the numbers below `count`, evenly chosen."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]
