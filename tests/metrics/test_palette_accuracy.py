from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from p2ptk import create
from p2ptk.contracts import Side
from p2ptk.errors import UserError
from p2ptk.metrics.palette_accuracy import PaletteAccuracy
from p2ptk.metrics.setting import Setting

Maps = Callable[..., list[Tensor]]
NAMES = ["palette-pixel-accuracy-5", "palette-class-accuracy-5", "palette-class-iou-5"]


def seen(maps: list[Tensor]) -> Tensor:
    return torch.stack(maps).float() / 127.5 - 1


def setting(maps: list[Tensor], side: Side | None = None) -> Setting:
    return Setting(Side(), side or Side(), lambda: iter(maps))


@pytest.mark.parametrize("quality", [None, 90])
def test_shades_of_the_right_colour_are_right(label_maps: Maps, quality: int | None) -> None:
    maps = label_maps(8, quality)
    metric = PaletteAccuracy()
    metric.prepare(setting(maps))
    target = seen(maps)
    metric.update((target * 0.9 + 0.05).clamp(-1, 1), target, target)
    assert list(metric.compute()) == NAMES
    assert all(value > (0.999 if quality is None else 0.93) for value in metric.compute().values())
    assert "5 colours found in the targets" in metric.notes()[0]


def test_by_hand() -> None:
    """Of four pixels three are right; of red, half; blue is painted where there is none."""
    red, green, blue = (1.0, -1.0, -1.0), (-1.0, 1.0, -1.0), (-1.0, -1.0, 1.0)
    target = torch.tensor([red, red, green, green]).T.reshape(1, 3, 2, 2)
    fake = torch.tensor([red, blue, green, green]).T.reshape(1, 3, 2, 2)
    metric = create("metric", 'palette-accuracy:palette=["#ff0000","#00ff00","#0000ff"]')
    metric.prepare(setting([]))
    metric.update(fake, target, target)
    assert list(metric.compute().values()) == pytest.approx([3 / 4, 3 / 4, (1 / 2 + 1 + 0) / 3])
    assert metric.notes() == []
    assert "#ff0000 #00ff00 #0000ff" in metric.protocol


def test_batches_make_no_difference_and_each_image_is_told(label_maps: Maps) -> None:
    maps = label_maps(7)
    target = seen(maps)
    fake = target.roll(5, -1)
    found = []
    for cuts in ([0, 7], [0, 1, 4, 7], [0, 6, 7]):
        metric = PaletteAccuracy()
        metric.prepare(setting(maps))
        for start, end in pairwise(cuts):
            metric.update(fake[start:end], target[start:end], target)
        found.append((metric.compute(), metric.values, metric.intervals()))
    assert found[0] == found[1] == found[2]
    values, images, intervals = found[0]
    assert [len(images[name]) for name in NAMES] == [7, 7, 7]
    # All images have as many pixels, so this one rate is the mean of theirs; the IoU is not.
    assert values[NAMES[0]] == pytest.approx(sum(images[NAMES[0]]) / 7)
    assert values[NAMES[2]] != pytest.approx(sum(images[NAMES[2]]) / 7)
    for name in NAMES:
        low, high = intervals[name] or (0, 0)
        assert low < values[name] < high


def test_labels_are_compared_class_by_class() -> None:
    metric = PaletteAccuracy()
    metric.prepare(setting([], Side("labels", classes=3)))
    numbers = torch.tensor([[[0, 1], [2, 2]]])
    target = torch.nn.functional.one_hot(numbers, 3).permute(0, 3, 1, 2).float()
    logits = target * 3 - 7  # unbounded outputs
    logits[0, :, 0, 0] = torch.tensor([0.0, 5.0, 1.0])
    metric.update(logits, target, target)
    assert metric.compute()["palette-pixel-accuracy-3"] == 0.75


def test_photos_have_no_palette() -> None:
    rng = torch.Generator().manual_seed(0)
    photos = [torch.randint(0, 256, (3, 64, 64), generator=rng).to(torch.uint8) for _ in range(3)]
    with pytest.raises(UserError, match="found no palette"):
        PaletteAccuracy().prepare(setting(photos))


def test_the_palette_is_found_once_for_several_evaluations(label_maps: Maps) -> None:
    walked = []

    def targets() -> object:
        walked.append(1)
        return iter(label_maps())

    one = Setting(Side(), Side(), targets)  # type: ignore[arg-type]
    for _ in range(2):
        metric = PaletteAccuracy()
        metric.prepare(one)
        assert len(metric.palette or ()) == 5
    assert walked == [1]
