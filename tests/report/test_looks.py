from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from p2ptk.report.looks import Pixels, distance, look
from p2ptk.report.signs import BOARD, MUSH


def photo(seed: int, size: int = 128) -> Pixels:
    """Noise of a photo's spectrum: amplitude falls as one over the frequency."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    planes = []
    for _ in range(3):
        spectrum = np.fft.fft2(rng.normal(size=(size, size))) / np.maximum(radius, 1 / size)
        plane = np.fft.ifft2(spectrum).real
        planes.append(plane / plane.std() * 40 + 128)
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


TARGETS = [photo(seed) for seed in range(4)]
OTHERS = [photo(seed) for seed in range(10, 14)]


def blurred(image: Pixels, radius: float) -> Pixels:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def test_alike_pictures_show_nothing() -> None:
    found = look(OTHERS, TARGETS)
    assert found.detail == pytest.approx(1, abs=0.2)
    assert found.checkerboard < BOARD / 2
    assert look(TARGETS, TARGETS).cast == (0, 0, 0)


@pytest.mark.parametrize(("radius", "mush"), [(0.4, False), (2.0, True), (5.0, True)])
def test_blur_is_mush(radius: float, mush: bool) -> None:
    found = look([blurred(x, radius) for x in TARGETS], TARGETS)
    assert (found.detail < MUSH) is mush
    assert found.checkerboard < BOARD


@pytest.mark.parametrize("period", [2, 4, 8])
@pytest.mark.parametrize("both", [True, False], ids=["checks", "stripes"])
def test_a_pattern_is_a_checkerboard(period: int, both: bool) -> None:
    rows, columns = np.mgrid[:128, :128] // (period // 2) % 2
    pattern = (rows + columns) % 2 if both else columns
    marked = [
        np.clip(x.astype(int) + 8 * (2 * pattern[..., None] - 1), 0, 255).astype(np.uint8)
        for x in OTHERS
    ]
    found = look(marked, TARGETS)
    assert found.checkerboard > BOARD
    assert found.period == period
    # The same pattern in the targets, as blocks of JPEG leave it, is none of the model's.
    assert look(marked, marked).checkerboard < BOARD


def test_a_cast_is_what_all_pictures_share() -> None:
    tinted = [np.clip(x + np.array([40, 0, 0]), 0, 255).astype(np.uint8) for x in TARGETS]
    red, green, blue = look(tinted, TARGETS).cast
    assert red == pytest.approx(40 / 255, abs=0.02)
    assert (green, blue) == (0, 0)
    mixed = [x if i % 2 else 255 - x for i, x in enumerate(tinted)]
    assert look(mixed, [photo(9)] * 4).cast != pytest.approx((red, 0, 0))


def test_small_and_flat_pictures_are_no_fault() -> None:
    flat = [np.full((20, 30, 3), 90, np.uint8)] * 2
    found = look(flat, flat)
    assert found.checkerboard == 1
    assert found.cast == (0, 0, 0)


def test_distance_is_on_the_networks_scale() -> None:
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert distance([black, black], [white, black]) == pytest.approx(1.0)
