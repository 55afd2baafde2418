"""Evidence of studies that never ran, with known answers; small study files and a launcher that
trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from p2ptk.layers import read_toml
from p2ptk.study.job import read_result, write_result
from p2ptk.study.records import Cost, Evidence, Job, Protocol, Result, Status, Variant

PROTOCOL = Protocol(
    metrics=("ssim", "l1"),
    primary="ssim",
    higher_is_better=True,
    select="last",
    split="test",
    data="side-by-side:path=pairs",
    size=(32, 32),
    budget="2,000 steps of 4 pairs = 8,000 images",
)
IMAGES = ("one", "two", "three", "four")


def make_result(label: str, seed: int, value: float, **changed: Any) -> Result:
    """A run that ended with that SSIM; its L1 is 1 - SSIM."""
    offsets = dict(zip(IMAGES, (-0.02, -0.01, 0.01, 0.02), strict=True))
    made = Result(
        key=f"{label}-{seed}",
        variant=label,
        seed=seed,
        status="done",
        metrics={"ssim": value, "l1": 1 - value},
        per_image={"ssim": {name: value + offset for name, offset in offsets.items()}},
        higher_is_better={"ssim": True, "l1": False},
        protocols={"ssim": "mean over images, window 11"},
        cost=Cost(5_400_000, 2_100_000_000, 40.0, 2**30, 75.0, "a machine"),
    )
    return replace(made, **changed)


def make_evidence(
    values: Mapping[str, Sequence[float]] | None = None,
    root: Path = Path(),
    changed: Sequence[Result] = (),
    made: tuple[Variant, ...] | None = None,
    **protocol: Any,
) -> Evidence:
    """A study of these SSIMs, seed by seed; changed: results in place of those of their keys."""
    values = values or {
        "L1 + cGAN": (0.50, 0.52, 0.51),
        "L1": (0.45, 0.46, 0.47),
        "cGAN": (0.49, 0.53, 0.50),
    }
    labels = list(values)
    seeds = tuple(range(max(len(each) for each in values.values())))
    found = {
        (label, seed): make_result(label, seed, value)
        for label, each in values.items()
        for seed, value in enumerate(each)
    }
    found |= {(r.variant, r.seed): r for r in changed}
    return Evidence(
        name="losses",
        root=root,
        protocol=replace(PROTOCOL, **protocol),
        variants=made
        or tuple(Variant(x, {"loss": x}, {}, baseline=x == labels[0]) for x in labels),
        seeds=seeds,
        results=tuple(found.values()),
        repeat="p2ptk study run losses.toml",
    )


@pytest.fixture
def result() -> Callable[..., Result]:
    """result(label, seed, ssim, **changed) -> Result."""
    return make_result


@pytest.fixture
def evidence() -> Callable[..., Evidence]:
    """evidence({label: (ssim of each seed, ...)}, changed=[Result, ...]) -> Evidence."""
    return make_evidence


BASE = """
[base]
data = {data!r}
size = 32
generator = "unet:depth=3,width=4"
discriminator = "patchgan:layers=1,width=4"
device = "cpu"
precision = "fp32"
train.batch_size = 2
"""
EVALUATE = """
[evaluate]
metrics = ["psnr", "ssim"]
primary = "ssim"
split = "val"
"""


def write_file(
    folder: Path, data: Path | str, body: str, head: str = "", evaluate: str = EVALUATE
) -> Path:
    """A study file of tiny runs on `data`: `head`, [base] with `body` after it, [evaluate]."""
    path = folder / "tiny.toml"
    top = f'seeds = 2\nbudget = "4 steps"\n{head}' if "seeds" not in head else head
    path.write_text(top + BASE.format(data=str(data)) + body + evaluate, "utf-8")
    return path


@dataclass
class Pretending:
    """Writes results as jobs do, after `how(job)`: a status, and the value of ssim.

    started: the jobs it was given, call by call.
    """

    how: Callable[[Job], Status] = lambda job: "done"
    value: Callable[[Job], float] = lambda job: 0.5 + 0.01 * job.seed
    started: list[list[tuple[str, int]]] = field(default_factory=list)

    def launch(self, jobs: Sequence[Job]) -> Iterator[Result]:
        self.started.append([(job.variant, job.seed) for job in jobs])
        for job in jobs:
            evaluate = read_toml(job.folder.parents[1] / "jobs" / f"{job.key}.toml")["evaluate"]
            before = read_result(job.folder)
            status = self.how(job)
            value = self.value(job)
            result = Result(
                key=job.key,
                variant=job.variant,
                seed=job.seed,
                status=status,
                reason="" if status == "done" else "as the test wants it.",
                attempts=before.attempts + 1 if before and before.status != "done" else 1,
                folder=f"runs/{job.key}",
                metrics={"ssim": value, "psnr": 20 * value} if status == "done" else {},
                higher_is_better={"ssim": True, "psnr": True},
            )
            write_result(job.folder, result, evaluate)
            yield result


@pytest.fixture
def write_study() -> Callable[..., Path]:
    """write_study(folder, data, body, head, evaluate) -> the file of a study of tiny runs."""
    return write_file


@pytest.fixture
def evaluate() -> str:
    """The [evaluate] that `write_study` writes unless it is given another."""
    return EVALUATE


@pytest.fixture
def pretending() -> type[Pretending]:
    """A launcher that writes results at once: pretending(how=job -> status)."""
    return Pretending


@pytest.fixture(scope="session")
def two_designs(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real runs of 4 steps: `gan-0`, `gan-1`, `l1-0` and `l1-1`, by seed."""
    from p2ptk.config import RunConfig
    from p2ptk.layers import layers_of
    from p2ptk.observe import Observer
    from p2ptk.run import start
    from p2ptk.runfolder import RunFolder

    folder = tmp_path_factory.mktemp("designs")
    base = {
        "data": {"name": "side-by-side", "path": str(pairs)},
        "size": 32,
        "generator": "unet:depth=3,width=4",
        "discriminator": "patchgan:layers=1,width=4",
        "train": {"batch_size": 2, "steps": 4},
        "output": {"log_every": 1, "evaluate_every": 2},
        "precision": "fp32",
        "device": "cpu",
    }
    designs: dict[str, dict[str, Any]] = {
        "gan": {},
        "l1": {"losses": ["l1:weight=50"], "discriminator": "none"},
    }
    for name, changed in designs.items():
        for seed in range(2):
            config = RunConfig.of(*layers_of({}), base, changed, {"seed": seed})
            start(config, RunFolder(folder / f"{name}-{seed}"), Observer())
    return folder


@pytest.fixture
def real(two_designs: Path, pairs: Path) -> Evidence:
    """Evidence whose results have those runs' folders; the values are made up."""
    values = {"gan": (0.5, 0.52), "l1": (0.45, 0.46)}
    changed = [
        make_result(label, seed, value, folder=f"{label}-{seed}")
        for label, each in values.items()
        for seed, value in enumerate(each)
    ]
    return make_evidence(values, two_designs, changed, split="val")
