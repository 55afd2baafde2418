"""Several metrics together: what fails alone is left out, what is asked for wrongly is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk import register
from p2ptk.contracts import Side
from p2ptk.errors import Unavailable, UserError
from p2ptk.metrics.results import Evaluation, Score, shown
from p2ptk.metrics.scoring import Scoring, exact, usual_metrics
from p2ptk.metrics.setting import Setting
from p2ptk.plugins import configure

SETTING = Setting(Side(), Side(), lambda: iter(()))


@pytest.fixture
def registered() -> Iterator[Callable[..., None]]:
    """Registers metrics for one test."""
    yield partial(register, "metric")
    configure(enabled=True, files=[])


def images(count: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    fake, target, source = torch.rand(3, count, 3, 16, 16, generator=rng) * 2 - 1
    return fake, target, source


def finished(*specs: str, draw: Any = None) -> Evaluation:
    scoring = Scoring(specs, SETTING)
    scoring.update(*images(), draw)
    return scoring.finish(["a", "b", "c", "d"])


class Gone:
    """Its weights can't be had."""

    def __init__(self) -> None:
        raise Unavailable("get them on a machine with a network.")


class Mean:
    """`mean`: of the fakes; told in a line.

    This is not.
    """

    higher_is_better = True

    def __init__(self, *, factor: float = 1.0) -> None:
        self.values: dict[str, list[float]] = {"mean": []}
        self.factor = factor

    def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
        self.values["mean"] += (fake.flatten(1).mean(1) * self.factor).tolist()

    def compute(self) -> dict[str, float]:
        return {"mean": math.fsum(self.values["mean"]) / len(self.values["mean"]), "odd": math.nan}


def test_scores_have_intervals_directions_and_protocols(registered: Any) -> None:
    registered("mean", Mean)
    done = finished("l1", "mean")
    by_name = {score.name: score for score in done.scores}
    l1 = by_name["l1"]
    assert l1.low is not None
    assert l1.high is not None
    assert l1.low < l1.value < l1.high
    assert (l1.n, l1.higher_is_better, l1.metric) == (4, False, "l1")
    assert l1.protocol.startswith("|fake - target| on [0, 1]")
    assert by_name["mean"].protocol == "of the fakes; told in a line."
    assert by_name["odd"].low is None
    assert list(done.per_image) == ["l1", "mean"]
    assert done.exit_code == 0


def test_a_mean_that_is_none_gets_no_interval(registered: Any) -> None:
    class Root(Mean):
        def compute(self) -> dict[str, float]:
            return {"mean": abs(super().compute()["mean"]) ** 0.5}

    registered("root", Root)
    [score] = finished("root").scores
    assert (score.low, score.high) == (None, None)


def test_what_can_not_be_had_does_not_stop_the_others(registered: Any) -> None:
    registered("gone", Gone)
    done = finished("gone", "l1", "ms-ssim")
    assert list(done.values) == ["l1"]
    assert done.failed.keys() == {"gone", "ms-ssim"}
    assert done.exit_code == 2  # ms-ssim does not suit: the graver of the two
    assert finished("gone", "l1").exit_code == 1


def test_where_nothing_is_left_it_says_why(registered: Any) -> None:
    registered("gone", Gone)
    with pytest.raises(Unavailable, match=r"^get them on"):
        finished("gone")
    with pytest.raises(UserError, match=r"no metric came out.*get them on.*ms-ssim:scales=1"):
        finished("gone", "ms-ssim")


def test_wrong_names_and_parameters_are_refused_at_once(registered: Any) -> None:
    registered("gone", Gone)
    for spec, words in (("pnsr", "did you mean 'psnr'"), ("ssim:edge=1", "no parameter 'edge'")):
        with pytest.raises(UserError, match=words):
            Scoring(["l1", "gone", spec], SETTING)


def test_faults_of_a_metric_are_not_hidden(registered: Any) -> None:
    class Broken(Mean):
        def update(self, fake: Tensor, target: Tensor, source: Tensor) -> None:
            raise RuntimeError("its own mistake")

    registered("broken", Broken)
    with pytest.raises(RuntimeError, match="its own mistake"):
        finished("l1", "broken")


def test_samples_are_drawn_once_for_all_who_ask() -> None:
    counts = []

    def draw(count: int) -> Tensor:
        counts.append(count)
        rng = torch.Generator().manual_seed(0)
        return torch.rand(count, 4, 3, 16, 16, generator=rng)

    done = finished("diversity:samples=2", "diversity:samples=5", "l1", draw=draw)
    assert counts == [5]
    assert set(done.values) == {"diversity-l1-s2", "diversity-l1-s5", "l1"}
    alone = finished("diversity:samples=2", draw=lambda n: draw(5)[:n])
    assert alone.values["diversity-l1-s2"] == done.values["diversity-l1-s2"]
    left = finished("diversity", "l1")
    assert "draws noise" in str(left.failed["diversity"])


def test_one_name_is_told_once(registered: Any) -> None:
    registered("mean", Mean)
    done = finished("mean", "mean:factor=2.0")
    assert [score.name for score in done.scores] == ["mean", "odd"]
    assert done.scores[0].metric == "mean"


def test_tf32_is_off_meanwhile() -> None:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    with exact():
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = before


def test_usual_metrics() -> None:
    assert usual_metrics(Side()) == ("psnr", "ssim", "l1")
    assert usual_metrics(Side("labels", classes=3)) == ("palette-accuracy",)


def test_json_and_csv(registered: Any, tmp_path: Path) -> None:
    registered("mean", Mean)
    done = finished("l1", "mean")
    done.about = {"split": "val"}
    done.write_json(tmp_path / "all.json")
    table = json.loads((tmp_path / "all.json").read_text())
    assert (table["format"], table["split"], table["pairs"]) == (1, "val", 4)
    assert table["metrics"]["odd"] is None  # JSON has no NaN
    assert table["metrics"]["l1"] == done.values["l1"]
    assert table["scores"][0]["low"] == done.scores[0].low
    done.write_per_image(tmp_path / "each.csv")
    lines = (tmp_path / "each.csv").read_text().splitlines()
    assert lines[0] == "name,l1,mean"
    assert [line.partition(",")[0] for line in lines[1:]] == ["a", "b", "c", "d"]
    assert float(lines[2].split(",")[1]) == done.per_image["l1"][1]


@pytest.mark.parametrize(
    ("value", "words"),
    [(13.0216, "13.02"), (0.22409, "0.2241"), (124.98, "125.0"), (0.0012345, "0.001234"),
     (0.0, "0.0000"), (-0.00004, "-0.000040"), (1.0, "1.000"), (math.nan, "nan")],
)  # fmt: skip
def test_digits(value: float, words: str) -> None:
    assert shown(Score("x", value, 5, "x"))[0] == words
    assert shown(Score("x", 13.0216, 5, "x", 12.9, 13.15))[1] == "12.90 to 13.15"
