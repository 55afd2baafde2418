"""The process: a socket, and an orderly end."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from p2ptk_gradio.engine import Engine

log = logging.getLogger("p2ptk.serve")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """On SIGTERM or SIGINT new requests are answered by 503, and those inside finish, at most
    `grace` seconds; a second signal ends the server at once."""

    def __init__(self, config: uvicorn.Config, engine: Engine, grace: float) -> None:
        super().__init__(config)
        self.engine, self.grace = engine, grace
        self._deadline: float | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the signal is not raised again afterwards: the end is a good one."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._deadline is not None:
            self.should_exit = self.force_exit = True
            return
        self._deadline = time.monotonic() + self.grace
        self.engine.drain()

    async def on_tick(self, counter: int) -> bool:
        if self._deadline is not None and (
            self.engine.is_empty or time.monotonic() > self._deadline
        ):
            self.should_exit = True
        return await super().on_tick(counter)


def make_server(
    app: ASGIApp, engine: Engine, host: str, port: int, *, grace: float = 30.0, users: int = 64
) -> Server:
    """users: connections at a time; one more is answered by 503."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=users,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=1,  # open pages hold a stream open for good
    )
    return Server(config, engine, grace)
