"""The real page in a real browser: upload, draw, compare, many, and what is no picture."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromedriver"),
]


class Page:
    """The page in a headless Chromium that can reach no other host."""

    def __init__(self, url: str, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = str(BROWSER)
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--no-first-run", "--hide-scrollbars", "--window-size=1280,1100",
                     "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
                     f"--user-data-dir={profile}"):  # fmt: skip
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        self.saved = profile / "saved"
        self.saved.mkdir()
        options.add_experimental_option("prefs", {"download.default_directory": str(self.saved)})
        service = webdriver.ChromeService(executable_path=DRIVER)
        self.driver = webdriver.Chrome(options=options, service=service)
        self.url = url
        self.asked: list[str] = []

    def open(self) -> None:
        self.driver.get(self.url)
        self.until(lambda: self.find("#go"), "the page does not come up")
        time.sleep(1)  # Gradio's load events

    def find(self, selector: str) -> Any:
        found = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return next((e for e in found if e.is_displayed()), None)

    def until(self, condition: Callable[[], Any], complaint: str, seconds: float = 30) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.1)
        raise AssertionError(f"{complaint}: {self.text()[:2000]}")

    def text(self) -> str:
        return str(self.driver.find_element(By.TAG_NAME, "body").text)

    def tab(self, name: str) -> None:
        tabs = self.driver.find_elements(By.CSS_SELECTOR, "button[role=tab]")
        next(t for t in tabs if t.text.strip() == name and t.is_displayed()).click()
        time.sleep(0.5)

    def upload(self, place: str, *paths: Path) -> None:
        field = self.driver.find_element(By.CSS_SELECTOR, f"#{place} input[type=file]")
        field.send_keys("\n".join(map(str, paths)))
        time.sleep(1.0)

    def click(self, selector: str) -> None:
        button = self.until(lambda: self.find(selector), f"no {selector}")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
        button.click()

    def message(self) -> str:
        found = self.until(lambda: self.find(".toast-body"), "no message")
        time.sleep(0.3)
        said = str(found.text)
        for button in self.driver.find_elements(By.CSS_SELECTOR, ".toast-close"):
            button.click()
        self.until(lambda: not self.find(".toast-body"), "the message stays")
        return said

    def said(self, words: str) -> None:
        self.until(lambda: words in self.find("#said").text, f"not said: {words}")

    def download(self, selector: str) -> bytes:
        """What a button or link of the page has the browser save."""
        before = set(self.saved.iterdir())
        self.click(selector)

        def new() -> list[Path]:
            return [p for p in self.saved.iterdir() if p not in before and "." in p.name[1:]]

        self.until(lambda: any(p.suffix in (".png", ".zip") for p in new()), "nothing is saved")
        return next(p for p in new() if p.suffix in (".png", ".zip")).read_bytes()

    def hosts(self) -> set[str]:
        """Every host that a request went out to, or tried to, since the page was opened."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.asked.append(message["params"]["request"]["url"])
        network = [url for url in self.asked if url.startswith(("http", "ws"))]
        return {url.split("/")[2].rpartition(":")[0] for url in network}


@pytest.fixture(scope="module")
def served(serve: Callable[..., Any]) -> Any:
    return serve("blocks", "photos", "--max-upload", "0.2", "--max-pixels", "0.3")


@pytest.fixture(scope="module")
def page(served: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    opened = Page(served.url, tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.driver.quit()


@pytest.fixture(autouse=True)
def _anew(page: Page) -> None:
    page.open()


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A label map of 64x48 in the palette's colours."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, 32:] = (220, 40, 40)
    Image.fromarray(pixels).save(tmp_path / "labels.png")
    return tmp_path / "labels.png"


def shots(page: Page, name: str) -> None:
    """Keep a picture of the page where somebody wants to look at it."""
    if folder := os.environ.get("P2PTK_SCREENSHOTS"):
        page.driver.save_screenshot(f"{folder}/{name}.png")


def test_upload(page: Page, labels: Path) -> None:
    page.upload("upload", labels)
    page.click("#go")
    page.said("64x48, seed 0")
    page.until(lambda: page.find("#slider img"), "no slider")
    page.click("#fit input")
    page.click("#go")
    page.said("32x32, seed 0")
    page.click("#fit input")
    page.click("#go")
    page.said("64x48, seed 0")
    made = Image.open(io.BytesIO(page.download("#download")))
    assert (made.format, made.size, made.mode) == ("PNG", (64, 48), "RGB")
    shots(page, "upload")
    assert page.hosts() == {"127.0.0.1"}


def test_an_example(page: Page) -> None:
    first = page.until(lambda: page.find("#examples button img"), "no examples")
    first.click()
    page.until(lambda: page.find("#upload img"), "it is not taken over")
    time.sleep(0.5)
    page.click("#go")
    page.said("32x32, seed 0")


def test_draw(page: Page) -> None:
    page.tab("Draw")
    canvas = page.until(lambda: page.find("#editor canvas"), "no canvas")
    time.sleep(1)
    moves = ActionChains(page.driver).move_to_element(canvas).click_and_hold()
    for x, y in ((20, 0), (20, 15), (-30, 10), (-20, -20)):
        moves = moves.move_by_offset(x, y)
    moves.release().perform()
    time.sleep(0.5)
    shots(page, "draw")
    page.click("#go-drawn")
    page.said("32x32, seed 0")
    shots(page, "drawn")


def test_compare(page: Page, labels: Path) -> None:
    page.tab("Compare")
    page.upload("compare-upload", labels)
    page.click("#go-compare")
    page.until(lambda: len(page.driver.find_elements(By.CSS_SELECTOR, "#wall img")) >= 3, "no wall")
    text = page.find("#wall").text
    assert "source" in text
    assert "blocks" in text
    assert "photos" in text
    shots(page, "compare")


def test_many(page: Page, labels: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.write(labels, "a/one.png")
        archive.write(labels, "b/one.png")
        archive.writestr("bad.png", b"no picture")
        archive.writestr("notes.txt", b"left out silently")
    page.tab("Many")
    page.upload("files", tmp_path / "some.zip", labels)
    page.click("#go-many")
    page.until(lambda: "3 of 4 pictures translated" in page.find("#report").text, "no report")
    assert "bad.png: this is no picture" in page.find("#report").text
    with zipfile.ZipFile(io.BytesIO(page.download("#archive a[href]"))) as made:
        assert sorted(made.namelist()) == ["labels.png", "one-2.png", "one.png"]
    shots(page, "many")

    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../evil.png", b"")
    page.open()
    page.tab("Many")
    page.upload("files", tmp_path / "evil.zip")
    page.click("#go-many")
    assert "leads out of it" in page.message()


def test_what_is_no_picture(page: Page, labels: Path, tmp_path: Path) -> None:
    page.click("#go")
    assert "upload or paste a picture first" in page.message()
    (tmp_path / "text.png").write_text("not a picture")
    page.upload("upload", tmp_path / "text.png")
    page.click("#go")
    assert "this is no picture: give one of PNG" in page.message()
    page.open()
    Image.new("L", (3000, 3000)).save(tmp_path / "bomb.png")
    page.upload("upload", tmp_path / "bomb.png")
    page.click("#go")
    assert "at most 0.3 million pixels" in page.message()
    page.open()
    page.upload("upload", labels)  # the server goes on
    page.click("#go")
    page.said("64x48")


def test_about(page: Page) -> None:
    page.tab("About the model")
    page.until(lambda: "What it was trained on" in (page.find("#card") or page).text, "no card")
    shots(page, "about")
    assert page.hosts() == {"127.0.0.1"}


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "pyproject.toml", "../../etc/passwd", "file:///etc/passwd"]
)
def test_no_other_file_is_read(served: Any, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{served.url}/gradio_api/file={path}")
    assert caught.value.code in (403, 404)


def test_gradio_s_client(served: Any, labels: Path, tmp_path: Path) -> None:
    gradio_client = pytest.importorskip("gradio_client")
    client = gradio_client.Client(served.url, verbose=False, download_files=tmp_path)
    file = gradio_client.handle_file(str(labels))
    _, path, said = client.predict(file, "photos", 3, "512", "on", False, api_name="/translate")
    assert said == "64x48, seed 3"
    assert Image.open(path).size == (64, 48)


def test_a_client_can_t_name_files_or_addresses(served: Any) -> None:
    for path in ("/etc/passwd", "https://example.org/x.png"):
        stolen = {"path": path, "meta": {"_type": "gradio.FileData"}}
        body = json.dumps({"data": [stolen, "photos", 3, "512", "on", False]}).encode()
        request = urllib.request.Request(f"{served.url}/gradio_api/call/translate", body)
        request.add_header("Content-Type", "application/json")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        assert caught.value.code == 403
