from __future__ import annotations

import json
import math
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import pytest
import torch

from p2ptk.errors import UserError
from p2ptk.trackers import tensorboard as module
from p2ptk.trackers.tensorboard import TensorBoard, tag


def events(folder: Path) -> Any:
    """What TensorBoard itself reads of a folder: every scalar and every picture."""
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    found = accumulator.EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0}
    )
    found.Reload()
    return found


def picture(level: int) -> torch.Tensor:
    return torch.full((6, 9, 3), level, dtype=torch.uint8)


def test_scalars_and_images_by_tag_and_step(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    tracker = TensorBoard(folder=tmp_path)
    for step in (0, 10, 20):
        tracker.scalars(step, {"g_l1": step / 2, "val_psnr": 20.0, "images_per_s": 3.0})
        tracker.images(step, {"samples": picture(step)})
    tracker.scalars(30, {"g_l1": math.nan})
    tracker.close()
    found = events(tmp_path / "tensorboard")
    assert set(found.Tags()["scalars"]) == {"g/l1", "val/psnr", "run/images_per_s"}
    assert found.Tags()["images"] == ["samples"]
    assert [(e.step, e.value) for e in found.Scalars("g/l1")][:3] == [(0, 0), (10, 5), (20, 10)]
    assert math.isnan(found.Scalars("g/l1")[3].value)
    assert [(e.step, e.width, e.height) for e in found.Images("samples")] == [
        (0, 9, 6),
        (10, 9, 6),
        (20, 9, 6),
    ]


def test_a_resumed_run_shows_no_step_twice(tmp_path: Path) -> None:
    """The run was killed at step 40, and goes on from its checkpoint of step 20."""
    pytest.importorskip("tensorboard")
    for first, last, value in ((0, 40, 1.0), (30, 60, 2.0)):
        tracker = TensorBoard(folder=tmp_path)
        for step in range(first, last + 1, 10):
            tracker.scalars(step, {"g_l1": value})
            tracker.images(step, {"samples": picture(step)})
        tracker.close()
    found = events(tmp_path / "tensorboard")
    assert [e.step for e in found.Scalars("g/l1")] == [0, 10, 20, 30, 40, 50, 60]
    assert [e.value for e in found.Scalars("g/l1")] == [1, 1, 1, 2, 2, 2, 2]
    assert [e.step for e in found.Images("samples")] == [0, 10, 20, 30, 40, 50, 60]


def test_another_place(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    tracker = TensorBoard(folder=tmp_path / "runs" / "mine", path=str(tmp_path / "logs" / "{run}"))
    tracker.scalars(1, {"g_l1": 1.0})
    tracker.close()
    tracker.close()
    assert [e.step for e in events(tmp_path / "logs" / "mine").Scalars("g/l1")] == [1]


def test_nothing_is_written_before_there_is_something(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    TensorBoard(folder=tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = util.find_spec
    monkeypatch.setattr(
        module, "find_spec", lambda name: None if name == "tensorboard" else there(name)
    )
    with pytest.raises(UserError, match=r"pip install \"p2ptk\[tensorboard\]\""):
        TensorBoard(folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("g_l1", "g/l1"),
        ("d_loss", "d/loss"),
        ("val_fid-inception-256", "val/fid-inception-256"),
        ("lr_g", "lr/g"),
        ("epoch", "run/epoch"),
        ("feed_wait_s", "run/feed_wait_s"),
        ("g_", "run/g_"),
    ],
)
def test_tags(name: str, shown: str) -> None:
    assert tag(name) == shown


def test_a_run_is_mirrored_and_resumed(
    tiny: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every logged step and every sheet once, with the values of metrics.jsonl."""
    pytest.importorskip("tensorboard")
    from p2ptk.observe import Observer
    from p2ptk.run import resume
    from p2ptk.runfolder import RunFolder

    monkeypatch.chdir(tmp_path)
    table = {
        "trackers": ["tensorboard", "jsonl:path=mirror-{run}.jsonl"],
        "train": {"steps": 6},
        "output": {"log_every": 1, "sample_every": 2, "checkpoint_every": 2},
    }
    folder = RunFolder(tiny("mirrored", table, stop_at=3).folder)
    resume(folder, Observer())
    found = events(folder.path / "tensorboard")
    rows = folder.read_log()
    assert [e.step for e in found.Scalars("g/l1")] == [row["step"] for row in rows]
    assert [e.value for e in found.Scalars("g/l1")] == pytest.approx([r["g_l1"] for r in rows])
    assert [e.value for e in found.Scalars("lr/g")] == pytest.approx([r["lr_g"] for r in rows])
    sheets = sorted(int(p.stem) for p in folder.samples.glob("*.png"))
    assert [e.step for e in found.Images("samples")] == sheets
    mirror = (tmp_path / "mirror-mirrored.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["step"] for line in mirror] == [row["step"] for row in rows]
