from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from p2ptk.contracts import Side
from p2ptk.report.sheets import GUTTER, palette, sample_sheet, save_png, show

IMAGE = Side()


def flat(value: float, channels: int = 3, height: int = 128, width: int = 128) -> torch.Tensor:
    return torch.full((channels, height, width), value)


def test_cells_lie_where_the_grid_says() -> None:
    rows = [(flat(-1.0), flat(0.0), flat(1.0)), (flat(1.0), flat(-1.0), None)]
    sheet = sample_sheet(rows, IMAGE, IMAGE, headings=())
    assert sheet.dtype == np.uint8
    assert sheet.shape == (GUTTER + 2 * (128 + GUTTER), GUTTER + 3 * (128 + GUTTER), 3)
    middles = [GUTTER + 64 + i * (128 + GUTTER) for i in range(3)]
    assert sheet[middles[0], middles].tolist() == [[0] * 3, [128] * 3, [255] * 3]
    assert sheet[middles[1], middles].tolist() == [[255] * 3, [0] * 3, [255] * 3]
    assert (sheet[:, GUTTER + 128 : GUTTER + 128 + GUTTER] == 255).all()


def test_headings_take_a_strip_and_ink() -> None:
    rows = [(flat(1.0), flat(1.0))]
    plain = sample_sheet(rows, IMAGE, IMAGE, headings=())
    headed = sample_sheet(rows, IMAGE, IMAGE)
    assert headed.shape[1] == plain.shape[1]
    strip = headed[: headed.shape[0] - plain.shape[0]]
    assert 10 < len(strip) < 40
    assert strip.min() < 128  # something is written
    assert (headed[len(strip) + GUTTER :] == 255).all()


@pytest.mark.parametrize(
    ("size", "cell", "expected"),
    [(64, None, 192), (128, None, 128), (512, None, 512), (1024, None, 512), (64, 100, 100)],
)
def test_small_pictures_grow_and_big_ones_shrink(
    size: int, cell: int | None, expected: int
) -> None:
    row = [(flat(0.0, height=size, width=size // 2),)]
    sheet = sample_sheet(row, IMAGE, IMAGE, headings=(), cell=cell)
    assert sheet.shape[:2] == (expected + 2 * GUTTER, expected // 2 + 2 * GUTTER)


def test_pictures_of_different_sizes_share_a_sheet() -> None:
    sheet = sample_sheet([(flat(0, 1, 128, 200), flat(0, 1, 140, 128)), (flat(0),)], IMAGE, IMAGE)
    assert sheet.shape[1] == 200 + 128 + 3 * GUTTER
    assert sample_sheet([], IMAGE, IMAGE).shape[2] == 3


def test_labels_show_their_palette() -> None:
    classes = torch.tensor([[0, 1], [2, 1]])
    onehot = torch.nn.functional.one_hot(classes, 3).permute(2, 0, 1).float()
    side = Side(kind="labels", palette=((1, 2, 3), (4, 5, 6), (7, 8, 9)))
    assert show(onehot * 2 - 1, side).tolist() == [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [4, 5, 6]]]
    generated = show(onehot, Side(kind="labels", classes=3))
    assert generated[0, 0].tolist() == [0, 0, 0]
    assert len({tuple(c) for c in generated.reshape(-1, 3).tolist()}) == 3


def test_generated_colours_differ() -> None:
    assert len(set(palette(150))) == 150


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_any_number_of_channels(channels: int) -> None:
    x = torch.linspace(-1, 1, channels).view(-1, 1, 1).expand(channels, 2, 2)
    shown = show(x, Side(kind="values", range=(0.0, 65535.0)))[0, 0].tolist()
    expected = {1: [0] * 3, 2: [128] * 3, 3: [0, 128, 255], 5: [0, 64, 128]}
    assert shown == expected[channels]


def test_out_of_range_is_clipped_and_nan_is_marked() -> None:
    x = torch.tensor([[[-7.0, 7.0, float("nan")]]])
    assert show(x, IMAGE)[0].tolist() == [[0] * 3, [255] * 3, [255, 0, 255]]


def test_save_png(tmp_path: Path) -> None:
    sheet = sample_sheet([(flat(0.5), flat(-0.5))], IMAGE, IMAGE)
    save_png(tmp_path / "a.png", sheet)
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(image), sheet)
    torch.from_numpy(sheet)  # writable, without a warning
