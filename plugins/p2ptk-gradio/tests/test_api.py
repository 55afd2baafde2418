from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from p2ptk_gradio.api import as_png, make_app
from p2ptk_gradio.engine import Engine

testclient = pytest.importorskip("fastapi.testclient", reason="needs httpx")
Make = Callable[..., Engine]


@pytest.fixture
def client(make_engine: Make) -> Any:
    return testclient.TestClient(make_app(make_engine(upload=20_000)))


def test_a_picture_in_a_png_out(client: Any, photo: Image.Image) -> None:
    answer = client.post("/v1/translate?model=photos&seed=1&tile=64", content=as_png(photo))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    made = Image.open(io.BytesIO(answer.content))
    assert (made.format, made.size, made.mode) == ("PNG", photo.size, "RGB")
    again = client.post("/v1/translate?model=photos&seed=1&tile=64", content=as_png(photo))
    assert again.content == answer.content


@pytest.mark.parametrize(
    ("query", "content", "status", "sentence"),
    [
        ("model=none", b"x", 404, "there is no model 'none': choose from photos, blocks."),
        ("seed=-1", b"x", 422, "seed: Input should be greater than or equal to 0."),
        ("tile=8", b"x", 422, "tile: Input should be greater than or equal to 64."),
        ("", b"", 400, "send the picture as the request's body."),
        ("", b"no picture", 415, "this is no picture: give one of PNG, JPEG, WEBP, BMP, TIFF."),
        ("", b"x" * 20_001, 413, "the file is too large: at most 20,000 bytes are taken."),
    ],
)
def test_bad_requests(client: Any, query: str, content: bytes, status: int, sentence: str) -> None:
    answer = client.post(f"/v1/translate?{query}", content=content)
    assert (answer.status_code, answer.json()) == (status, {"error": sentence})


def test_a_body_without_a_length_is_limited_too(client: Any) -> None:
    answer = client.post("/v1/translate", content=(b"x" * 5000 for _ in range(1000)))
    assert answer.status_code == 413


def test_models_and_probes(make_engine: Make, photo: Image.Image) -> None:
    engine = make_engine(started=False)
    client = testclient.TestClient(make_app(engine))
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    engine.start()
    assert engine.wait_ready(60)
    assert client.get("/readyz").status_code == 200
    models = client.get("/v1/models").json()
    assert [(m["name"], m["source"], m["loaded"]) for m in models] == [
        ("photos", "image", True),
        ("blocks", "labels", False),
    ]
    client.post("/v1/translate", content=as_png(photo))
    lines = client.get("/metrics").text.splitlines()
    assert 'p2ptk_requests_total{route="/v1/translate",status="200"} 1.0' in lines
    assert "p2ptk_queue 0.0" in lines
    assert "p2ptk_request_seconds_count 1.0" in lines
    engine.drain()
    assert client.get("/readyz").status_code == 503
    refused = client.post("/v1/translate", content=as_png(photo))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


def test_it_describes_itself_without_another_host(client: Any) -> None:
    described = client.get("/openapi.json").json()
    assert "/v1/translate" in described["paths"]
    assert client.get("/docs").status_code == 404
