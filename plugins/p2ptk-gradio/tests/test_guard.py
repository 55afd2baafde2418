from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from p2ptk_gradio.guard import Guard

testclient = pytest.importorskip("starlette.testclient", reason="needs httpx")


async def echo(request: Request) -> JSONResponse:
    body = await request.body()
    return JSONResponse({"length": len(body)})


def client(folder: Path | None = None, login: tuple[str, str] | None = None) -> Any:
    inner = Starlette(routes=[Route("/{rest:path}", echo, methods=["GET", "POST"])])
    return testclient.TestClient(Guard(inner, login=login, uploads=folder, most=1000))


def test_the_password() -> None:
    asked = client(login=("ann", "pass:word"))
    refused = asked.get("/")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic")
    assert asked.get("/", auth=("ann", "wrong")).status_code == 401
    assert asked.get("/v1/models", auth=("ann", "pass:word")).status_code == 200
    assert asked.get("/healthz").status_code == 200
    bearer = base64.b64encode(b"ann:pass:word").decode()
    assert asked.get("/", headers={"Authorization": f"Bearer {bearer}"}).status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/proxy=https://example.org", "/gradio_api/vibe-edit", "/monitoring",
     "/gradio_api/run/translate", "/gradio_api/runs", "/gradio_api/deep_link"],
)  # fmt: skip
def test_closed_doors(path: str) -> None:
    assert client().get(path).status_code == 404


def test_only_uploads_may_be_named(tmp_path: Path) -> None:
    inside = client(tmp_path / "own")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "link").symlink_to("/etc")

    def status(path: object) -> int:
        body = {"data": [[{"composite": {"path": path, "meta": {}}}], 1, "text"]}
        return int(inside.post("/gradio_api/queue/join", json=body).status_code)

    assert status(str(tmp_path / "own" / "a" / "x.png")) == 200
    assert status(None) == 200
    for path in ("/etc/passwd", "x.png", f"{tmp_path}/own/../x", str(tmp_path / "own"), ["/etc"],
                 "https://example.org/x.png", f"{tmp_path}/own/link/passwd", "a\0b"):  # fmt: skip
        assert status(path) == 403, path
    assert inside.post("/gradio_api/queue/join", content=b"{").status_code == 400
    assert inside.post("/gradio_api/queue/join", content=b" " * 1001).status_code == 413
    assert inside.post("/v1/translate", content=b"{").json() == {"length": 1}


def test_browsers_are_told_to_stay_here(tmp_path: Path) -> None:
    policy = client().get("/").headers["content-security-policy"]
    assert "http" not in policy
    assert "default-src 'self'" in policy


def test_uploads_are_limited(tmp_path: Path) -> None:
    inside = client(tmp_path)
    form = {"content-type": "multipart/form-data; boundary=x"}
    assert inside.post("/gradio_api/upload", content=b"x" * 900, headers=form).status_code == 200
    (tmp_path / "much").write_bytes(b"x" * 10_001)
    full = inside.post("/gradio_api/upload", content=b"x", headers=form)
    assert full.status_code == 507
    assert "try again" in full.json()["error"]
