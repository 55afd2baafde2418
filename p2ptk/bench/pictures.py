"""Pairs to train on: pictures drawn from a seed, as large on disk as photographs are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def draw_pairs(folder: Path, size: int, count: int = 32) -> list[Path]:
    """Write `count` side-by-side JPEGs A | B to `folder`/train, and one to `folder`/val.

    Each side is `size` pixels square. Gives the training files.
    """
    rng = np.random.default_rng(0)
    files = []
    for split, number in [*(("train", i) for i in range(count)), ("val", 0)]:
        (folder / split).mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 255, (16, 32, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((2 * size, size), Image.Resampling.BICUBIC), np.int16)
        grained = smooth + rng.integers(-12, 12, smooth.shape, dtype=np.int16)
        picture = Image.fromarray(grained.clip(0, 255).astype(np.uint8))
        files.append(folder / split / f"{number:03d}.jpg")
        picture.save(files[-1], quality=90)
    return files[:-1]
