"""What stands before both the page and the HTTP interface: the password, and closed doors.

The page is Gradio's. What it would do on request and this server does not want is refused here:
reading files by path, fetching addresses, and routes that nothing on the page uses.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from p2ptk_gradio.sweep import size_of

JSON_MOST: Final = 1024 * 1024  # bytes of what the page sends besides files
FULL: Final = 10  # so many of the largest uploads may lie in the folder at a time
PUBLIC: Final = ("/healthz", "/readyz")  # probes have no password
CLOSED: Final = re.compile(
    r"/gradio_api/(proxy=|vibe|undo-vibe|runs|run-history|deep_link|"
    r"process_recording|stream|dev|api|run/)|/monitoring|/svelte|/custom_component"
)
# Scripts and styles stand in Gradio's page itself, and its bundles evaluate strings.
POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; frame-ancestors 'self'; "
    "form-action 'self'; base-uri 'self'"
)


class Guard:
    """ASGI middleware.

    login: user and password, asked for by HTTP Basic. uploads: the only folder that a request to
    the page may name files of. most: bytes of one upload.
    """

    def __init__(
        self, app: ASGIApp, *, login: tuple[str, str] | None, uploads: Path | None, most: int
    ) -> None:
        self.app, self.most = app, most
        self.uploads = uploads.resolve() if uploads else None
        self._wanted = base64.b64encode(":".join(login).encode()) if login else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # nothing here speaks over web sockets
        path, headers = scope["path"], Headers(scope=scope)
        refusal = self._refusal(path, headers)
        if refusal is None and scope["method"] == "POST" and path.startswith("/gradio_api/"):
            if "json" in headers.get("content-type", "json"):
                body = await _read(receive, min(self.most, JSON_MOST))
                refusal = self._look(body)
                receive = _again(body or b"", receive)
            elif self.uploads and size_of(self.uploads) > FULL * self.most:
                sentence = "too much has been uploaded of late: try again in some minutes."
                refusal = JSONResponse({"error": sentence}, 507)
            else:
                receive = _counted(receive, self.most + JSON_MOST)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, _with_headers(send))

    def _refusal(self, path: str, headers: Headers) -> Response | None:
        if self._wanted and path not in PUBLIC:
            kind, _, given = headers.get("authorization", "").partition(" ")
            same = hmac.compare_digest(given.strip().encode(), self._wanted)
            if kind.lower() != "basic" or not same:
                basic = {"WWW-Authenticate": 'Basic realm="p2ptk", charset="UTF-8"'}
                return JSONResponse({"error": "give a user and password."}, 401, basic)
        if CLOSED.match(path):
            return JSONResponse({"error": "there is nothing here."}, 404)
        return None

    def _look(self, body: bytes | None) -> Response | None:
        """What is wrong with a JSON body for the page, if anything."""
        if body is None:
            return JSONResponse({"error": "the request is too long."}, 413)
        try:
            table = json.loads(body or b"null")
        except (ValueError, RecursionError):
            return JSONResponse({"error": "the request is no JSON."}, 400)
        for path in _paths(table):
            if not self._is_upload(path):
                sentence = "files are to be uploaded first; no other path or address is read."
                return JSONResponse({"error": sentence}, 403)
        return None

    def _is_upload(self, path: str) -> bool:
        if self.uploads is None or "\0" in path:
            return False
        place = Path(path).resolve()
        return place.is_relative_to(self.uploads) and place != self.uploads


def _paths(value: Any) -> Iterator[str]:
    """Every file path in a request, at any depth."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            path = one.get("path")
            if isinstance(path, str):
                yield path
            elif path is not None:
                yield "\0"  # neither a path nor nothing
            todo += one.values()
        elif isinstance(one, list):
            todo += one


async def _read(receive: Receive, most: int) -> bytes | None:
    """A request's body, or None where it is longer than `most`."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > most:
            return None
        if message["type"] != "http.request" or not message.get("more_body"):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, to be read once more; then what comes after it."""
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


def _counted(receive: Receive, most: int) -> Receive:
    """An upload that breaks off where it proves too long."""
    count = 0

    async def counting() -> Message:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        return {"type": "http.disconnect"} if count > most else message

    return counting


def _with_headers(send: Send) -> Send:
    """Have browsers load nothing from another host."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = POLICY
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "same-origin"
        await send(message)

    return sending
