from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from p2ptk.contracts import Side
from p2ptk.datasets.images import read_image
from p2ptk.errors import UserError
from p2ptk.translation.pictures import fit_channels, give, range_of, save_picture, suffix_for, take

IMAGE = Side()


@pytest.mark.parametrize(
    ("mode", "channels", "dtype"),
    [
        ("1", 1, torch.uint8),
        ("L", 1, torch.uint8),
        ("LA", 2, torch.uint8),
        ("RGB", 3, torch.uint8),
        ("RGBA", 4, torch.uint8),
        ("P", 3, torch.uint8),
        ("CMYK", 3, torch.uint8),
        ("I;16", 1, torch.uint16),
        ("F", 1, torch.float32),
    ],
)
def test_pil_images_of_every_mode(mode: str, channels: int, dtype: torch.dtype) -> None:
    x = take(Image.new(mode, (5, 4)), IMAGE)
    assert (tuple(x.shape), x.dtype) == ((channels, 4, 5), dtype)


def test_palette_images_of_labels_give_their_numbers() -> None:
    image = Image.fromarray(np.array([[0, 2], [1, 2]], np.uint8), "L").convert("P")
    image.putpalette([9, 9, 9, 0, 255, 0, 0, 0, 255])
    labels = Side(kind="labels", classes=3)
    assert take(image, labels).tolist() == [[[0, 2], [1, 2]]]
    assert take(image, IMAGE)[:, 1, 0].tolist() == [0, 255, 0]


def test_lying_photos_stand_up() -> None:
    image = Image.new("L", (5, 4))
    image.getexif()[0x0112] = 6
    image.info["exif"] = image.getexif().tobytes()
    assert take(image, IMAGE).shape == (1, 5, 4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.int64, bool])
def test_arrays(dtype: type) -> None:
    array = np.arange(24).reshape(4, 3, 2).astype(dtype)
    x = take(array, IMAGE)
    assert x.shape == (2, 4, 3)
    factor = 255 if dtype is bool else 1
    assert np.array_equal(np.moveaxis(x.numpy(), 0, -1), array.astype(np.float64) * factor)
    assert take(array[..., 0], IMAGE).shape == (1, 4, 3)


@pytest.mark.parametrize(
    "wrong",
    ["photo.jpg", np.zeros((2, 2, 2, 2, 2)), np.zeros((0, 3)), torch.zeros(3), np.array([["a"]])],
)
def test_what_is_no_picture_is_refused(wrong: object) -> None:
    with pytest.raises(UserError):
        take(wrong, IMAGE)


def test_results_are_of_the_kind_that_was_given() -> None:
    grey, colour = torch.zeros(1, 4, 5, dtype=torch.uint8), torch.zeros(3, 4, 5, dtype=torch.uint16)
    assert give(grey, Image.new("L", (1, 1))).mode == "L"
    assert give(grey, np.zeros((1, 1))).shape == (4, 5)
    assert give(grey, np.zeros((1, 1, 1))).shape == (4, 5, 1)
    assert give(colour, np.zeros((1, 1))).dtype == np.uint16
    assert give(colour, torch.zeros(1)) is colour
    assert give(colour[:1], Image.new("L", (1, 1))).mode == "I;16"
    with pytest.raises(UserError, match="no image of 3 channels of uint16"):
        give(colour, Image.new("L", (1, 1)))


def full(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1)


@pytest.mark.parametrize(
    ("given", "channels", "expected", "note"),
    [
        (full(7, 8, 9), 3, [7, 8, 9], ""),
        (full(7), 3, [7, 7, 7], "grey repeated in three channels"),
        (full(100, 200, 50), 1, [153], "colour turned to grey"),
        (full(10, 20, 30, 255), 3, [10, 20, 30], "alpha laid on white"),
        (full(10, 20, 30, 0), 3, [255, 255, 255], "alpha laid on white"),
        (full(0, 51), 1, [204], "alpha laid on white"),
        (full(0, 51), 3, [204] * 3, "alpha laid on white, grey repeated in three channels"),
    ],
)
def test_channels_are_converted_with_a_note(
    given: torch.Tensor, channels: int, expected: list[int], note: str
) -> None:
    x, done = fit_channels(given, IMAGE, channels)
    assert x.dtype == torch.uint8
    assert (x.flatten().tolist(), done) == (expected, note)


def test_deep_and_float_pictures_are_converted_in_their_own_range() -> None:
    deep = torch.tensor([0, 65535 // 5], dtype=torch.uint16).view(2, 1, 1)
    assert fit_channels(deep, IMAGE, 1)[0].item() == 65535 - 65535 // 5
    assert fit_channels(torch.tensor([0.0, 0.2]).view(2, 1, 1), IMAGE, 1)[0].item() == (
        pytest.approx(0.8)
    )


@pytest.mark.parametrize(
    ("found", "side", "channels", "words"),
    [
        (5, IMAGE, 3, "takes 3 channels; the picture has 5"),
        (3, IMAGE, 4, "takes 4 channels; the picture has 3"),
        (1, Side(kind="values", range=(0, 1)), 3, "takes 3 channels; the picture has 1"),
    ],
)
def test_other_channels_are_refused(found: int, side: Side, channels: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        fit_channels(torch.zeros(found, 2, 2), side, channels)


def test_range_of() -> None:
    assert range_of(torch.zeros(1, 1, 1, dtype=torch.uint8)) == (0, 255)
    assert range_of(torch.zeros(1, 1, 1, dtype=torch.uint16)) == (0, 65535)
    assert range_of(torch.ones(1, 1, 1)) == (0, 1)
    with pytest.raises(UserError, match=r"should lie in 0\.\.1; this one goes from -1 to -1"):
        range_of(-torch.ones(1, 1, 1))


@pytest.mark.parametrize(
    ("channels", "dtype", "like", "expected"),
    [
        (3, torch.uint8, ".jpg", ".png"),
        (3, torch.uint8, ".bmp", ".bmp"),
        (3, torch.uint8, ".tif", ".tif"),
        (4, torch.uint8, ".bmp", ".png"),
        (3, torch.uint16, ".jpg", ".png"),
        (1, torch.uint16, ".tiff", ".tiff"),
        (5, torch.uint8, ".png", ".tiff"),
        (1, torch.float32, ".png", ".tiff"),
    ],
)
def test_files_hold_their_picture_without_loss(
    tmp_path: Path, channels: int, dtype: torch.dtype, like: str, expected: str
) -> None:
    x = (torch.rand(channels, 6, 5) * 255).to(dtype)
    suffix = suffix_for(x, like)
    assert suffix == expected
    save_picture(tmp_path / "new" / f"a{suffix}", x)
    back = read_image(tmp_path / "new" / f"a{suffix}")
    assert back.dtype == dtype
    assert torch.equal(back.float(), x.float())
