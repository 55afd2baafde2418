"""Evaluation while training: what is logged, which weights are kept, and that resuming agrees."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from p2ptk import Translator, create, register
from p2ptk.checkpoint import newest_checkpoint
from p2ptk.errors import Unavailable, UserError
from p2ptk.evaluate import evaluate
from p2ptk.observe import Observer
from p2ptk.plugins import configure
from p2ptk.run import resume
from p2ptk.runfolder import RunFolder
from p2ptk.weights import load_tensors, read_header

Tiny = Callable[..., Any]


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def scores(run: Path, name: str) -> dict[int, float]:
    return {row["step"]: row[name] for row in rows(run) if name in row}


def best_of(run: Path) -> Any:
    checkpoint, _ = newest_checkpoint(run)
    assert checkpoint is not None
    return checkpoint.state["best"]


def layer(every: int = 2, **output: Any) -> dict[str, Any]:
    return {"output": {"evaluate_every": every, **output}, "metrics": ["l1", "psnr"]}


def test_values_are_logged_and_the_best_weights_kept(
    tiny: Tiny, pairs: Path, tmp_path: Path
) -> None:
    tiny("run", layer(), {"train": {"lr": 0.02, "steps": 7}})
    run = tmp_path / "run"
    found = scores(run, "val_l1")
    assert list(found) == [2, 4, 6, 7]  # and the last step, whatever its number
    best = min(found, key=lambda step: found[step])
    header = read_header(run / "best.safetensors")
    assert (header.step, header.best_by) == (best, "l1")
    assert header.validation == {
        "l1": found[best],
        "psnr": scores(run, "val_psnr")[best],
    }
    assert best_of(run) == {"metric": "l1", "value": found[best], "step": best}
    # The file holds the weights that had this value, which `evaluate` finds again.
    data = create("dataset", f"side-by-side:path={pairs}")
    translator = Translator.load(run / "best.safetensors", "cpu", "fp32")
    again = evaluate(translator, data, data.split("val"), ["l1"])
    assert again["l1"] == pytest.approx(found[best], rel=1e-5)


@pytest.fixture
def registered() -> Iterator[Callable[..., None]]:
    """Registers metrics for one test."""
    yield partial(register, "metric")
    configure(enabled=True, files=[])


@pytest.mark.parametrize(("name", "best"), [("psnr", max), ("l1", min)])
def test_the_metric_says_which_way_is_better(
    tiny: Tiny, tmp_path: Path, name: str, best: Callable[..., float]
) -> None:
    tiny("run", layer(1, best=name), {"train": {"lr": 0.05}})
    found = scores(tmp_path / "run", f"val_{name}")
    assert len(set(found.values())) > 2
    assert best_of(tmp_path / "run")["value"] == best(found.values())


@pytest.mark.parametrize("stop", [2, 3, 4, 5])
def test_a_resumed_run_has_the_same_best(tiny: Tiny, tmp_path: Path, stop: int) -> None:
    tiny("straight", layer())
    tiny("halves", layer(), stop_at=stop)
    assert list(scores(tmp_path / "halves", "val_l1")) == [s for s in (2, 4) if s <= stop]
    assert resume(RunFolder(tmp_path / "halves"), Observer()).finished
    straight, halves = tmp_path / "straight", tmp_path / "halves"
    assert scores(straight, "val_l1") == scores(halves, "val_l1")
    assert best_of(straight) == best_of(halves)
    one, other = (load_tensors(run / "best.safetensors") for run in (straight, halves))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert read_header(straight / "best.safetensors") == read_header(halves / "best.safetensors")


def test_what_was_best_before_the_checkpoint_is_not_forgotten(tiny: Tiny, tmp_path: Path) -> None:
    """After a resume a worse value does not take the place of a better one from before."""
    tiny("run", layer(1), {"train": {"lr": 0.05}}, stop_at=4)
    kept = best_of(tmp_path / "run")
    before = (tmp_path / "run" / "best.safetensors").read_bytes()
    resume(RunFolder(tmp_path / "run"), Observer())
    after = best_of(tmp_path / "run")
    found = scores(tmp_path / "run", "val_l1")
    assert after["value"] == min(found.values())
    same = (tmp_path / "run" / "best.safetensors").read_bytes() == before
    assert same == (after["step"] == kept["step"])


def test_evaluating_changes_nothing_of_the_training(tiny: Tiny, tmp_path: Path) -> None:
    noisy = {"inference": {"dropout": True}, "metrics": ["l1", "diversity:samples=2"]}
    tiny("plain")
    tiny("scored", layer(1), noisy)
    one, other = (load_tensors(tmp_path / n / "generator.safetensors") for n in ("plain", "scored"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not (tmp_path / "plain" / "best.safetensors").exists()
    assert len(scores(tmp_path / "scored", "val_diversity-l1-s2")) == 6


def test_the_usual_metrics_where_none_is_named(tiny: Tiny, tmp_path: Path) -> None:
    tiny("run", {"output": {"evaluate_every": 6}})
    last = rows(tmp_path / "run")[-1]
    assert {"val_psnr", "val_ssim", "val_l1"} <= last.keys()
    assert {"g_loss", "images_per_s"} <= last.keys()  # it is the ordinary line of that step


def test_the_test_split_is_never_read(tiny: Tiny, pairs: Path, tmp_path: Path) -> None:
    class NoTest:
        def __init__(self) -> None:
            self.inner = create("dataset", f"side-by-side:path={pairs}")
            self.a, self.b = self.inner.a, self.inner.b
            self.asked: list[str] = []

        def splits(self) -> tuple[str, ...]:
            return ("train", "val", "test")

        def split(self, name: str) -> Any:
            self.asked.append(name)
            return self.inner.split(name)

    data = NoTest()
    tiny("run", layer(), dataset=data)
    assert set(data.asked) == {"train", "val"}


def test_what_would_fail_later_fails_before_the_first_step(
    tiny: Tiny, tmp_path: Path, registered: Callable[..., None]
) -> None:
    class Gone:
        def __init__(self) -> None:
            raise Unavailable("its weights are on the moon.")

    class Directionless:
        def update(self, fake: Any, target: Any, source: Any) -> None: ...

        def compute(self) -> dict[str, float]:
            return {"shade": 0.5}

    registered("gone", Gone)
    registered("shade", Directionless)
    for metrics, output, words in (
        (["ms-ssim"], {}, "ms-ssim:scales=2 would do"),
        (["l1", "gone"], {}, "on the moon"),
        (["l1", "diversity"], {}, "draws noise"),
        (["l1"], {"best": "l2"}, "no metric gives 'l2': choose from l1"),
        (["shade"], {}, "higher is better"),
        (["pnsr"], {}, "did you mean 'psnr'"),
    ):
        with pytest.raises((UserError, Unavailable), match=words):
            tiny("bad", {"metrics": metrics, "output": {"evaluate_every": 2, **output}})
    assert not (tmp_path / "bad").exists()


def test_metrics_that_are_never_computed_are_not_passed_over_in_silence(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Observer, "note", lambda self, text: said.append(text))
    tiny("run", {"metrics": ["l1"]}, stop_at=1)
    assert "metrics are named, but none is computed without --evaluate-every N" in said


def test_a_name_without_its_protocol_will_do(tiny: Tiny, tmp_path: Path) -> None:
    options = {"metrics": ["l1", "ssim:border=reflect"]}
    tiny("run", layer(6, best="ssim"), options)
    assert best_of(tmp_path / "run")["metric"] == "ssim-reflect"


def test_runs_from_before_have_no_best(tiny: Tiny, tmp_path: Path) -> None:
    """A checkpoint without the entry, as earlier releases wrote it, resumes."""
    tiny("run", stop_at=3)
    [state] = (tmp_path / "run").glob("checkpoints/*/state.json")
    table = json.loads(state.read_text())
    del table["state"]["best"]
    state.write_text(json.dumps(table))
    assert resume(RunFolder(tmp_path / "run"), Observer()).finished
