from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2ptk import create, register
from p2ptk.contracts import Side
from p2ptk.errors import UserError
from p2ptk.metrics.fcn_score import FCNScore
from p2ptk.metrics.setting import Setting
from p2ptk.plugins import configure
from p2ptk.weights import ModelHeader, save_generator

PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


class Brightest(nn.Module):
    """A segmenter that needs no training: the class is the channel with the largest value."""

    size_multiple = 8

    def __init__(self, *, source_channels: int, target_channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, source: Tensor) -> Tensor:
        assert source.shape[-1] % 8 == 0
        return source * self.scale


@pytest.fixture
def scorer(tmp_path: Path) -> Any:
    """Write such a scorer, its labels read as `target` says."""
    register("generator", "brightest", Brightest)

    def make(target: Side | None = None, name: str = "scorer.safetensors") -> Path:
        header = ModelHeader(
            generator={"name": "brightest"}, source_channels=3, target_channels=3, size=(16, 16),
            size_multiple=(8, 8), target=target or Side("labels", palette=PALETTE),
            trained_on="stripes", step=7,
        )  # fmt: skip
        network = Brightest(source_channels=3, target_channels=3)
        save_generator(tmp_path / name, network, header)
        return tmp_path / name

    yield make
    configure(enabled=True, files=[])


def colours(numbers: Tensor) -> Tensor:
    """N H W of classes as pictures N 3 H W in [-1, 1]."""
    return torch.tensor(PALETTE).float()[numbers].permute(0, 3, 1, 2) / 127.5 - 1


def stripes() -> Tensor:
    """Two label maps 18 x 18 of three classes."""
    rows = torch.arange(18) // 6
    return torch.stack([rows[:, None].expand(18, 18), rows[None].expand(18, 18)])


def prepared(path: Path, source: Side | None = None) -> FCNScore:
    metric: FCNScore = create("metric", f"fcn-score:scorer={path}")
    metric.prepare(Setting(source or Side(), Side(), lambda: iter(())))
    return metric


def test_rates_of_fakes_and_of_real_photos(scorer: Any) -> None:
    metric = prepared(scorer())
    truth = stripes()
    photo = colours(truth) * 0.5  # the segmenter sees what it is all the same
    fake = photo.clone()
    fake[:, :, :6] = colours(torch.full((2, 6, 18), 2)) * 0.5  # a third of each painted blue
    metric.update(fake, photo, colours(truth))
    end = metric.digest
    found = metric.compute()
    wrong = 18 * 6 + 2 * 6 * 6  # of the rows all, of the columns the two that are not blue
    assert found[f"fcn-pixel-accuracy-{end}"] == pytest.approx(1 - wrong / (2 * 18 * 18))
    assert [found[f"fcn-real-{rate}-{end}"] for rate in
            ("pixel-accuracy", "class-accuracy", "class-iou")] == [1.0, 1.0, 1.0]  # fmt: skip
    assert len(metric.values[f"fcn-class-iou-{end}"]) == 2
    assert metric.intervals().keys() == found.keys() == metric.values.keys()
    better = metric.higher_is_better
    assert better[f"fcn-class-iou-{end}"] is True
    assert better[f"fcn-real-class-iou-{end}"] is None
    assert metric.protocol == f"segmenter {end}, 3 classes, 7 steps at 16x16 on stripes"


def test_batches_make_no_difference(scorer: Any) -> None:
    truth, photo = stripes(), colours(stripes().flip(1))
    whole, split = prepared(scorer()), prepared(scorer())
    whole.update(photo, photo, colours(truth))
    for i in (0, 1):
        split.update(photo[i : i + 1], photo[i : i + 1], colours(truth[i : i + 1]))
    assert whole.compute() == split.compute()


def test_sources_of_labels_with_the_colours_in_another_order(scorer: Any) -> None:
    side = Side("labels", palette=PALETTE[::-1])
    metric = prepared(scorer(), side)
    truth = stripes()
    one_hot = torch.nn.functional.one_hot(2 - truth, 3).permute(0, 3, 1, 2).float()
    metric.update(colours(truth), colours(truth), one_hot)
    assert set(metric.compute().values()) == {1.0}


def test_the_name_tells_scorers_apart(scorer: Any) -> None:
    one = prepared(scorer())
    other = prepared(
        scorer(Side("labels", classes=3), "other.safetensors"), Side("labels", classes=3)
    )
    assert one.digest != other.digest


def test_a_note_where_the_scorer_saw_another_size(scorer: Any) -> None:
    metric = prepared(scorer())
    picture = colours(stripes())
    metric.update(picture, picture, picture)
    assert metric.notes() == []
    large = picture.repeat(1, 1, 2, 2)
    metric.update(large, large, large)
    assert "learnt at 16x16" in metric.notes()[0]


def test_what_does_not_fit(scorer: Any, tmp_path: Path) -> None:
    path = scorer(Side(), "photos.safetensors")
    with pytest.raises(UserError, match="not to labels: make a scorer"):
        create("metric", f"fcn-score:scorer={path}")
    with pytest.raises(UserError, match="no model"):
        create("metric", f"fcn-score:scorer={tmp_path / 'none'}")
    with pytest.raises(UserError, match="knows 3 classes, and the sources have 5"):
        prepared(scorer(), Side("labels", classes=5))
    with pytest.raises(UserError, match="classes by number"):
        prepared(scorer(Side("labels", classes=3)))
    metric = prepared(scorer())
    grey = torch.zeros(1, 1, 16, 16)
    with pytest.raises(UserError, match="3 channels, and these have 1"):
        metric.update(grey, grey, grey)
