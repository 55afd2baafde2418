"""What the page shows of a model besides its translations: examples, its card, its samples."""

from __future__ import annotations

import logging
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from p2ptk import RunConfig, Side, create
from p2ptk_gradio.models import Model

log = logging.getLogger("p2ptk.serve")


@lru_cache(maxsize=64)
def examples(model: Model, most: int = 6) -> tuple[Image.Image, ...]:
    """Sources of the run's validation pairs, or the photos that its sources are made from.

    Empty where the model is not in its run's folder, or the pairs are not to be found here.
    """
    config = model.folder / "run.toml"
    if not config.is_file():
        return ()
    try:
        run = RunConfig.read(config)
        dataset = create("dataset", run.data)
        split = dataset.split("val")
        backwards = model.header.direction == "BtoA"
        second = backwards != model.derives
        side: Side = dataset.b if second else dataset.a
        pairs = (split[i] for i in range(min(most, len(split))))
        found = [_picture(p.target if second else p.source, side) for p in pairs]
        # Scaled as the run scaled them, so that the page shows what the run's samples show.
        size = model.header.size[::-1]
        how = Image.Resampling.NEAREST if side.kind == "labels" else Image.Resampling.LANCZOS
        return tuple(picture.resize(size, how) for picture in found)
    except Exception as error:  # what runs leave behind may have moved; the page does without
        log.info("no examples for %s: %s", model.name, error)
        return ()


def _picture(x: object, side: Side) -> Image.Image:
    pixels = np.moveaxis(np.asarray(x), 0, -1)
    if pixels.dtype != np.uint8 or pixels.shape[-1] not in (1, 3, 4):
        raise ValueError(f"{pixels.shape} of {pixels.dtype} is no picture for a page")
    if pixels.shape[-1] > 1:
        return Image.fromarray(pixels)
    if side.palette:
        return Image.fromarray(np.array(side.palette, np.uint8)[pixels[..., 0]])
    return Image.fromarray(pixels[..., 0])


@lru_cache(maxsize=64)
def card(model: Model, folder: Path) -> str:
    """The model's card as Markdown, as `p2ptk card` writes it.

    folder: where it may write.
    """
    place = folder / f"card-{id(model)}.md"
    command = [sys.executable, "-m", "p2ptk", "card", str(model.path), "-o", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not place.is_file():
        log.warning("no card for %s: %s", model.name, done.stderr.strip())
        return f"# {model.name}\n\n`{model.header.spec}`"
    text = place.read_text("utf-8")
    place.unlink()
    if text.startswith("---\n"):
        text = text.partition("\n---\n")[2]
    # The sheet of samples is shown beside it, and the page is no place for comments.
    lines = [line for line in text.splitlines() if not line.startswith(("![", "<!--"))]
    return "\n".join(lines).strip()


@lru_cache(maxsize=64)
def samples(model: Model) -> Image.Image | None:
    """The newest sheet of samples in the run's folder, at most 1000 pixels wide."""
    sheets = [p for p in (model.folder / "samples").glob("*.png") if p.stem.isdigit()]
    newest = max(sheets, key=lambda path: int(path.stem), default=None)
    if newest is None:
        return None
    with Image.open(newest) as image:
        sheet = image.convert("RGB")
    sheet.thumbnail((1000, 4000))
    return sheet
