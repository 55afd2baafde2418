"""Watches a case while it runs: what it may raise, how long, how much, and where it writes."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import click

from p2ptk.errors import P2ptkError

SECONDS = 10  # that a case may take
# What Python tells of before it does it, and that no input may lead to.
RUNS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect")
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod")


class Hang(BaseException):
    """A case took too long. No Exception, so that nothing takes it for one of its own."""


class Watch:
    """Python's audit events while a case runs: writes outside its folder, and what it starts."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, words: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event in RUNS:
            self.seen.append(f"{event} {words[:2]!r}")
        elif event == "open":
            path, _, flags = words
            writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            if isinstance(flags, int) and flags & writes:
                self._touched(event, path)
        elif event in CHANGES:
            self._touched(event, words[0])

    def _touched(self, event: str, path: Any) -> None:
        if not isinstance(path, (str, bytes)):
            return
        real = os.path.realpath(os.fsdecode(path))
        if not real.startswith((str(self.folder), "/dev/")):
            self.seen.append(f"{event} {real}")


_watch: Watch | None = None


class Verdict(NamedTuple):
    """wrong: '' where a case succeeded or was refused in a sentence."""

    refused: bool
    wrong: str


def run_case(work: Callable[[], object], inside: Path) -> Verdict:
    """Run a case. inside: the only folder that it may write to."""
    global _watch
    _watch = _watch or Watch()
    _watch.folder, _watch.seen = os.path.realpath(inside), []
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    faulthandler.dump_traceback_later(6 * SECONDS, exit=True)  # where no signal gets through
    refused, wrong = False, ""
    try:
        work()
    except (P2ptkError, click.ClickException) as error:
        refused, wrong = True, _wrong_words(str(error))
    except Hang:
        wrong = f"takes over {SECONDS} s {_where()}"
    except BaseException as error:
        wrong = f"{type(error).__name__} {_where()}: {str(error)[:100]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()
        _watch.folder = None
    return Verdict(refused, "; ".join([wrong, *_watch.seen]).strip("; "))


def _wrong_words(sentence: str) -> str:
    """A refusal is a sentence that fits a screen."""
    if not sentence.strip():
        return "an error without words"
    if len(sentence) > 50_000:
        return f"an error of {len(sentence)} letters: {sentence[:100]}"
    return ""


def _where() -> str:
    """The last lines of p2ptk in the traceback."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    ours = [f for f in frames if f"{os.sep}p2ptk{os.sep}" in f.filename]
    return "at " + " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(ours[-2:]))


def _too_long(number: int, frame: FrameType | None) -> None:
    raise Hang


@contextmanager
def bounded(more: int = 2 << 30) -> Iterator[None]:
    """Let this process take so many bytes of address space more than it has, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * os.sysconf("SC_PAGE_SIZE") + more
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def peak_memory() -> int:
    """Bytes that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
