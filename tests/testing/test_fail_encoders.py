"""Encoders that break one rule each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from p2ptk.plugins import registry
from p2ptk.testing import conformance

Fails = Callable[..., str]
SKIP = ["import-touches-nothing"]  # takes a process of its own for this file


class Pyramid(nn.Module):
    """Two sound features."""

    channels: Any = (4, 8)
    strides: Any = (2, 8)

    def __init__(self, *, source_channels: int) -> None:
        super().__init__()
        self.fine = nn.Conv2d(source_channels, 4, 2, stride=2)
        self.coarse = nn.Conv2d(4, 8, 4, stride=4)

    def forward(self, source: Tensor) -> list[Tensor]:
        fine = self.fine(source)
        return [fine, self.coarse(fine)]


def test_the_sound_one_passes_and_leaves_no_name_behind() -> None:
    before = registry().of_kind("encoder")
    assert {r.status for r in conformance("encoder", Pyramid, skip=SKIP)} <= {"passed", "skipped"}
    assert registry().of_kind("encoder") == before


def test_a_frozen_one_passes() -> None:
    class Frozen(Pyramid):
        def __init__(self, *, source_channels: int) -> None:
            super().__init__(source_channels=source_channels)
            self.requires_grad_(False)

    conformance("encoder", Frozen, skip=SKIP)


def test_nothing_declared(fails: Fails) -> None:
    class Silent(Pyramid):
        channels = None

    said = fails("declares-features", "encoder", Silent)
    assert "set self.channels = [4, 8] and self.strides = [2, 8]" in said


def test_another_number_of_features(fails: Fails) -> None:
    class More(Pyramid):
        channels, strides = (4, 8, 16), (2, 8, 16)

    said = fails("declares-features", "encoder", More)
    assert "3 channels and 3 strides, but gives 2 features" in said


def test_coarse_to_fine(fails: Fails) -> None:
    class Reversed(Pyramid):
        channels, strides = (8, 4), (8, 2)

        def forward(self, source: Tensor) -> list[Tensor]:
            return super().forward(source)[::-1]

    assert "from fine to coarse" in fails("declares-features", "encoder", Reversed)


def test_wrong_channels(fails: Fails) -> None:
    class Claims(Pyramid):
        channels = (4, 16)

    said = fails("features", "encoder", Claims)
    assert "declares channels[1] = 16, but that feature has 8: declare channels = [4, 8]" in said


def test_wrong_strides(fails: Fails) -> None:
    class Claims(Pyramid):
        strides = (4, 8)

    said = fails("features", "encoder", Claims)
    assert "declares strides[0] = 4" in said
    assert "declare a stride of 2" in said


def test_three_channels_only(fails: Fails) -> None:
    class Colours(Pyramid):
        def __init__(self, *, source_channels: int) -> None:
            super().__init__(source_channels=3)

    assert "stops on 32x32 pixels of 1 channels" in fails("channels", "encoder", Colours)


def test_strides_that_no_decoder_reaches(fails: Fails) -> None:
    class Thirds(Pyramid):
        strides = (3, 9)

        def __init__(self, *, source_channels: int) -> None:
            super().__init__(source_channels=source_channels)
            self.fine = nn.Conv2d(source_channels, 4, 3, stride=3)
            self.coarse = nn.Conv2d(4, 8, 3, stride=3)

    assert "unet can't be built on Thirds" in fails("in-unet", "encoder", Thirds)
