"""Bytes are read as the file that they are of: the same pixels, the same words when they fail."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from p2ptk import Side, UserError, read_picture
from p2ptk.datasets.content import Content
from p2ptk.datasets.images import UnreadableImage, read_image
from p2ptk.datasets.sides import read_side
from p2ptk.datasets.write import write_image

KINDS = [
    (".png", 3, torch.uint8), (".png", 1, torch.uint16), (".png", 2, torch.uint16),
    (".png", 3, torch.uint16), (".jpg", 3, torch.uint8), (".webp", 4, torch.uint8),
    (".bmp", 3, torch.uint8), (".tif", 5, torch.uint16), (".tiff", 1, torch.float32),
    (".npy", 2, torch.float32),
]  # fmt: skip


def written(path: Path, channels: int, dtype: torch.dtype) -> Path:
    top = {torch.uint8: 255, torch.uint16: 65535, torch.float32: 1}[dtype]
    values = torch.rand(channels, 9, 12, generator=torch.Generator().manual_seed(0))
    write_image(path, (values * top).to(dtype))
    return path


@pytest.mark.parametrize(("suffix", "channels", "dtype"), KINDS)
def test_the_same_pixels(tmp_path: Path, suffix: str, channels: int, dtype: torch.dtype) -> None:
    path = written(tmp_path / f"one{suffix}", channels, dtype)
    image = read_image(path)
    read = read_image(Content(f"s3://bucket/one{suffix}", path.read_bytes()))
    assert read.dtype == image.dtype == dtype
    assert torch.equal(read, image)


@pytest.mark.parametrize(("suffix", "channels", "dtype"), KINDS)
def test_the_same_words(tmp_path: Path, suffix: str, channels: int, dtype: torch.dtype) -> None:
    whole = written(tmp_path / f"one{suffix}", channels, dtype).read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"nothing of the kind" * 9):
        (tmp_path / f"one{suffix}").write_bytes(damaged)
        with pytest.raises(UnreadableImage) as of_file:
            read_image(tmp_path / f"one{suffix}")
        with pytest.raises(UserError) as of_bytes:
            read_picture(damaged, Side(), f"s3://bucket/one{suffix}")
        assert of_bytes.value.why == of_file.value.why  # type: ignore[attr-defined]
        assert str(of_bytes.value).startswith(f"s3://bucket/one{suffix} can't be read: ")


def test_labels(tmp_path: Path) -> None:
    colours = np.zeros((4, 6, 3), np.uint8)
    colours[2:] = (255, 0, 0)
    path = tmp_path / "one.png"
    Image.fromarray(colours).quantize(4).save(path)
    side = Side("labels", palette=((0, 0, 0), (255, 0, 0)))
    assert torch.equal(read_picture(path.read_bytes(), side, "x.png"), read_side(path, side))
    Image.fromarray(colours).save(path)
    with pytest.raises(UserError, match=r"^x\.png can't be read: labels have one channel"):
        read_picture(path.read_bytes(), Side("labels", classes=2), "x.png")


def test_an_error_travels_without_the_bytes() -> None:
    with pytest.raises(UserError) as caught:
        read_picture(b"x" * 100_000, Side(), "one.png")
    sent = pickle.dumps(caught.value)
    assert len(sent) < 1000
    assert str(pickle.loads(sent)) == str(caught.value)
