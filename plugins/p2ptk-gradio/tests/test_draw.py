from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from p2ptk import Side
from p2ptk_gradio.draw import BLACK, WHITE, canvas_of, distinct, read_drawing, shown, to_classes

PALETTE = ((0, 0, 0), (220, 40, 40), (40, 180, 60), (50, 80, 230))


def model(source: Side, channels: int = 3, derive: tuple[dict[str, Any], ...] = ()) -> Any:
    header = SimpleNamespace(
        source=source, target=Side(), source_channels=channels, size=(64, 96), derive=derive
    )
    return SimpleNamespace(header=header)


def test_what_to_draw_with() -> None:
    labels = canvas_of(model(Side("labels", palette=PALETTE)))
    assert (labels.width, labels.height) == (96, 64)
    assert labels.background == PALETTE[0]
    assert labels.colours == (*PALETTE[1:], PALETTE[0])
    assert not labels.free
    edges = canvas_of(model(Side(), 1, ({"name": "canny"},)))
    assert (edges.background, edges.colours) == (WHITE, (BLACK,))
    light = canvas_of(model(Side(), 1, ({"name": "sobel", "lines": "light"},)))
    assert (light.background, light.colours) == (BLACK, (WHITE,))
    assert canvas_of(model(Side())).free


@pytest.mark.parametrize("count", [1, 2, 20, 60])
def test_colours_are_distinct(count: int) -> None:
    assert len(set(distinct(count))) == count


def smooth() -> Image.Image:
    """A red disc on blue with a smooth rim, whose mixtures lie near other colours."""
    big = Image.new("RGB", (256, 256), PALETTE[3])
    ImageDraw.Draw(big).ellipse((50, 50, 200, 200), fill=PALETTE[1])
    return big.resize((64, 64), Image.Resampling.BOX)


def test_rims_take_a_neighbour_s_class() -> None:
    classes = to_classes(np.asarray(smooth()), PALETTE)
    assert set(np.unique(classes)) == {1, 3}
    assert (classes == 1).mean() == pytest.approx(np.pi * 75**2 / 256**2, rel=0.05)


def test_a_drawing_as_the_model_takes_it() -> None:
    coloured = read_drawing(smooth(), model(Side("labels", palette=PALETTE)))
    assert {c for _, c in coloured.getcolors() or []} == {PALETTE[1], PALETTE[3]}
    own = distinct(3)
    drawn = Image.new("RGB", (8, 8), own[2])
    numbers = read_drawing(drawn, model(Side("labels", classes=3)))
    assert (numbers.mode, numbers.getextrema()) == ("L", (2, 2))
    assert shown(numbers, model(Side("labels", classes=3)), source=True).getpixel((0, 0)) == own[2]
    assert read_drawing(drawn, model(Side())).mode == "RGB"
