"""A run folder to report on, and a browser to look at its page with.

The browser is headless Chromium, spoken to by its own debugging protocol over two pipes: no driver,
no package and no port are needed. The protocol: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import io
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from p2ptk.config import RunConfig
from p2ptk.contracts import Side
from p2ptk.layers import layers_of
from p2ptk.report.sheets import sample_sheet, save_png
from p2ptk.runfolder import RunFolder

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_browser() -> str | None:
    """The browser's path: $CHROMIUM, or the first of NAMES that is installed."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One tab. Its commands wait for their answers; a page that fails raises."""

    def __init__(self, profile: Path, timeout: float = 60.0) -> None:
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        self._timeout, self._number, self._rest = timeout, 0, b""
        self.messages: list[str] = []  # what the pages wrote to the console, or failed with
        # The protocol is spoken on descriptors 3 and 4, which nothing may stand on before.
        low, high = os.dup(to_read), os.dup(to_write)
        read, write = 90, 91

        def place() -> None:
            os.dup2(low, read)
            os.dup2(high, write)
            os.dup2(read, 3)
            os.dup2(write, 4)

        command = [
            str(find_browser()),
            *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"),
            *("--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars"),
            *("--disable-extensions", "--disable-background-networking"),
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            *("--no-proxy-server", f"--user-data-dir={profile}"),
        ]
        self._process = subprocess.Popen(
            command,
            pass_fds=(3, 4, low, high),
            preexec_fn=place,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for descriptor in (to_read, to_write, low, high):
            os.close(descriptor)
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a page in a window of that size and theme, and wait until it is there."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        end = time.monotonic() + self._timeout
        while self.run("location.href === 'about:blank' || document.readyState") != "complete":
            assert time.monotonic() < end, "the page does not load"
            time.sleep(0.05)
        self.settle()

    def settle(self) -> None:
        """Wait until all pictures are decoded and a frame is drawn."""
        self.run(
            "Promise.all([...document.images].map((i) => i.decode().catch(() => 0))).then(() => "
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))"
        )

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise AssertionError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element in the window, scrolled into view."""
        script = f"""(() => {{
            const found = document.querySelector({json.dumps(selector)});
            found.scrollIntoView({{block: "center"}});
            const box = found.getBoundingClientRect();
            return [box.left, box.top, box.width, box.height];
        }})()"""
        left, top, width, height = self.run(script)
        return left, top, width, height

    def drag(self, points: list[tuple[float, float]]) -> None:
        """Press the mouse at the first point, move it over the others, release it."""
        kinds = ["mousePressed", *["mouseMoved"] * len(points[1:]), "mouseReleased"]
        for kind, (x, y) in zip(kinds, [*points, points[-1]], strict=True):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.settle()

    def press(self, key: str, code: int) -> None:
        """A key of the keyboard, such as `ArrowLeft`, 37."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)
        self.settle()

    def picture(self, selector: str | None = None) -> Image.Image:
        """A screenshot of an element; without one, of the whole page."""
        self.settle()
        script = (
            f"(() => {{ const b = document.querySelector({json.dumps(selector or 'html')})"
            ".getBoundingClientRect(); return [b.left + scrollX, b.top + scrollY, b.width,"
            " b.height]; })()"
        )
        x, y, width, height = self.run(script)
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        return Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + self._timeout
        while True:
            answer = self._next(end)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.messages.append(json.dumps(answer["params"]))

    def _next(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready = select.select([self._read], [], [], max(0.0, end - time.monotonic()))[0]
            part = os.read(self._read, 1 << 20) if ready else b""
            assert part, "the browser does not answer"
            self._rest += part
        first, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message

    def close(self) -> None:
        """End the browser, all its processes with it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._read)
        os.close(self._write)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if find_browser() is None:
        pytest.skip("there is no Chromium here to look at the page with")
    opened = Browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


STEPS = (0, 20, 40, 60)


def level(step: int, pair: int) -> float:
    """How bright the output of a pair is at a step, in [-1, 1]."""
    return -0.8 + step / 60 + 0.1 * pair


@pytest.fixture
def paired_run(tmp_path: Path) -> RunFolder:
    """A run whose sheets show three pairs: outputs grow brighter, sources are red, targets blue."""
    folder = RunFolder(tmp_path / "paired")
    folder.create()
    table = {
        "recipe": "quick",
        "train": {"steps": 80},
        "output": {"samples": 3},
        "record": {"pairs": 40, "val": [f"v{i}" for i in range(6)], "device": "some CPU"},
    }
    folder.config.write_text(RunConfig.of(*layers_of(table)).toml(), "utf-8")
    for number in range(1, 31):
        row: dict[str, Any] = {"step": 2 * number, "epoch": number / 10, "seconds": 3.0 * number}
        row |= {"lr_g": 2e-4, "lr_d": 2e-4, "d_real": 0.6, "d_fake": 0.5, "d_loss": 0.55}
        row |= {"g_gan": 0.9, "g_l1": 90.0 / number, "g_loss": 0.9 + 90.0 / number}
        if number % 10 == 0:
            row |= {"val_psnr": 10.0 + number, "val_l1": 1.0 / number}
        folder.log(row)
    for step in STEPS:
        rows = [
            (colour(1, -1, -1), colour(*[level(step, p)] * 3), colour(-1, -1, 1)) for p in range(3)
        ]
        save_png(folder.samples / f"{step:06d}.png", sample_sheet(rows, Side(), Side()))
    return folder


def colour(red: float, green: float, blue: float, size: int = 128) -> torch.Tensor:
    return torch.tensor([red, green, blue]).view(3, 1, 1).expand(3, size, size)
