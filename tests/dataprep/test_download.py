"""Downloads arrive whole, go on where they broke off, and fail in one sentence."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2ptk.dataprep import download as module
from p2ptk.dataprep.download import download
from p2ptk.errors import P2ptkError, UserError

CONTENT = np.random.default_rng(0).bytes(300_000)
Serve = Callable[..., Any]


def fetch(url: str, folder: Path, **more: Any) -> Path:
    path = folder / "set.tar.gz"
    download(url, path, wait=0.0, **more)
    return path


def test_a_whole_file(serve: Serve, tmp_path: Path) -> None:
    site = serve(CONTENT)
    told: list[tuple[int, int | None]] = []
    path = fetch(site.url, tmp_path, progress=lambda *at: told.append(at))
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [p.name for p in tmp_path.iterdir()] == ["set.tar.gz"]
    assert site.asked[0]["User-Agent"].startswith("p2ptk/")


def test_a_break_is_mended_from_where_it_was(serve: Serve, tmp_path: Path) -> None:
    site = serve(CONTENT, breaks=[100_000, 50_000])
    assert fetch(site.url, tmp_path).read_bytes() == CONTENT
    assert site.ranges_asked == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_call_goes_on(serve: Serve, tmp_path: Path) -> None:
    site = serve(CONTENT, breaks=[120_000] + [0] * module.TRIES)
    with pytest.raises(
        P2ptkError, match=r"broke off .*0\.1 MiB are kept: the same command goes on"
    ):
        fetch(site.url, tmp_path)
    assert not (tmp_path / "set.tar.gz").exists()
    before = len(site.asked)
    assert fetch(site.url, tmp_path).read_bytes() == CONTENT
    assert site.ranges_asked[before:] == ["bytes=120000-"]
    assert [p.name for p in tmp_path.iterdir()] == ["set.tar.gz"]


def test_a_server_that_ignores_range_is_asked_for_all(serve: Serve, tmp_path: Path) -> None:
    site = serve(CONTENT, breaks=[100_000], ranges=False)
    assert fetch(site.url, tmp_path).read_bytes() == CONTENT
    assert site.ranges_asked == [None, "bytes=100000-"]


def test_parts_of_two_versions_are_never_joined(serve: Serve, tmp_path: Path) -> None:
    site = serve(CONTENT, breaks=[100_000] + [0] * module.TRIES)
    with pytest.raises(P2ptkError):
        fetch(site.url, tmp_path)
    site.content, site.tag = CONTENT[::-1], '"two"'
    assert fetch(site.url, tmp_path).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_without_a_version_it_goes_on_all_the_same(serve: Serve, tmp_path: Path, tag: str) -> None:
    site = serve(CONTENT, breaks=[100_000], tag=tag)
    assert fetch(site.url, tmp_path).read_bytes() == CONTENT
    assert "If-Range" not in site.asked[1]


def test_a_part_that_is_whole_already(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "set.tar.gz.part").write_bytes(CONTENT)
    site = serve(CONTENT)
    assert fetch(site.url, tmp_path).read_bytes() == CONTENT
    assert site.ranges_asked == [f"bytes={len(CONTENT)}-"]


def test_a_part_that_is_longer_than_the_file(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "set.tar.gz.part").write_bytes(CONTENT + b"more")
    assert fetch(serve(CONTENT).url, tmp_path).read_bytes() == CONTENT


def test_a_false_length_is_no_success(serve: Serve, tmp_path: Path) -> None:
    site = serve(CONTENT, claims=len(CONTENT) + 5, ranges=False)
    with pytest.raises(P2ptkError, match="broke off"):
        fetch(site.url, tmp_path)
    assert not (tmp_path / "set.tar.gz").exists()


def test_errors_of_the_server(serve: Serve, tmp_path: Path) -> None:
    site = serve(CONTENT, status=404)
    with pytest.raises(P2ptkError, match=r"127\.0\.0\.1:\d+ answers 404 Not Found for http") as e:
        fetch(site.url, tmp_path)
    assert e.value.exit_code == 1
    assert len(site.asked) == 1


def test_a_host_that_can_not_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1,nowhere.invalid")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = taken.getsockname()[1]
        with pytest.raises(P2ptkError, match=f"127.0.0.1:{port} can't be reached: Connection ref"):
            fetch(f"http://127.0.0.1:{port}/x", tmp_path)
    with pytest.raises(P2ptkError, match=r"nowhere\.invalid can't be reached: .*; --url names"):
        fetch("http://nowhere.invalid/x", tmp_path)


@pytest.mark.parametrize("url", ["ftp://example.org/x", "file:///etc/passwd", "facades", "http://"])
def test_other_addresses(tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError, match="is no address that begins with http"):
        fetch(url, tmp_path)


def test_the_check_comes_before_any_byte(serve: Serve, tmp_path: Path) -> None:
    def refuse(total: int) -> None:
        raise P2ptkError(f"{total} is too much.")

    with pytest.raises(P2ptkError, match="300000 is too much"):
        fetch(serve(CONTENT).url, tmp_path, check=refuse)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_no_broken_connection(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    site = serve(CONTENT)
    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(P2ptkError, match="the disk is full"):
        fetch(site.url, tmp_path)
    assert len(site.asked) == 1
