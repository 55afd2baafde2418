"""What the tests share: two tiny models, pictures, and a running server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from p2ptk import fit
from p2ptk_gradio.engine import Engine
from p2ptk_gradio.limits import Limits
from p2ptk_gradio.models import Models

PALETTE = [(0, 0, 0), (220, 40, 40), (40, 180, 60), (50, 80, 230)]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run folders at 32 pixels: `blocks` from labels with a palette, `photos` from pictures."""
    top = tmp_path_factory.mktemp("serve")
    numbers = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 3)):
        (top / "pairs" / split).mkdir(parents=True)
        for i in range(count):
            a = np.kron(np.array(PALETTE)[numbers.integers(0, 4, (4, 4))], np.ones((8, 8, 1)))
            both = np.hstack([a, 255 - a]).astype("uint8")
            Image.fromarray(both).save(top / "pairs" / split / f"{i}.png")
    palette = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in PALETTE]
    pairs: dict[str, Any] = {"name": "side-by-side", "path": str(top / "pairs")}
    data = {"blocks": {**pairs, "a_kind": "labels", "a_palette": palette}, "photos": pairs}
    before = os.environ.get("P2PTK_PLUGINS")
    os.environ["P2PTK_PLUGINS"] = ""
    for name, spec in data.items():
        fit(
            output=top / name,
            data=spec,
            size=32,
            generator="unet:depth=3,width=4,dropout=0.5,dropout_at=paper",
            discriminator="patchgan:layers=1,width=4",
            train__steps=20,
            train__lr=0.01,
            train__batch_size=2,
            device="cpu",
            precision="fp32",
            quiet=True,
        )
    os.environ.pop("P2PTK_PLUGINS") if before is None else os.environ.update(P2PTK_PLUGINS=before)
    return {name: top / name for name in data}


@pytest.fixture
def photo() -> Image.Image:
    """40 wide, 24 high: smooth colours."""
    y, x = np.mgrid[:24, :40]
    return Image.fromarray(np.stack([x * 6, y * 10, 255 - x * 6], -1).astype("uint8"))


@pytest.fixture
def make_engine(runs: dict[str, Path]) -> Iterator[Callable[..., Engine]]:
    """make_engine(queue=2): a started engine of both models on the CPU."""
    made: list[Engine] = []

    def make(*, started: bool = True, **limits: Any) -> Engine:
        models = Models([runs["photos"], runs["blocks"]], "cpu", "fp32")
        engine = Engine(models, Limits(**limits))
        if started:
            engine.start()
            assert engine.wait_ready(60)
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()


class Served:
    """`p2ptk serve` in a process of its own, on a free port of the loopback."""

    def __init__(self, *arguments: object) -> None:
        code = "from p2ptk.cli import main; main()"
        environment = os.environ | {"P2PTK_PLUGINS": "p2ptk-gradio", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", code, "serve", *map(str, arguments), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--device", "cpu", "--precision", "fp32"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        line = ""
        while not (found := re.search(r"http://\S+", line)):
            line = self.process.stdout.readline()  # type: ignore[union-attr]
            assert line, "the server did not start"
        self.url = found[0]
        self.wait_ready()

    def wait_ready(self) -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=10):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the server is not ready")

    def stop(self) -> tuple[int, str]:
        """End it by SIGTERM: its exit code, and what it wrote since it started."""
        self.process.terminate()
        written, _ = self.process.communicate(timeout=60)
        return self.process.returncode, written


@pytest.fixture(scope="session")
def serve(runs: dict[str, Path]) -> Iterator[Callable[..., Served]]:
    """serve("photos", "--api-only"): a running server; names of runs become their folders."""
    started: list[Served] = []

    def start(*arguments: object) -> Served:
        served = Served(*[runs.get(str(a), a) for a in arguments])
        started.append(served)
        return served

    yield start
    for served in started:
        if served.process.poll() is None:
            served.stop()
