"""Labels to photo: can a segmenter that learnt on real photos tell what was to be painted?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from p2ptk.contracts import Side
from p2ptk.errors import UserError
from p2ptk.files import sha256
from p2ptk.metrics.class_scores import ClassScores
from p2ptk.metrics.colours import eight_bits, three_channels
from p2ptk.metrics.intervals import Interval
from p2ptk.metrics.palette import Colour, nearest
from p2ptk.metrics.setting import Setting
from p2ptk.translation.tiles import pad
from p2ptk.weights import find_model, load_generator, read_header


class FCNScore:
    """`fcn-pixel-accuracy-1a2b3c`, `fcn-class-accuracy-...` and `fcn-class-iou-...`.

    The FCN-score of Isola et al. 2017, section 4.1, with a segmenter of one's own, whose SHA-256
    begins as the names end: it labels the fakes, and its labels are compared with the source's.
    `fcn-real-...` are the same rates of the real photos: what a perfect model would get.

    scorer: a run folder or model file that `p2ptk train-scorer` made of the same kind of data. It
        should have learnt on the training split, at the size that is evaluated.
    """

    def __init__(self, *, scorer: Path) -> None:
        path = find_model(scorer)
        self.header = read_header(path)
        if self.header.target.kind != "labels":
            raise UserError(
                f"{scorer} translates to {self.header.target.kind}, not to labels: make a scorer "
                "with `p2ptk train-scorer`."
            )
        self.network = load_generator(path)
        self.digest = sha256(path)[:6]
        self.classes = self.header.target.depth or 0
        self.scores = {"fcn": ClassScores(self.classes), "fcn-real": ClassScores(self.classes)}
        self.source = Side()
        self.sizes: set[tuple[int, int]] = set()

    def prepare(self, setting: Setting) -> None:
        """Raises UserError where the sources are no label maps of the scorer's classes."""
        self.source = setting.source
        if setting.source.kind == "labels":
            same = setting.source.depth == self.classes
            if not same and not (setting.source.palette and self.header.target.palette):
                raise UserError(
                    f"the scorer knows {self.classes} classes, and the sources have "
                    f"{setting.source.depth}."
                )
        elif self.header.target.palette is None:
            raise UserError("the scorer knows classes by number, and the sources are colours.")

    @torch.no_grad()
    def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
        """fake, target: N 3 H W in [-1, 1]; source: the label map, colours or one channel a class.

        Raises UserError for photos of other channels than the scorer's.
        """
        if fake.shape[1] != self.header.source_channels:
            raise UserError(
                f"the scorer labels pictures of {self.header.source_channels} channels, and these "
                f"have {fake.shape[1]}."
            )
        truth = self._truth(source)
        self.sizes.add((fake.shape[-2], fake.shape[-1]))
        self.scores["fcn"].add(self._labelled(fake), truth)
        self.scores["fcn-real"].add(self._labelled(target), truth)

    def compute(self) -> dict[str, float]:
        return self._named({word: scores.values() for word, scores in self.scores.items()})

    @property
    def values(self) -> dict[str, list[float]]:
        return self._named({word: scores.per_image() for word, scores in self.scores.items()})

    def intervals(self) -> dict[str, Interval | None]:
        return self._named({word: scores.intervals() for word, scores in self.scores.items()})

    @property
    def higher_is_better(self) -> dict[str, bool | None]:
        """By name; the real photos' rates are none of the model's doing."""
        return {name: None if name.startswith("fcn-real") else True for name in self.compute()}

    @property
    def protocol(self) -> str:
        header = self.header
        height, width = header.size
        return (
            f"segmenter {self.digest}, {self.classes} classes, {header.step} steps at "
            f"{height}x{width} on {header.trained_on}"
        )

    def notes(self) -> list[str]:
        """Whether the scorer saw pictures of another size."""
        height, width = self.header.size
        if all(0.8 < h / height < 1.25 for h, _ in self.sizes):
            return []
        return [
            f"fcn-score: the scorer learnt at {height}x{width}, and these pictures have another "
            "size: compare with fcn-real, or train one at theirs."
        ]

    def _labelled(self, photo: Tensor) -> Tensor:
        """Each pixel's class, int64 N H W."""
        height, width = photo.shape[-2:]
        self.network.to(photo.device)
        padded = pad(photo.float().clamp(-1, 1), self.header.size_multiple)
        found: Tensor = self.network(padded)[..., :height, :width].argmax(1)
        return found

    def _truth(self, source: Tensor) -> Tensor:
        colours: tuple[Colour, ...] = self.header.target.palette or ()
        if self.source.kind != "labels":
            return nearest(eight_bits(three_channels(source, "fcn-score")), colours)
        truth = source.argmax(1)
        if self.source.palette and colours:  # the same colours, perhaps in another order
            own = torch.tensor(self.source.palette, dtype=torch.uint8).T[None, :, :, None]
            truth = nearest(own, colours)[0, :, 0].to(truth.device)[truth]
        return truth

    def _named(self, rates: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        return {
            f"{word}-{name}-{self.digest}": value
            for word, found in rates.items()
            for name, value in found.items()
        }
