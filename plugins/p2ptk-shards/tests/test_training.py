"""Shards in training: order, workers, processes, resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from p2ptk import create


def feed(data: Any, **options: Any) -> Any:
    """The feed as training makes it, streamed."""
    from p2ptk.feed import make_feed

    given = {"direction": "AtoB", "size": (32, 32), "batch_size": 4, "seed": 5, "workers": 0}
    return make_feed(
        data.split("train"),
        data.a,
        data.b,
        device=torch.device("cpu"),
        kind="streamed",
        **(given | options),
    )


@pytest.fixture
def data(shards: Path, tmp_path: Path) -> Any:
    spec = {"name": "webdataset", "path": str(shards), "window": 2}
    return create("dataset", spec | {"cache": str(tmp_path / "c")})


def test_an_epoch_has_each_pair_once_and_mixes_two_shards(data: Any) -> None:
    names = [name for step in range(6) for name in feed(data).batch(step).names]
    assert sorted(names) == sorted(data.split("train").names)
    assert names != sorted(names)
    shard_of = [int(name) // 6 for name in names]
    assert shard_of.index(shard_of[-1]) > 6  # the last one was not begun at the start


def test_workers_and_processes_see_the_same(data: Any, parquet: Path) -> None:
    rows = create("dataset", {"name": "hf", "path": str(parquet), "window": 2})
    for made in (data, rows):
        one, two = feed(made), feed(made, workers=2)
        shares = {
            world: [feed(made, rank=r, world=world) for r in range(world)] for world in (2, 4)
        }
        for step in (0, 1, 5, 6):
            whole, other = one.batch(step), two.batch(step)
            assert torch.equal(whole.source, other.source)
            assert torch.equal(whole.target, other.target)
            for ranks in shares.values():
                parts = [rank.batch(step) for rank in ranks]
                assert torch.equal(torch.cat([part.source for part in parts]), whole.source)
                assert sum((part.names for part in parts), ()) == whole.names
        two.close()


def p2ptk(*arguments: object) -> None:
    from p2ptk.cli import main

    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert ended.value.code in (None, 0, 3)


def test_a_resumed_run_is_the_same_to_the_bit(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamed; interrupted within an epoch, with the cache folder emptied meanwhile."""
    monkeypatch.setattr("p2ptk.feed.decoded_bytes", lambda split: 2**60)
    cache = tmp_path / "c"
    run = f"run -d webdataset:path={shards},window=2,cache={cache} --size 32 --batch-size 2 "
    run += "--steps 9 --device cpu --precision fp32 -G unet:depth=3,width=4 "
    run += "-D patchgan:layers=1,width=4 -o"
    p2ptk(*run.split(), tmp_path / "whole")
    p2ptk(*run.split(), tmp_path / "halves", "--stop-at", 5)
    for path in cache.glob("shards/*.pixels"):
        path.unlink()
    p2ptk("resume", tmp_path / "halves")
    assert list(cache.glob("shards/*.pixels"))
    weights = [tmp_path / name / "generator.safetensors" for name in ("whole", "halves")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    rows = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").open()]
        for name in ("whole", "halves")
    ]
    assert [row.get("g_loss") for row in rows[0]] == [row.get("g_loss") for row in rows[1]]
