"""Downloads one file over HTTP, and goes on where it was broken off."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from p2ptk import __version__
from p2ptk.errors import P2ptkError, UserError
from p2ptk.files import explained, write_atomically

Progress = Callable[[int, int | None], None]
Check = Callable[[int], None]

TIMEOUT = 30.0  # seconds without a byte
TRIES = 5  # in a row that bring nothing new
_PIECE = 1 << 16


@dataclass(frozen=True)
class _Answer:
    """What a server says: where its bytes begin, how long the whole is, and its version."""

    start: int
    total: int | None
    version: str


def download(
    url: str,
    path: Path,
    *,
    progress: Progress | None = None,
    check: Check | None = None,
    wait: float = 1.0,
) -> None:
    """Fetch `url` to `path`, by way of `path` + `.part`, which a later call goes on with.

    A broken connection is taken up again by itself, as long as each try brings something; a server
    that can't go on, or whose file has changed meanwhile, is asked from the beginning.
    progress: told (bytes, total), the total None where the server does not say.
    check: told the total before anything is written; raises what is to be raised.
    wait: seconds before the second try; they double.

    Raises P2ptkError, in one sentence, where the host can't be reached, answers with an error, or
    breaks off for good; UserError for what is no http address.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise UserError(f"{url!r} is no address that begins with http:// or https://.")
    part = path.with_name(path.name + ".part")
    failures, reached = 0, False
    while True:
        before = _size(part)
        try:
            _go_on(url, part, progress, check)
            break
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            reached = reached or not isinstance(error, urllib.error.URLError)
            failures = 0 if _size(part) > before else failures + 1
            if failures >= TRIES or not reached or _final(error):
                raise P2ptkError(_sentence(url, part, error)) from error
            time.sleep(wait * 2**failures)
    with explained(path):
        part.replace(path)
        _about(part).unlink(missing_ok=True)


def _go_on(url: str, part: Path, progress: Progress | None, check: Check | None) -> None:
    """One request; returns when the file is whole. Raises OSError where it breaks off."""
    have, version = _size(part), _version(part)
    headers = {"User-Agent": f"p2ptk/{__version__}", "Accept-Encoding": "identity"}
    if have and version:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    elif have:
        headers |= {"Range": f"bytes={have}-"}
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT
        )
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        # Past the end: the part is whole, or belongs to another file.
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return
        part.unlink()
        raise ConnectionError("what is there does not belong to the server's file") from error
    with response:
        answer = _read_answer(response, have)
        if answer is None:
            part.unlink()
            raise ConnectionError("the server sent another part than it was asked for")
        if answer.total is not None and check:
            check(answer.total)
        with explained(part):
            write_atomically(_about(part), json.dumps({"version": answer.version}).encode())
            file = part.open("r+b" if answer.start else "wb")
        with file:
            file.truncate(answer.start)
            file.seek(answer.start)
            done = answer.start
            while piece := response.read(_PIECE):
                with explained(part):
                    file.write(piece)
                done += len(piece)
                if progress:
                    progress(done, answer.total)
    if answer.total is not None and done < answer.total:
        raise ConnectionError("the connection broke")


def _read_answer(response: Any, have: int) -> _Answer | None:
    """What comes, or None where it does not begin where we are."""
    length = response.headers.get("Content-Length")
    version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    if version.startswith("W/"):  # a weak tag does not promise the same bytes
        version = response.headers.get("Last-Modified") or ""
    if response.status == 206:
        unit, _, total = response.headers.get("Content-Range", "").partition("/")
        if unit.startswith(f"bytes {have}-") and total.isdigit():
            return _Answer(have, int(total), version)
        return None
    return _Answer(0, int(length) if length and length.isdigit() else None, version)


def _final(error: Exception) -> bool:
    """Whether it is the server's last word."""
    if not isinstance(error, urllib.error.HTTPError):
        return False
    return error.code < 500 and error.code not in (408, 429)


def _sentence(url: str, part: Path, error: Exception) -> str:
    host, have = urlsplit(url).netloc, _size(part)
    kept = f" {have / 2**20:.1f} MiB are kept: the same command goes on from there." if have else ""
    if isinstance(error, urllib.error.HTTPError):
        return f"{host} answers {error.code} {error.reason} for {url}.{kept}"
    if isinstance(error, urllib.error.URLError):
        reason = getattr(error.reason, "strerror", None) or str(error.reason)
        return f"{host} can't be reached: {reason}; --url names another address.{kept}"
    return f"the download from {host} broke off ({str(error) or type(error).__name__}).{kept}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _about(part: Path) -> Path:
    """Where the version of a part's file is kept, so that parts of two are never joined."""
    return part.with_name(part.name + ".json")


def _version(part: Path) -> str:
    try:
        return str(json.loads(_about(part).read_text("utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
