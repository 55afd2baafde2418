"""The page in a real browser: its translations are PyTorch's."""

from __future__ import annotations

import base64
import functools
import http.server
import importlib.util
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import p2ptk
from p2ptk import Side, UserError

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from p2ptk_web.page import FILES, find_runtime, read_facts, write_page

ROOT = Path(__file__).parents[3]
PALETTE = ((0, 0, 0), (200, 0, 0), (0, 200, 0))
Model = tuple[Path, Path]  # ONNX and safetensors


def save(folder: Path, spec: str, source: Side, **header: Any) -> Model:
    """A model with random weights, and its ONNX file."""
    from p2ptk.export.model import export_model
    from p2ptk.weights import ModelHeader, save_generator

    channels = {"source_channels": source.depth or 3, "target_channels": 3}
    torch.manual_seed(0)
    module = p2ptk.create("generator", spec, **channels)
    folder.mkdir()
    path = folder / "model.safetensors"
    about = {"size": 32, "size_multiple": 8, "source": source, **channels, **header}
    save_generator(path, module, ModelHeader(generator=p2ptk.Spec.parse(spec).table(), **about))
    export_model(path, folder / "model.onnx", "onnx", half=True)
    return folder / "model.onnx", path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("models") / "photos"
    return save(folder, "unet:depth=3,width=8", Side(), inference_norm="image")


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("models") / "labels"
    side = Side("labels", palette=PALETTE)
    spec = "unet:depth=3,width=8,dropout_at=paper"
    return save(folder, spec, side, inference_dropout=True)


def test_the_build_fetches_what_a_page_needs() -> None:
    text = (Path(__file__).parents[1] / "hatch_build.py").read_text("utf-8")
    names: dict[str, Any] = {"Path": Path}
    exec(text[text.index("PLACE =") : text.index("class ")], names)
    assert names["FILES"] == FILES


def test_what_the_page_can_not_show_is_refused(photos: Model, tmp_path: Path) -> None:
    from p2ptk_web.page import need_pictures

    facts = read_facts(photos[0])
    need_pictures(facts)
    for side, words in (
        ({"kind": "image", "channels": 4}, "4 channels; a browser's have 1 or 3"),
        ({"kind": "values", "channels": 1}, "measurements"),
        ({"kind": "labels", "channels": 1, "palette": None}, "class numbers without colours"),
    ):
        with pytest.raises(UserError, match=words):
            need_pictures({**facts, "image": side})
    with pytest.raises(UserError, match="no ONNX file of p2ptk's"):
        read_facts(photos[1])
    with pytest.raises(UserError, match="there is no file"):
        read_facts(tmp_path / "none.onnx")
    with pytest.raises(UserError, match="is no unpacked onnxruntime-web; it lacks"):
        write_page(photos[0], tmp_path / "page", tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- in a browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    helper = ROOT / "tests" / "report" / "conftest.py"
    if not helper.is_file():
        pytest.skip("the tests of p2ptk's report, whose browser this uses, are not here")
    spec = importlib.util.spec_from_file_location("p2ptk_tests_browser", helper)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.find_browser() is None:
        pytest.skip("no Chromium is installed; CHROMIUM=PATH names one")
    found = module.Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    """serve(onnx) -> the address of its page."""
    try:
        find_runtime(None)
    except UserError as error:
        pytest.skip(str(error))
    servers = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    def start(model: Path) -> str:
        folder = tmp_path / f"page-{len(servers)}"
        write_page(model, folder)
        handler = functools.partial(Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/index.html?wasm"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def wait(browser: Any, script: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not browser.run(script):
        assert time.monotonic() < end, browser.run("document.querySelector('#status').textContent")
        time.sleep(0.05)


def ready(browser: Any, address: str) -> None:
    browser.open(address)
    wait(browser, "document.documentElement.dataset.state !== undefined")
    said = browser.run("document.querySelector('#status').textContent")
    assert said.startswith("Ready, on WebAssembly"), said


def give(browser: Any, content: bytes, name: str = "picture.png") -> None:
    """Choose a file in the page, as a person does."""
    text = base64.b64encode(content).decode()
    browser.run(f"""(() => {{
        const bytes = Uint8Array.from(atob({json.dumps(text)}), (c) => c.charCodeAt(0));
        const list = new DataTransfer();
        list.items.add(new File([bytes], {json.dumps(name)}, {{type: "image/png"}}));
        const file = document.querySelector("#file");
        file.files = list.files;
        file.dispatchEvent(new Event("change"));
    }})()""")


def made(browser: Any, canvas: str = "image") -> np.ndarray[Any, Any]:
    """The pixels of a canvas, H W 3."""
    uri = browser.run(f"document.getElementById('{canvas}').toDataURL()")
    content = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


DONE = "document.querySelector('#status').textContent.includes('pixels in')"


def png(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "png")
    return buffer.getvalue()


@pytest.mark.slow
def test_a_picture_is_translated_as_by_pytorch(
    browser: Any, serve: Any, photos: Model, tmp_path: Path
) -> None:
    ready(browser, serve(photos[0]))
    translator = p2ptk.Translator.load(photos[1], "cpu", "fp32")
    numbers = np.random.default_rng(0)
    picture = np.kron(numbers.integers(0, 255, (8, 8, 3)), np.ones((4, 4, 1))).astype("uint8")
    give(browser, png(picture))
    wait(browser, DONE)
    # float16 weights, and rounding: a few of 255 steps.
    assert np.abs(made(browser) - translator(picture).astype(int)).max() <= 4
    # Any size: padded to multiples of 8, as a Translator does.
    odd = np.kron(numbers.integers(0, 255, (5, 7, 3)), np.ones((7, 7, 1))).astype("uint8")
    browser.run("document.querySelector('#size').value = 'own'; 0")
    give(browser, png(odd))
    wait(browser, f"{DONE} && document.querySelector('#image').width === 49")
    assert np.abs(made(browser) - translator(odd).astype(int)).max() <= 4
    # What is no picture gets a sentence, and the page goes on.
    give(browser, b"no picture", "wrong.png")
    wait(browser, "document.querySelector('#status').textContent.startsWith('wrong.png is no')")
    assert not [m for m in browser.messages if "Refused" in m]


@pytest.mark.slow
def test_labels_are_drawn_with_their_colours_and_noise_has_a_seed(
    browser: Any, serve: Any, labels: Model
) -> None:
    ready(browser, serve(labels[0]))
    assert browser.run("document.querySelectorAll('.swatch').length") == len(PALETTE)
    left, top, width, height = browser.box("#source")
    browser.drag([(left + width * part, top + height * part) for part in (0.2, 0.5, 0.8)])
    wait(browser, DONE)
    drawn = made(browser, "source")
    assert (drawn[16, 16] == PALETTE[1]).all()
    first = made(browser)
    set_seed = (
        "(() => { const s = document.querySelector('#seed'); s.value = %d; s.onchange(); })()"
    )
    browser.run(set_seed % 5)
    time.sleep(0.5)
    wait(browser, DONE)
    other = made(browser)
    browser.run(set_seed % 0)
    time.sleep(0.5)
    wait(browser, DONE)
    assert np.array_equal(made(browser), first)
    assert browser.run("document.querySelector('#noise').hidden") is False
    import onnxruntime

    session = onnxruntime.InferenceSession(str(labels[0]), providers=["CPUExecutionProvider"])
    distances = ((drawn[..., None, :] - np.array(PALETTE)) ** 2).sum(-1)
    feeds = {"source": distances.argmin(-1).astype("uint8")[None, None]}
    for seed, found in ((0, first), (5, other)):
        (expected,) = session.run(None, {**feeds, "seed": np.array([seed])})
        shown = (expected[0].transpose(1, 2, 0) * 255).round()
        assert np.abs(found - shown).max() <= 4
