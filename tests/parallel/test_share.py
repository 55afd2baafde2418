from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from p2ptk.capture import reason_against
from p2ptk.config import Train
from p2ptk.contracts import Judgement
from p2ptk.device import Precision
from p2ptk.errors import UserError
from p2ptk.optim import make_updater
from p2ptk.parallel.gradients import Exchange
from p2ptk.parallel.norms import SharedBatchNorm2d, synchronise
from p2ptk.parallel.ranks import Ranks
from p2ptk.parallel.share import check_shares, share
from p2ptk.step import Networks


class Watching:
    """Notes what it is shown, as an augmentation that adapts to D would."""

    def __init__(self) -> None:
        self.state = nn.Module()
        self.seen: list[Judgement] = []

    def observe(self, judged: Judgement) -> dict[str, torch.Tensor]:
        self.seen.append(judged)
        return {"shown": torch.tensor(float(len(judged.logits[0])))}


def networks(watching: dict[str, Any] | None = None) -> Networks:
    precision, train = Precision("fp32", "cpu"), Train()
    parts = [nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)) for _ in range(2)]
    updaters = [
        make_updater(part.named_parameters(), train, side, precision.scaler())
        for part, side in zip(parts, "gd", strict=True)
    ]
    return Networks(*parts, *updaters, precision, watching=watching or {})


def test_alone_nothing_changes() -> None:
    mine = networks()
    assert share(mine, Train(sync_norm=True), Ranks(), pytest.fail) is mine
    assert mine.g.exchange is None
    assert mine.g.early


@pytest.mark.parametrize("sync", [True, False])
def test_several_processes_exchange_gradients_and_on_request_statistics(sync: bool) -> None:
    mine = share(networks(), Train(sync_norm=sync), Ranks(1, 2), pytest.fail)
    assert mine.d is not None
    assert mine.g.exchange
    assert mine.d.exchange
    assert not mine.g.early  # a gradient is not whole before the others' have come
    assert isinstance(mine.generator, nn.Sequential)
    assert isinstance(mine.generator[1], SharedBatchNorm2d) == sync
    assert reason_against(mine, []) == "several processes average their gradients"


def test_augmentations_watch_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_gather(parts: list[torch.Tensor], x: torch.Tensor) -> None:
        for rank, part in enumerate(parts):
            part.copy_(x + rank)

    monkeypatch.setattr(dist, "all_gather", all_gather)
    watching = Watching()
    mine = share(networks({"ada": watching}), Train(), Ranks(0, 2), pytest.fail)
    together = mine.watching["ada"]
    assert together.state is watching.state
    notes = together.observe(Judgement((torch.zeros(3, 1, 2, 2),), ()))
    assert notes["shown"] == 6
    (seen,) = watching.seen
    assert seen.logits[0].flatten(1)[:, 0].tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("train", "world", "sentence"),
    [
        (Train(batch_size=1), 4, "--batch-size 4 would do"),
        (Train(batch_size=10), 4, "--batch-size 8 would do"),
        (Train(batch_size=12, accumulate=4), 2, "by 2 processes in 4 parts.*--batch-size 16 would"),
        (Train(batch_size=4, pool=50), 2, "train.pool keeps the translations of one process"),
    ],
)
def test_what_can_not_be_shared(train: Train, world: int, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        check_shares(train, world)


def test_what_can_be_shared() -> None:
    check_shares(Train(batch_size=16, accumulate=2), 4)
    check_shares(Train(batch_size=4), 4)
    check_shares(Train(batch_size=3, pool=50), 1)


@pytest.mark.gpu
def test_on_a_gpu_gradients_and_torchs_own_norm_are_those_of_one_process() -> None:
    dist.init_process_group("nccl", store=dist.HashStore(), rank=0, world_size=1)
    try:
        torch.manual_seed(0)
        plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 1, 3)).cuda()
        shared = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 1, 3)).cuda()
        shared.load_state_dict(plain.state_dict())
        synchronise(shared, pytest.fail)
        assert type(shared[1]) is nn.SyncBatchNorm
        exchange = Exchange(shared.parameters(), world=1, most=64)
        x = torch.randn(2, 3, 16, 16, device="cuda")
        plain(x).square().mean().backward()
        exchange.begin(only=True)
        shared(x).square().mean().backward()
        assert exchange.finish(torch.ones((), dtype=torch.bool, device="cuda"))
        for a, b in zip(plain.parameters(), shared.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)
    finally:
        dist.destroy_process_group()
