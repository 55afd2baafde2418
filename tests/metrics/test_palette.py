from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from p2ptk.errors import UserError
from p2ptk.metrics.palette import find_palette, nearest, read_colours, written

COLOURS = ((0, 0, 170), (0, 85, 255), (255, 170, 0), (170, 255, 85), (255, 0, 0))  # of label_maps
Maps = Callable[..., list[Tensor]]


def test_without_loss_every_colour_is_one(label_maps: Maps) -> None:
    maps = label_maps()
    maps[3][:, 5, 5] = torch.tensor([1, 2, 3], dtype=torch.uint8)  # of one pixel
    found = find_palette(maps)
    assert set(found.colours) == {*COLOURS, (1, 2, 3)}
    assert found.colours[0] == COLOURS[0]  # the ground is the most frequent
    assert (found.share, found.pure) == (1.0, True)


@pytest.mark.parametrize("quality", [95, 75])
def test_jpeg_is_seen_through(label_maps: Maps, quality: int) -> None:
    maps = label_maps(12, quality)
    assert len({tuple(c) for m in maps for c in m.flatten(1).T.tolist()}) > 256
    found = find_palette(maps)
    assert len(found.colours) == len(COLOURS)
    for colour in COLOURS:
        assert min(np.abs(np.subtract(colour, c)).max() for c in found.colours) <= 6
    assert found.pure
    assert found.share > 0.9


def test_photos_have_none() -> None:
    rng = np.random.default_rng(0)
    photos = []
    for _ in range(4):
        coarse = rng.integers(0, 255, (6, 6, 3)).astype(np.uint8)
        smooth = np.array(Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC))
        photos.append(torch.from_numpy(smooth).permute(2, 0, 1))
    assert not find_palette(photos).pure
    assert not find_palette([]).pure


def test_the_sets_that_people_train_on(shared: Path) -> None:
    """Facades' maps have the twelve colours of its classes; its photos and the earth none."""
    kinds = {}
    for folder, count in (("facades", 30), ("maps", 10), ("earth", 10)):
        files = sorted((shared / "data" / folder / "train").glob("*.jpg"))[:count]
        pairs = [torch.from_numpy(np.array(Image.open(f))).permute(2, 0, 1) for f in files]
        half = pairs[0].shape[-1] // 2
        for side, pictures in (("A", [x[..., :half] for x in pairs]),
                               ("B", [x[..., half:] for x in pairs])):  # fmt: skip
            kinds[folder + side] = find_palette(pictures)
    assert {name for name, found in kinds.items() if found.pure} == {"facadesB", "mapsB"}
    assert len(kinds["facadesB"].colours) == 12


def test_nearest_colour() -> None:
    palette = ((0, 0, 0), (255, 255, 255), (255, 0, 0))
    pixels = torch.tensor([[10, 0, 5], [200, 190, 220], [180, 30, 20], [255, 0, 0]]).to(torch.uint8)
    assert nearest(pixels.T.reshape(1, 3, 2, 2), palette).tolist() == [[[0, 1], [2, 2]]]
    same = torch.tensor(COLOURS, dtype=torch.uint8).T.reshape(1, 3, 1, 5)
    assert nearest(same, COLOURS).flatten().tolist() == [0, 1, 2, 3, 4]


def test_colours_as_text() -> None:
    assert read_colours(["#0000aa", "FF0080"]) == ((0, 0, 170), (255, 0, 128))
    assert written(COLOURS)[:2] == ["#0000aa", "#0055ff"]
    assert read_colours(written(COLOURS)) == COLOURS
    for wrong in (["#0000aa", "blue"], ["#12345", "#000000"], ["#-1-1-1", "#000000"]):
        with pytest.raises(UserError, match="no colour like"):
            read_colours(wrong)
    with pytest.raises(UserError, match="at least two"):
        read_colours(["#000000"])
