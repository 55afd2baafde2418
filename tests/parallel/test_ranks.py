from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import torch
import torch.distributed as dist

from p2ptk.errors import Elsewhere, UserError
from p2ptk.observe import Observer
from p2ptk.parallel.ranks import Ranks, joined, lost


def in_threads(work: Callable[[int], Any]) -> list[Any]:
    """What two processes give, each of them a thread here."""
    with ThreadPoolExecutor(2) as pool:
        return [future.result(60) for future in [pool.submit(work, rank) for rank in (0, 1)]]


@pytest.fixture
def groups() -> list[Any]:
    """Two processes' control groups, joined in two threads."""
    store = dist.HashStore()

    def join(rank: int) -> Any:
        return dist.ProcessGroupGloo(store, rank, 2, timedelta(seconds=30))

    return in_threads(join)


def test_alone_everything_is_ones_own() -> None:
    ranks, x = Ranks(), torch.randn(3, 2)
    assert ranks.alone
    assert ranks.leads
    assert ranks.mean(x) is x
    assert ranks.gather(x) is x
    assert ranks.collect("a") == ["a"]
    assert ranks.told("b") == "b"
    assert ranks.vote(True, False) == (True, False)
    assert ranks.vote(False, True) == (False, True)
    with ranks.led() as leads:
        assert leads
    with pytest.raises(ValueError, match="mine"), ranks.agreeing():
        raise ValueError("mine")


def test_processes_of_a_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(12)), raising=False)
    assert Ranks().share_of_cores(None) is None
    assert Ranks(0, 8, 4).share_of_cores(None) == 3
    assert Ranks(0, 32, 32).share_of_cores(None) == 1
    assert Ranks(0, 8, 4).share_of_cores(0) == 0


def test_votes_are_answered_a_step_later_and_alike(
    groups: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reduce(x: torch.Tensor, op: Any, group: Any, async_op: bool) -> Any:
        options = dist.AllreduceOptions()
        options.reduceOp = op
        return group.allreduce([x], options)

    monkeypatch.setattr(dist, "all_reduce", reduce)

    def vote(rank: int) -> list[tuple[bool, bool]]:
        ranks = Ranks(rank, 2, 2, groups[rank])
        mine = [(False, False), (rank == 1, False), (False, rank == 0), (False, True)]
        return [ranks.vote(*ballot) for ballot in [*mine, (False, False), (False, False)]]

    found = in_threads(vote)
    assert found[0] == found[1]
    assert found[0] == [
        (False, False),
        (False, False),
        (True, False),
        (False, True),  # and what was asked for a second time is not done twice
        (False, False),
        (False, False),
    ]


@pytest.mark.parametrize("wrong", [None, 0, 1, "both"])
def test_where_one_fails_all_end(monkeypatch: pytest.MonkeyPatch, wrong: Any) -> None:
    barrier = threading.Barrier(2)
    told = [False, False]

    def run(rank: int) -> type:
        ranks = Ranks(rank, 2)

        def collect(value: bool) -> list[bool]:
            told[rank] = value
            barrier.wait(30)
            return list(told)

        ranks.collect = collect  # type: ignore[method-assign, assignment]
        try:
            with ranks.agreeing():
                if wrong in (rank, "both"):
                    raise UserError(f"{rank} has no pairs.")
        except Exception as error:
            return type(error)
        return type(None)

    expected: dict[Any, list[type]] = {
        None: [type(None), type(None)],
        0: [UserError, Elsewhere],
        1: [Elsewhere, UserError],
        "both": [UserError, Elsewhere],
    }
    assert in_threads(run) == expected[wrong]


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")  # as some clusters leave behind
    with joined("cpu") as ranks:
        assert ranks.alone


def test_processes_do_not_share_one_gpu_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("p2ptk.parallel.ranks.choose_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(UserError, match="each process takes its own"), joined("cuda:1"):
        pass
    with pytest.raises(UserError, match="there are 1 GPUs here, and process 1"), joined("cuda"):
        pass
    with pytest.raises(UserError, match="can't share 'mps'"), joined("mps"):
        pass


def test_only_the_leader_talks(caplog: pytest.LogCaptureFixture) -> None:
    observer = Observer()
    assert Ranks(0, 2).observer(observer) is observer
    with caplog.at_level("INFO", "p2ptk"):
        Ranks(1, 2).observer(observer).note("there are few pairs")
    assert "process 1: there are few pairs" in caplog.text


def test_a_lost_process_is_told_from_other_faults() -> None:
    assert lost(RuntimeError("[/gloo/transport/tcp/pair.cc:534] Connection closed by peer [::1]"))
    assert lost(dist.DistBackendError("NCCL error"))
    assert not lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
