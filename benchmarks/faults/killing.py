"""Small training runs in processes of their own, stopped in every way, and set beside one that was
never stopped.

The parent loads torch once and forks, so that a run costs a second and not five. It must not have
trained itself: torch's threads do not live in a fork.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from p2ptk.checkpoint import newest_checkpoint
from p2ptk.config import RunConfig
from p2ptk.layers import layers_of
from p2ptk.observe import Observer
from p2ptk.run import resume, start
from p2ptk.runfolder import RunFolder
from p2ptk.weights import load_tensors

STEPS = 24
SETTINGS = {
    "size": 32,
    "generator": "unet:depth=3,width=4",
    "discriminator": "patchgan:layers=1,width=4",
    "train": {"batch_size": 2, "steps": STEPS, "ema": 0.9},
    "output": {"checkpoint_every": 2, "sample_every": 4, "log_every": 1},
    "precision": "fp32",
    "device": "cpu",
}
# Columns of a logged line that tell of time, and so differ between equal runs.
OF_TIME = ("seconds", "images_per_s", "feed_wait_s")


class Killed(NamedTuple):
    """A run that was stopped `stops` times and then let finish.

    during: what its process was doing each time, as the files it left half written tell.
    wrong: what was found at the end that is not as it should be; empty where nothing is lost.
    """

    stops: int
    during: tuple[str, ...]
    wrong: str


def write_pairs(folder: Path, count: int = 9) -> Path:
    """Pairs side by side, 64x32, in splits train and val: B is A inverted."""
    numbers = np.random.default_rng(0)
    for split, many in (("train", count), ("val", 3)):
        (folder / split).mkdir(parents=True)
        for i in range(many):
            a = np.kron(numbers.integers(0, 255, (4, 4, 3)), np.ones((8, 8, 1))).astype("uint8")
            Image.fromarray(np.hstack([a, 255 - a])).save(folder / split / f"{i:02d}.png")
    return folder


def small_config(pairs: Path, *layers: dict[str, Any]) -> RunConfig:
    data = {"data": {"name": "side-by-side", "path": str(pairs)}}
    return RunConfig.of(*layers_of({}), SETTINGS, data, *layers)


def begin(config: RunConfig, folder: Path) -> int:
    """Start or resume the run in a process of its own; gives the process's number.

    It exits with 0 when the run is finished, 3 stopped, 130 after KeyboardInterrupt, 1 at fault;
    what it says stands in FOLDER.log.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with folder.with_suffix(".log").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        torch.set_num_threads(1)
        run = RunFolder(folder)
        outcome = resume(run, Observer()) if run.holds_run else start(config, run, Observer())
        code = 0 if outcome.finished else 3
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def finish(child: int) -> int:
    """Wait for a process; its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def ended(child: int) -> bool:
    """Whether a process is over, leaving it to `finish`."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def half_written(folder: Path) -> Path | None:
    """A file that is being written, or that a killed process left so."""
    return next(folder.rglob(".p2ptk-*.tmp"), None)


def doing(folder: Path) -> str:
    """What a run does, by the files it has half written."""
    found = half_written(folder)
    if found is None:
        return "no file half written"
    where = found.parent.name
    if where in ("checkpoints", "samples"):
        return f"writing {where}"
    return "writing " + next((p.name for p in found.rglob("*") if p.is_file()), "another file")


def kill_at(child: int, folder: Path, seconds: float, aim: str | None) -> tuple[int, str]:
    """SIGKILL a run after some seconds, and with `aim` at the next moment that it writes a file in
    the folder of that name; gives its exit code and what it did then."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not ended(child):
        time.sleep(0.001)
    while aim and not ended(child):
        if any((folder / aim).glob(".p2ptk-*.tmp")):
            break
    os.kill(child, signal.SIGKILL)
    return finish(child), doing(folder)


def kill_and_resume(
    config: RunConfig, folder: Path, whole: Path, rng: random.Random, longest: float
) -> Killed:
    """One run, killed at a random moment (a third of them twice, or three times), then let finish.

    whole: the same run, never stopped. longest: seconds that it took.
    """
    during = []
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        aim = rng.choice((None, None, "checkpoints", "samples"))
        child = begin(config, folder)
        code, what = kill_at(child, folder, rng.uniform(0, longest), aim)
        if code != -signal.SIGKILL:
            break
        during.append(what)
    code = finish(begin(config, folder))
    return Killed(len(during), tuple(during), differences(folder, whole, code))


def differences(folder: Path, whole: Path, code: int = 0) -> str:
    """How a finished run differs from one never stopped, or has something left over; or ''."""
    if code != 0:
        log = folder.with_suffix(".log")
        said = log.read_text().splitlines() if log.exists() else []
        return f"exit code {code}: {said[-1] if said else 'nothing said'}"
    if stray := half_written(folder):
        return f"{stray.relative_to(folder)} is left over"
    for name, (ours, theirs) in _tensors(folder, whole).items():
        if ours.keys() != theirs.keys():
            return f"{name}: other tensors"
        for key in ours:
            if not torch.equal(ours[key], theirs[key]):
                return f"{name}: {key} is not bit for bit the same"
    rows = [list(_rows(run / "metrics.jsonl")) for run in (folder, whole)]
    if rows[0] != rows[1]:
        return f"metrics.jsonl: steps {[row.get('step') for row in rows[0]]}"
    # One that was asked to stop has drawn its samples then, too.
    names = [{p.name for p in (run / "samples").iterdir()} for run in (folder, whole)]
    return f"no samples {sorted(names[1] - names[0])}" if names[1] - names[0] else ""


def _tensors(*runs: Path) -> dict[str, tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """What two runs ended with: each group of the last checkpoint, and the portable weights."""
    first, second = (newest_checkpoint(run)[0] for run in runs)
    assert first is not None
    assert second is not None
    assert first.step == second.step
    groups = {name: (first.load(name), second.load(name)) for name in second.names}
    model = [load_tensors(run / "generator.safetensors") for run in runs]
    return {**groups, "generator.safetensors": (model[0], model[1])}


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Every line, without its times. Raises ValueError for half a line."""
    text = path.read_text("utf-8")
    if not text.endswith("\n"):
        raise ValueError(f"{path} ends in half a line")
    for line in text.splitlines():
        row = json.loads(line)
        yield {k: v for k, v in row.items() if k not in OF_TIME}


# How a run may be asked to stop: by name, what is sent, and the exit codes that are right.
ASKED: dict[str, tuple[tuple[signal.Signals, ...], tuple[int, ...]]] = {
    "SIGTERM": ((signal.SIGTERM,), (3,)),
    "Ctrl-C": ((signal.SIGINT,), (3,)),
    "Ctrl-C twice": ((signal.SIGINT, signal.SIGINT), (130, 3)),
}


def ask_and_resume(config: RunConfig, folder: Path, whole: Path, way: str) -> str:
    """Ask a run to stop after a few steps, and resume it: '' or what was wrong.

    The second Ctrl-C may come when the first was already obeyed.
    """
    signals, right = ASKED[way]
    child = begin(config, folder)
    wait_for(lambda: RunFolder(folder).log_length() > 0 or ended(child))
    for number in signals:
        os.kill(child, number)
        time.sleep(0.002)
    code = finish(child)
    if code not in right:
        return f"exit code {code}"
    if half_written(folder):
        return f"{half_written(folder)} is left over"
    if code == 3 and newest_checkpoint(folder)[0] is None:
        return "no checkpoint was written"
    return differences(folder, whole, finish(begin(config, folder)))


def wait_for(true: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise TimeoutError("it did not happen")
        time.sleep(0.001)
