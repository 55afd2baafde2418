"""Keeps this process from the network for a while."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_closed = False
_hooked = False


class Reached(BaseException):
    """Somebody asked for a host while the network was closed.

    No Exception, so that a library's own retries and fallbacks let it through.
    """

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host


@contextmanager
def offline() -> Iterator[None]:
    """Raise Reached where anything asks for a host."""
    global _closed, _hooked
    if not _hooked:
        sys.addaudithook(_refuse)  # for good: Python has no way to take one off
        _hooked = True
    _closed = True
    try:
        yield
    finally:
        _closed = False


def host_of(event: str, arguments: tuple[Any, ...]) -> str | None:
    """The host that an audit event is about, or None."""
    host = None
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):  # text: a local socket
        host = arguments[1][0]
    return host.decode() if isinstance(host, bytes) else host


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if _closed and (host := host_of(event, arguments)) is not None:
        raise Reached(host)
