"""The real command in a process of its own."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from p2ptk import UserError
from p2ptk_gradio.api import as_png
from p2ptk_gradio.command import serve as command
from p2ptk_gradio.start import start

Serve = Callable[..., Any]


@pytest.mark.slow
def test_requests_in_flight_finish(serve: Serve, photo: Image.Image) -> None:
    served = serve("photos", "--api-only", "--timeout", "100")
    big = as_png(photo.resize((1200, 1200)))
    answers: list[int] = []

    def ask() -> None:
        request = urllib.request.Request(f"{served.url}/v1/translate?tile=64", big)
        with urllib.request.urlopen(request, timeout=100) as answer:
            answers.append(answer.status)
            answer.read()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    code, written = served.stop()
    for thread in threads:
        thread.join()
    assert answers == [200] * 3
    assert (code, written) == (0, "stopped\n")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{served.url}/healthz", timeout=5)


@pytest.mark.slow
def test_a_password_from_the_environment(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P2PTK_SERVE_PASSWORD", "word")
    served = serve("photos", "--api-only", "--user", "ann")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{served.url}/v1/models")
    assert caught.value.code == 401
    assert served.stop()[0] == 0


def test_bad_options(runs: Any) -> None:
    with pytest.raises(UserError, match="--user and --password go together"):
        start([runs["photos"]], user="ann")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"127.0.0.1:{port} can't be had: .*another --port"):
            start([runs["photos"]], port=port)


def test_help_names_every_limit() -> None:
    said = CliRunner().invoke(command, ["--help"]).output
    for option in ("--max-upload", "--max-pixels", "--queue", "--users", "--timeout", "--host"):
        assert option in said
