"""Do the two sides of a pair show the same thing at the same place? Their edges tell.

Edges of different kinds of pictures (photo and labels, map and aerial picture) lie at the same
places though their colours have nothing in common. The two edge maps are correlated at every shift
by FFT, with spectra partly whitened: full whitening, as in phase correlation (Kuglin and Hines
1975), loses faint edges in noise, and none makes the peak as broad as the edges' own blur.

Calibrated on 500 facades, 1296 maps at 286 pixels, 32 at 600, and 59 tiles of the earth: none of
these pairs is called shifted or mirrored, and with one side moved by 8 pixels two thirds of the
facades, over half of the maps and nine in ten of the earth's tiles are. Maps are the least sure,
since some of them do lie 5 pixels apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:  # a run's report uses this without torch
    from p2ptk.dataprep.views import Array, Pixels

LONGEST = 640  # pixels of a side that is compared as it is; larger ones are reduced
SHORTEST = 32
WHITENING = 0.65  # exponent by which magnitudes are divided out: 0 correlates, 1 is phase alone
TOLERANCE = 3.0  # pixels; labels drawn by hand are no more exact than that
SIGNIFICANT = 8.0  # height of a peak that counts, in deviations of the correlation elsewhere
LEAD = 6.0  # by how much it must surpass the place where it should be
_FAINT = 0.01  # mean edge below which a side is blank

Complex = NDArray[np.complex128] | NDArray[np.complex64]


@dataclass(frozen=True)
class Agreement:
    """How the edges of a pair agree.

    here: the highest correlation within TOLERANCE of no shift, in standard deviations.
    best: the highest one elsewhere, at `shift`: B lies that many pixels right and down of A.
    mirrored: the way in which B mirrored agrees much better than as it is, if there is one.
    window: the correlation for small shifts, no shift in its centre; None where it was let go.
    scale: pixels of the file for one of `window`; `shift` is in the file's.
    """

    here: float
    best: float
    shift: tuple[int, int]
    mirrored: str
    window: Array | None
    scale: int

    @property
    def shifted(self) -> bool:
        """Whether B is certain to lie elsewhere than A."""
        return not self.mirrored and self.best >= SIGNIFICANT and self.best - self.here > LEAD


def edges(image: Pixels) -> tuple[Array, int] | None:
    """Edge strength H W of a picture H W 3, tapered towards the borders, and its reduction.

    The square root of the gradient, so that a few strong edges don't drown the others. None for a
    picture that is too small or blank to tell.
    """
    scale = -(-max(image.shape[:2]) // LONGEST)
    height, width = (side // (8 * scale) * 8 for side in image.shape[:2])
    if min(height, width) < SHORTEST:
        return None
    # Cut on all sides alike, so that a mirror image is cut as its original.
    top, left = (image.shape[0] - height * scale) // 2, (image.shape[1] - width * scale) // 2
    image = image[top : top + height * scale, left : left + width * scale]
    if scale > 1:
        image = np.asarray(Image.fromarray(image).reduce(scale))
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    x = planes.astype(np.float32) / 255
    square = np.zeros_like(x)
    square[:, :, 1:-1] = (x[:, :, 2:] - x[:, :, :-2]) ** 2
    square[:, 1:-1] += (x[:, 2:] - x[:, :-2]) ** 2
    strength = np.sqrt(np.sqrt(square.max(0)))
    if strength.mean() < _FAINT:
        return None
    taper = np.outer(_taper(height), _taper(width)).astype(np.float32)
    level = float((strength * taper).sum() / taper.sum())
    return (strength - level) * taper, scale


def compare(a: Pixels, b: Pixels) -> Agreement | None:
    """Where the edges of B agree best with those of A; None where that can't be told.

    a, b: uint8 H W 3, of one size.
    """
    of_a, of_b = edges(a), edges(b)
    if of_a is None or of_b is None or of_a[0].shape != of_b[0].shape:
        return None
    size, scale = of_a[0].shape, of_a[1]
    reach = min(size) // 8
    spectrum_a, spectrum_b = np.fft.rfft2(of_a[0]), np.fft.rfft2(of_b[0])
    window = _window(spectrum_a, spectrum_b, size, reach)
    near = near_centre(window)
    elsewhere = np.where(near, -np.inf, window)
    down, across = np.unravel_index(int(elsewhere.argmax()), window.shape)
    here = float(window[near].max())
    best = float(elsewhere.max())
    mirrored = ""
    if here < SIGNIFICANT:  # agreement as it is leaves no room for better
        for way, flipped in _mirror(of_b[0]).items():
            agreed = _window(spectrum_a, np.fft.rfft2(flipped), size, reach)[near].max()
            # A facade that is shifted agrees with its mirror image too, but less.
            if agreed >= SIGNIFICANT and agreed > max(here + LEAD, best + LEAD / 2):
                mirrored = way
    return Agreement(
        here=here,
        best=best,
        shift=((int(across) - reach) * scale, (int(down) - reach) * scale),
        mirrored=mirrored,
        window=window,
        scale=scale,
    )


def strangers(a: Pixels, b: Pixels) -> float | None:
    """`Agreement.here` of two pictures that need not be of one size: cut to what both have."""
    height, width = (min(pair) for pair in zip(a.shape[:2], b.shape[:2], strict=True))
    found = compare(a[:height, :width], b[:height, :width])
    return None if found is None else found.here


def common_shift(windows: list[Array]) -> tuple[int, int] | None:
    """The shift that all pairs together have, in pixels of the windows; None if it is none.

    The mean over pairs leaves only what they share, so that it finds 2 pixels. On the real sets
    above it peaks within a pixel of no shift.
    """
    if len(windows) < 5:
        return None
    reach = min(window.shape[0] for window in windows) // 2
    mean = np.mean([_middle(window, reach) for window in windows], axis=0)
    down, across = np.unravel_index(int(mean.argmax()), mean.shape)
    peak, middle = mean[down, across], _middle(mean, 1).max()
    if peak < 3 or peak - middle < 1 or max(abs(down - reach), abs(across - reach)) < 2:
        return None
    return int(across) - reach, int(down) - reach


def near_centre(window: Array) -> NDArray[np.bool_]:
    """The places of a window that count as no shift."""
    reach = window.shape[0] // 2
    rows, columns = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    near: NDArray[np.bool_] = np.hypot(rows, columns) <= TOLERANCE
    return near


def _window(a: Complex, b: Complex, size: tuple[int, ...], reach: int) -> Array:
    """The correlation of two spectra for shifts up to `reach`, in deviations from its median."""
    product = b * np.conj(a)
    weight = np.abs(product)
    whole = np.fft.irfft2(product / (weight + 1e-9 * weight.max()) ** WHITENING, s=size)
    level = float(np.median(whole))
    spread = 1.4826 * float(np.median(np.abs(whole - level)))
    rows = np.arange(-reach, reach + 1)
    return ((whole[np.ix_(rows, rows)] - level) / max(spread, 1e-12)).astype(np.float32)


def _mirror(x: Array) -> dict[str, Array]:
    return {
        "left to right": x[:, ::-1],
        "upside down": x[::-1],
        "turned by 180 degrees": x[::-1, ::-1],
    }


def _middle(window: Array, reach: int) -> Array:
    centre = window.shape[0] // 2
    span = slice(centre - reach, centre + reach + 1)
    return window[span, span]


def _taper(length: int) -> NDArray[np.float64]:
    """1 in the middle, falling to 0 over the outer eighths as a cosine (Tukey's window)."""
    at = np.arange(length) + 0.5
    edge = np.minimum(at, length - at) / (length / 8)
    taper: NDArray[np.float64] = np.where(edge < 1, 0.5 - 0.5 * np.cos(np.pi * edge), 1.0)
    return taper
