"""Real pairs to spoil, archives sound and hostile, and a server whose faults can be chosen."""

from __future__ import annotations

import io
import re
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import p2ptk

Pixels = NDArray[np.uint8]
Change = Callable[[int, Pixels, Pixels], tuple[Pixels, Pixels]]
EARTH = Path(p2ptk.__file__).parent / "datasets" / "earth"


@pytest.fixture(scope="session")
def tiles() -> Sequence[tuple[Pixels, Pixels]]:
    """20 pairs of 256x256: satellite picture and relief map."""
    halves = []
    for path in sorted((EARTH / "train").glob("*.jpg"))[::2][:20]:
        both = np.array(Image.open(path))
        halves.append((both[:, :256], both[:, 256:]))
    return halves


@pytest.fixture
def spoil(tiles: Sequence[tuple[Pixels, Pixels]], tmp_path: Path) -> Callable[..., Path]:
    """Write the tiles, each changed by a function (number, A, B) -> (A, B); each fifth is test."""

    def write(change: Change = lambda i, a, b: (a, b), count: int = 12) -> Path:
        folder = tmp_path / "spoilt"
        for split in ("train", "test"):
            (folder / split).mkdir(parents=True)
        for i, (a, b) in enumerate(tiles[:count]):
            split = "test" if i % 5 == 4 else "train"
            a, b = change(i, a, b)
            Image.fromarray(np.hstack([a, b])).save(folder / split / f"{i:02d}.jpg", quality=92)
        return folder

    return write


@dataclass
class Site:
    """What is served, and how.

    breaks: after how many bytes each of the next answers breaks off. ranges: whether it understands
    Range. tag: the file's version, "" for none. claims: the length it states, where that is false.
    status: an error to answer with. asked: the headers of all requests.
    """

    content: bytes
    breaks: list[int] = field(default_factory=list)
    ranges: bool = True
    tag: str = '"one"'
    claims: int | None = None
    status: int = 200
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)

    @property
    def ranges_asked(self) -> list[str | None]:
        return [headers.get("Range") for headers in self.asked]


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve while the context is open; `site.url` is the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(dict(self.headers))
            if site.status != 200:
                self.send_error(site.status)
                return
            start = 0
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            current = self.headers.get("If-Range") in (None, site.tag)
            if asked and site.ranges and current:
                start = int(asked[1])
                if start >= len(site.content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(site.content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
            body = site.content[start:]
            self.send_response(206 if start else 200)
            if start:
                last, total = len(site.content) - 1, len(site.content)
                self.send_header("Content-Range", f"bytes {start}-{last}/{total}")
            length = len(body) if site.claims is None else site.claims - start
            self.send_header("Content-Length", str(length))
            if site.tag:
                self.send_header("ETag", site.tag)
            self.end_headers()
            self.wfile.write(body[: site.breaks.pop(0)] if site.breaks else body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}/set.tar.gz"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


Member = tuple[str, bytes] | tarfile.TarInfo


def picture(value: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 8), (value, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def packed(members: Sequence[Member]) -> bytes:
    """A .tar.gz of (name, content) and of ready-made entries without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """An entry that is no plain file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Site]]:
    """serve(content, breaks=[1000], ...) -> the site, at its url until the test is over."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    open_sites: list[Any] = []

    def begin(content: bytes, **how: Any) -> Site:
        context = serving(Site(content, **how))
        site = context.__enter__()
        open_sites.append(context)
        return site

    yield begin
    for context in open_sites:
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def pack() -> Callable[[Sequence[Member]], bytes]:
    """pack([(name, content), entry]) -> a .tar.gz."""
    return packed


@pytest.fixture(scope="session")
def small_set() -> bytes:
    """A set as Berkeley packs them: one folder, splits in it."""
    folders = [entry(f"toy/{name}", tarfile.DIRTYPE) for name in ("", "train", "val")]
    files = [(f"toy/train/{i}.png", picture(i)) for i in range(4)] + [
        ("toy/val/0.png", picture(9)),
        ("toy/._train", b"rubbish of another system"),
        ("toy/.DS_Store", b"more of it"),
    ]
    return packed([*folders, *files])
