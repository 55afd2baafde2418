"""From the command's options to a running server."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from starlette.types import ASGIApp

from p2ptk import UserError
from p2ptk_gradio.engine import Engine
from p2ptk_gradio.limits import MB, Limits
from p2ptk_gradio.models import Models, Precision
from p2ptk_gradio.sweep import PREFIX, remove_left


def start(
    paths: Sequence[Path],
    *,
    api_only: bool = False,
    host: str = "127.0.0.1",
    port: int = 7860,
    user: str | None = None,
    password: str | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    max_upload: float = 20.0,
    max_pixels: float = 16.0,
    max_files: int = 200,
    queue: int = 32,
    batch_size: int = 4,
    workers: int = 1,
    users: int = 64,
    timeout: float = 60.0,
) -> None:
    """Serve until a signal comes. Raises UserError for a bad model, or an address in use."""
    if bool(user) != bool(password):
        raise UserError("--user and --password go together.")
    login = (user, password) if user and password else None
    if login and ":" in login[0]:
        raise UserError("the user's name can't hold a colon.")
    limits = Limits(
        upload=int(max_upload * MB),
        pixels=int(max_pixels * 1e6),
        files=max_files,
        queue=queue,
        batch=batch_size,
        workers=workers,
        timeout=timeout,
    )
    engine = Engine(Models(paths, device, precision), limits)
    with temporary_folder() as folder, listening(host, port) as sock:
        app = application(engine, folder, login, api_only)
        from p2ptk_gradio.server import make_server

        server = make_server(app, engine, host, port, users=users)
        address = f"[{host}]" if ":" in host else host
        click.echo(f"http://{address}:{sock.getsockname()[1]}  (Ctrl+C stops)")
        if host not in ("127.0.0.1", "localhost", "::1") and not login:
            click.echo("note: other machines can reach it, and no password is asked for.", err=True)
        engine.start()
        try:
            server.run(sockets=[sock])
        finally:
            engine.close()
    click.echo("stopped")


def application(
    engine: Engine, folder: Path, login: tuple[str, str] | None = None, api_only: bool = False
) -> ASGIApp:
    """The HTTP interface, with the page unless `api_only`, behind the guard.

    folder: where uploads lie as long as they are needed.
    """
    from p2ptk_gradio.api import make_app
    from p2ptk_gradio.guard import Guard

    app = make_app(engine)
    if not api_only:
        from p2ptk_gradio.page import mount

        mount(app, engine, folder)
    uploads = None if api_only else folder
    return Guard(app, login=login, uploads=uploads, most=engine.limits.together)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """An empty folder of our own, which is deleted with all that is in it."""
    remove_left(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")).resolve()
    # Gradio asks these when it is imported.
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket. Raises UserError where the address can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            raise UserError(
                f"{host}:{port} can't be had: {error.strerror or error}; choose another --port."
            ) from None
        yield sock
