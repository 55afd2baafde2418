from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from p2ptk.errors import P2ptkError, UserError
from p2ptk.files import (
    free_name,
    lock_folder,
    remove_folder,
    remove_strays,
    replacing,
    sha256,
    write_atomically,
)


def entries(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_writes_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.txt", b"one")
    write_atomically(tmp_path / "a.txt", lambda file: file.write(b"two"))
    assert (tmp_path / "a.txt").read_bytes() == b"two"
    assert entries(tmp_path) == ["a.txt"]


def test_a_failing_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.txt", b"old")

    def fail(file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        write_atomically(tmp_path / "a.txt", fail)
    assert (tmp_path / "a.txt").read_bytes() == b"old"
    assert entries(tmp_path) == ["a.txt"]


def test_a_folder_is_put_in_place_whole(tmp_path: Path) -> None:
    with replacing(tmp_path / "step") as place:
        place.mkdir()
        (place / "x").write_text("x")
        assert not (tmp_path / "step").exists()
    assert entries(tmp_path / "step") == ["x"]


@pytest.mark.skipif(os.name == "nt", reason="modes and links are POSIX's here")
def test_mode_and_links_are_those_of_a_plain_write(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "a", b"1")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "link").symlink_to("a")
    write_atomically(tmp_path / "link", b"2")
    assert stat.S_ISLNK((tmp_path / "link").lstat().st_mode)
    assert (tmp_path / "a").read_bytes() == b"2"


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (errno.ENOSPC, P2ptkError, "the disk is full"),
        (errno.EROFS, UserError, "choose a place you may write to"),
        (errno.EIO, P2ptkError, "could not be written"),
    ],
)
def test_system_errors_become_sentences(
    tmp_path: Path, code: int, kind: type[P2ptkError], words: str
) -> None:
    def fail(file: object) -> None:
        raise OSError(code, os.strerror(code))

    with pytest.raises(kind, match=words) as caught:
        write_atomically(tmp_path / "a", fail)
    assert type(caught.value) is kind
    assert entries(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone is no folder"):
        write_atomically(tmp_path / "gone" / "a", b"")


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_lock_refuses_a_second_holder_and_is_freed(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    with lock_folder(run):
        with pytest.raises(UserError, match="another process is writing to"), lock_folder(run):
            pass
        code = (
            "import sys; from p2ptk.files import lock_folder; from p2ptk.errors import UserError\n"
            "try:\n    lock_folder(sys.argv[1]).__enter__()\nexcept UserError: sys.exit(2)"
        )
        assert subprocess.run([sys.executable, "-c", code, str(run)], check=False).returncode == 2
    with lock_folder(run):
        pass


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import os, sys; from p2ptk.files import lock_folder\n"
        "lock_folder(sys.argv[1]).__enter__(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    with lock_folder(tmp_path):
        pass


def test_free_name(tmp_path: Path) -> None:
    assert free_name(tmp_path / "a.png") == tmp_path / "a.png"
    (tmp_path / "a.png").touch()
    (tmp_path / "a-2.png").touch()
    assert free_name(tmp_path / "a.png") == tmp_path / "a-3.png"


def test_only_strays_of_other_processes_go(tmp_path: Path) -> None:
    (tmp_path / ".p2ptk-0000-1.tmp").mkdir()
    (tmp_path / ".p2ptk-0000-1.tmp" / "half").write_bytes(b"x")
    (tmp_path / "kept").touch()
    remove_strays(tmp_path, older_than=3600)
    assert len(entries(tmp_path)) == 2
    with replacing(tmp_path / "mine") as place:
        place.write_bytes(b"1")
        remove_strays(tmp_path)
    assert entries(tmp_path) == ["kept", "mine"]


def test_remove_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    remove_folder(tmp_path / "a")
    remove_folder(tmp_path / "never")
    assert entries(tmp_path) == []
