"""What the tests share: small pairs, tiny runs, and who may run where."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

# Plugins that happen to be installed beside p2ptk must not change what its tests see.
os.environ.setdefault("P2PTK_PLUGINS", "")

# Test processes side by side share the cores, and so do the commands that they start.
if side_by_side := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // side_by_side)))

# A shared machine stands still now and then: how long an example took says nothing.
settings.register_profile("p2ptk", deadline=None)
settings.load_profile("p2ptk")

TINY = {
    "size": 32,
    "generator": "unet:depth=3,width=4",
    "discriminator": "patchgan:layers=1,width=4",
    "train": {"batch_size": 2, "steps": 6},
    "precision": "fp32",
    "device": "cpu",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """GPU tests skip themselves where there is none."""
    import torch

    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests decode out of the user's cache."""
    os.environ["P2PTK_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded reference steps and real pairs beside the checkout."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("../shared (recorded reference steps, real pairs) is not here")
    return folder


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of side-by-side pairs 64x32 with splits train (9) and val (3): B is A inverted."""
    folder = tmp_path_factory.mktemp("pairs")
    numbers = np.random.default_rng(0)
    for split, count in (("train", 9), ("val", 3)):
        (folder / split).mkdir()
        for i in range(count):
            a = np.kron(numbers.integers(0, 255, (4, 4, 3)), np.ones((8, 8, 1))).astype("uint8")
            Image.fromarray(np.hstack([a, 255 - a])).save(folder / split / f"{i:02d}.png")
    return folder


def run_tiny(folder: Path, pairs: Path, *layers: dict[str, Any], **options: Any) -> Any:
    """Start a tiny run in that folder; gives its Outcome."""
    from p2ptk.config import RunConfig
    from p2ptk.layers import layers_of
    from p2ptk.observe import Observer
    from p2ptk.run import start
    from p2ptk.runfolder import RunFolder

    data = {"data": {"name": "side-by-side", "path": str(pairs)}}
    config = RunConfig.of(*layers_of({}), TINY, data, *layers)
    return start(config, RunFolder(folder), Observer(), **options)


@pytest.fixture
def tiny(pairs: Path, tmp_path: Path) -> Callable[..., Any]:
    """Start a tiny run in `tmp_path / name`: tiny("a", train__steps=3) -> its Outcome."""

    def run(name: str = "run", *layers: dict[str, Any], **options: Any) -> Any:
        return run_tiny(tmp_path / name, pairs, *layers, **options)

    return run


@pytest.fixture(scope="session")
def finished_run(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny run that is done, which nothing may be written to."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    run_tiny(folder, pairs)
    return folder


@pytest.fixture
def run_folder(finished_run: Path, tmp_path: Path) -> Path:
    """`tmp_path / "run"`: a copy of that run, for the test alone."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))
