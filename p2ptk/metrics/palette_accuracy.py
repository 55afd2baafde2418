"""Photo to labels or maps: is each pixel's nearest palette colour the right one?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor

from p2ptk.errors import UserError
from p2ptk.metrics.class_scores import ClassScores
from p2ptk.metrics.colours import eight_bits, three_channels
from p2ptk.metrics.intervals import Interval
from p2ptk.metrics.palette import Colour, Found, find_palette, nearest, read_colours, written
from p2ptk.metrics.setting import Setting, as_colours

LOOKED_AT = 200  # targets that a palette is found in


class PaletteAccuracy:
    """`palette-pixel-accuracy-12`, `palette-class-accuracy-12` and `palette-class-iou-12`.

    Both images' pixels become the number of their nearest of, here, 12 colours; targets of labels
    are compared class by class. Accuracy over all pixels, over the classes that occur, and their
    intersection over union (Long et al. 2015, section 5).

    palette: the colours as `#rrggbb`. Without it those of the data's side, or those found in the
        stored targets: give the found ones to compare over several sets.
    """

    higher_is_better: ClassVar[bool] = True

    def __init__(self, *, palette: list[str] | None = None) -> None:
        self.palette: tuple[Colour, ...] | None = read_colours(palette) if palette else None
        self.labels = False
        self.found = False
        self.scores: ClassScores | None = None

    def prepare(self, setting: Setting) -> None:
        """Choose the classes. Raises UserError where the targets have no palette."""
        side = setting.target
        self.labels = side.kind == "labels"
        if self.labels:
            self.scores = ClassScores(side.depth or 0)
            self.palette = side.palette
            return
        if self.palette is None:
            if "palette" not in setting.kept:
                pictures = islice(setting.targets(), LOOKED_AT)
                setting.kept["palette"] = find_palette(as_colours(x, side) for x in pictures)
            found: Found = setting.kept["palette"]
            if not found.pure:
                raise UserError(
                    "palette-accuracy found no palette: the targets look like photos. It compares "
                    "label maps and drawn maps; name their colours with palette=[#0000ff,...]."
                )
            self.palette, self.found = found.colours, True
        self.scores = ClassScores(len(self.palette))

    @torch.no_grad()
    def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
        """fake, target: N C H W, colours in [-1, 1] or one channel a class."""
        assert self.scores is not None, "prepare comes first"
        self.scores.add(self._classes(fake), self._classes(target))

    def compute(self) -> dict[str, float]:
        return self._named(self.scores.values()) if self.scores else {}

    @property
    def values(self) -> dict[str, list[float]]:
        return self._named(self.scores.per_image()) if self.scores else {}

    def intervals(self) -> dict[str, Interval | None]:
        return self._named(self.scores.intervals()) if self.scores else {}

    @property
    def protocol(self) -> str:
        if self.labels:
            return "classes of the label side"
        return f"nearest of {' '.join(written(self.palette or ()))}"

    def notes(self) -> list[str]:
        """The palette, where it was found rather than given."""
        if not self.found:
            return []
        return [
            f"palette-accuracy: {len(self.palette or ())} colours found in the targets; "
            f"to fix them: -m 'palette-accuracy:palette=[{','.join(written(self.palette or ()))}]'"
        ]

    def _classes(self, image: Tensor) -> Tensor:
        if self.labels:
            return image.argmax(1)
        return nearest(eight_bits(three_channels(image, "palette-accuracy")), self.palette or ())

    def _named(self, rates: Mapping[str, Any]) -> dict[str, Any]:
        count = self.scores.classes if self.scores else 0
        return {f"palette-{name}-{count}": value for name, value in rates.items()}
