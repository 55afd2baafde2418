"""The history of translations that the discriminator sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2ptk.build import Parts, place
from p2ptk.checkpoint import newest_checkpoint
from p2ptk.components import create
from p2ptk.config import Train
from p2ptk.contracts import Judgement
from p2ptk.device import Precision
from p2ptk.feed import Batch
from p2ptk.observe import Observer
from p2ptk.pool import Pool
from p2ptk.run import resume
from p2ptk.runfolder import RunFolder
from p2ptk.step import Networks, Step, Term, adversarial_step, critic_step


def numbered(*numbers: int) -> tuple[Tensor, Tensor]:
    """Sources that hold their number, and fakes that hold it too, negated."""
    x = torch.tensor(numbers, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 2, 2)
    return x, -x


def test_until_it_is_full_it_shows_what_it_is_given() -> None:
    pool = Pool(3)
    for number in range(3):
        source, fake = numbered(number)
        shown = pool.exchange(source, fake, seed=number)
        assert torch.equal(shown[0], source)
        assert torch.equal(shown[1], fake)
    assert [s[0, 0, 0].item() for s, _ in pool.pairs] == [0, 1, 2]


def test_then_half_are_earlier_ones_each_with_its_own_source_and_shown_once() -> None:
    pool, given, shown = Pool(10), list(range(2000)), []
    for step in range(500):
        sources, fakes = pool.exchange(*numbered(*given[4 * step : 4 * step + 4]), seed=step)
        assert torch.equal(sources, -fakes)
        shown += sources[:, 0, 0, 0].tolist()
    new = sum(a == b for a, b in zip(given, shown, strict=True))
    assert new == pytest.approx(1000, abs=100)  # four standard deviations
    kept = [s[0, 0, 0].item() for s, _ in pool.pairs]
    twice = [n for n in set(shown) if shown.count(n) > 1]
    # Those that filled the pool were shown at once, and a second time when they left it.
    assert set(twice) <= set(range(10))
    assert sorted({*shown, *kept}) == given
    ages = [a - b for a, b in zip(given, shown, strict=True) if a != b]
    assert min(ages) >= 0
    assert sum(ages) / len(ages) == pytest.approx(20, rel=0.2)  # 10 places, every second one moves


def test_it_is_a_function_of_the_seeds() -> None:
    def run(first: int) -> list[float]:
        pool = Pool(4)
        return [
            pool.exchange(*numbered(n), seed=first + n)[0][0, 0, 0, 0].item() for n in range(60)
        ]

    assert run(0) == run(0)
    assert run(0) != run(1000)


class Listening(nn.Module):
    """A discriminator that notes what it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 1, 1)
        self.asked: list[tuple[Tensor, Tensor]] = []

    def forward(self, source: Tensor, image: Tensor) -> Judgement:
        self.asked.append((source, image))
        return Judgement((self.conv(torch.cat([source, image], 1)),), ((),))


def networks_of(pool: int) -> tuple[Networks, list[Term], Listening]:
    torch.manual_seed(0)
    listening = Listening()
    terms = [Term("gan", create("loss", "gan")), Term("l1", create("loss", "l1"), 10.0)]
    generator = create("generator", "unet:depth=3,width=2", source_channels=3, target_channels=3)
    parts = Parts(generator, listening, terms, [])
    precision = Precision("fp32", "cpu")
    return place(parts, Train(pool=pool), torch.device("cpu"), precision), terms, listening


def batch(number: int, size: int = 1) -> Batch:
    rng = torch.Generator().manual_seed(number)
    source, target = (torch.rand(size, 3, 8, 8, generator=rng) * 2 - 1 for _ in range(2))
    return Batch(source, target)


def test_in_a_step_d_sees_the_pool_and_g_is_judged_by_its_own_fake() -> None:
    networks, terms, listening = networks_of(pool=2)
    history: list[tuple[Tensor, Tensor]] = []
    earlier = 0
    for number in range(12):
        now = batch(number)
        listening.asked.clear()
        adversarial_step(networks, terms, now, Step(number, seed=number))
        (pool_source, pool_fake), (real_source, real), (g_source, g_fake) = listening.asked
        history.append((now.source, g_fake.detach()))
        assert real_source is g_source is now.source
        assert real is now.target
        assert not pool_fake.requires_grad
        of = [i for i, (_, f) in enumerate(history) if torch.equal(f, pool_fake)]
        assert len(of) == 1, "what D sees was made by G in one of the steps"
        assert torch.equal(pool_source, history[of[0]][0]), "with the source it was made from"
        earlier += of[0] < number
    assert earlier > 0


def test_every_update_and_part_of_d_goes_through_the_pool() -> None:
    networks, terms, _ = networks_of(pool=3)
    critic_step(networks, terms, batch(0, 2), Step(0, seed=0))
    adversarial_step(networks, terms, batch(1, 4), Step(1, seed=1, accumulate=2))
    assert networks.pool is not None
    assert len(networks.pool.pairs) == 3
    assert networks.pool.pairs[0][1].shape == (3, 8, 8)


def test_without_it_nothing_changes() -> None:
    """A pool that never fills shows the newest: the numbers of a step without one."""
    results = []
    for pool in (0, 50):
        networks, terms, _ = networks_of(pool)
        scalars = [
            adversarial_step(networks, terms, batch(n), Step(n, seed=n))["g_loss"].item()
            for n in range(3)
        ]
        results.append(scalars)
    assert results[0] == pytest.approx(results[1], rel=1e-6)


@pytest.mark.parametrize("stop", [1, 4])
def test_a_stopped_run_goes_on_with_the_same_pool(
    tiny: Callable[..., Any], tmp_path: Path, stop: int
) -> None:
    layer = {"train": {"pool": 3, "steps": 8, "ema": 0.9}}
    tiny("straight", layer)
    tiny("halves", layer, stop_at=stop)
    assert resume(RunFolder(tmp_path / "halves"), Observer()).finished
    ends = []
    for name in ("straight", "halves"):
        checkpoint, _ = newest_checkpoint(tmp_path / name)
        assert checkpoint is not None
        ends.append(
            {f"{n}/{k}": v for n in checkpoint.names for k, v in checkpoint.load(n).items()}
        )
    assert ends[0]["extras/train.pool/fake"].shape == (3, 3, 32, 32)
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][k], ends[1][k]) for k in ends[0])
