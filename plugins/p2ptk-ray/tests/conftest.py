"""What the tests share: one Ray cluster with GPUs by name only, and jobs that train nothing."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from p2ptk import Study, list_components, register
from p2ptk_ray import plugin

STUDY = """
format = 1
seeds = {seeds}
budget = "{steps} steps"
[base]
recipe = "quick"
data = "demo"
direction = "BtoA"
size = 32
generator = "unet:depth=3,width=4"
discriminator = "none"
losses = ["l1"]
device = "cpu"
output.log_every = 2
output.checkpoint_every = 20
train.batch_size = 1
[factors]
"losses.l1.weight" = [100, 10]
[evaluate]
metrics = ["psnr"]
split = "val"
"""

# A job's process: `at` is this attempt's number, from 1; done() writes the result.
PRELUDE = """
import json, os, pathlib, sys, time
folder, seed, label = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
place = folder.parents[1] / "seen" / folder.name
place.parent.mkdir(exist_ok=True)
folder.mkdir(parents=True, exist_ok=True)
at = 1
while place.with_suffix(f".{at}").exists():
    at += 1
seen = {"pid": os.getpid(), "parent": os.getppid(), "begun": time.time(), "seed": seed,
        "environment": dict(os.environ), "folder": os.getcwd()}
def tell():
    place.with_suffix(".part").write_text(json.dumps(seen))
    place.with_suffix(".part").replace(place.with_suffix(f".{at}"))
def done(status="done"):
    table = {"key": folder.name, "variant": label, "seed": seed, "status": status}
    (folder / "result.json").write_text(json.dumps(table))
    seen["ended"] = time.time()
    tell()
tell()
"""

MakeJobs = Callable[..., list[Any]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a cluster skip themselves where Ray is not installed."""
    if find_spec("ray"):
        return
    reason = "Ray is not installed, or has no wheel for this platform"
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", autouse=True)
def _registered() -> None:
    """So that the tests run whether the plugin is installed and switched on, or not."""
    for component in plugin.p2ptk_launchers():
        if not list_components("launcher", component.name):
            register("launcher", component.name, component.target)


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a cluster of 3 GPUs and 6 cores by name, which this process is joined to."""
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(
        "local",
        num_cpus=6,
        num_gpus=3,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=100 * 2**20,
    )
    yield str(ray.get_runtime_context().gcs_address)
    ray.shutdown()


@pytest.fixture(scope="session")
def study_text() -> str:
    """The file of a study of two variants, with places for `seeds` and `steps`."""
    return STUDY


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Path]:
    """write_study(seeds=2, steps=4) -> the file of a study of two variants."""

    def write(seeds: int = 2, steps: int = 4) -> Path:
        path = tmp_path / "tiny.toml"
        path.write_text(STUDY.format(seeds=seeds, steps=steps), "utf-8")
        return path

    return write


@pytest.fixture
def make_jobs(tmp_path: Path, write_study: Callable[..., Path]) -> MakeJobs:
    """make_jobs(4, "done()") -> p2ptk's jobs, whose processes run that Python after PRELUDE."""

    def make(count: int, code: str = "done()") -> list[Any]:
        study = Study.from_file(write_study(seeds=(count + 1) // 2), tmp_path / "study")
        made = []
        for job in study.plan.jobs[:count]:
            rest = (str(job.folder), str(job.seed), job.variant)
            made.append(replace(job, command=(sys.executable, "-S", "-c", PRELUDE + code, *rest)))
        return made

    return make


@pytest.fixture
def seen(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """seen() -> what each attempt of those jobs' processes wrote down so far."""

    def read() -> list[dict[str, Any]]:
        files = sorted((tmp_path / "study" / "seen").glob("*.[0-9]*"))
        return [json.loads(file.read_text()) for file in files]

    return read
