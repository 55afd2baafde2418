"""The HTTP interface: a picture in, a PNG out, and what machines ask of a server."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from PIL import Image
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

import p2ptk
from p2ptk_gradio.engine import Engine
from p2ptk_gradio.limits import TILES, Refused, explain, open_picture
from p2ptk_gradio.models import Ask

MEASURED = ("/v1/translate", "/v1/models", "/healthz", "/readyz", "/metrics")
BODY = {"requestBody": {"required": True, "content": {"image/*": {"schema": {
    "type": "string", "format": "binary"}}}}}  # fmt: skip
Seed = Annotated[int, Query(ge=0, lt=2**32, description="Of the noise, if the model has any.")]
Tile = Annotated[
    int, Query(ge=TILES[0], le=TILES[1], description="Larger pictures are cut in such tiles.")
]
Noise = Annotated[bool | None, Query(description="Dropout on or off; left out: the model's rule.")]
Derive = Annotated[
    bool, Query(description="Make the source from the photo, where the model was trained so.")
]
Fit = Annotated[bool, Query(description="Scale the picture to the size it was trained at first.")]


def make_app(engine: Engine) -> FastAPI:
    """The HTTP interface of an engine that is started and closed by the caller."""
    app = FastAPI(
        title="p2ptk serve",
        version=p2ptk.__version__,
        docs_url=None,  # these pages would load scripts from another host
        redoc_url=None,
        openapi_url="/openapi.json",
    )

    @app.middleware("http")
    async def measure(request: Request, then: Callable[[Request], Awaitable[Response]]) -> Response:
        started = time.perf_counter()
        response = await then(request)
        if request.url.path in MEASURED:
            engine.measures.requests.labels(request.url.path, str(response.status_code)).inc()
        if request.url.path == "/v1/translate":
            engine.measures.seconds.observe(time.perf_counter() - started)
        return response

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return answer(error)

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> JSONResponse:
        return answer(Refused(error.status_code, str(error.detail)))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        said = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
        return answer(Refused(422, f"{said}."))

    @app.post("/v1/translate", response_class=Response, openapi_extra=BODY)
    async def translate(
        request: Request,
        model: str | None = None,
        seed: Seed = 0,
        tile: Tile = 1024,
        noise: Noise = None,
        derive: Derive = True,
        fit: Fit = False,
    ) -> Response:
        """The body is a picture; the answer its translation, as PNG."""
        with engine.request():
            ask = Ask(engine.models.get(model).name, seed, tile, noise, derive, fit)
            try:
                async with asyncio.timeout(engine.limits.timeout):
                    body = await read_body(request, engine.limits.upload)
                    picture = await asyncio.to_thread(open_picture, body, engine.limits)
                    made = await asyncio.wrap_future(engine.submit(picture, ask))
                    png = await asyncio.to_thread(as_png, made)
            except Exception as error:
                raise explain(error) from None
        return Response(png, media_type="image/png")

    @app.get("/v1/models")
    async def models() -> list[dict[str, Any]]:
        """The models that are served; the first is the one that is used where none is named."""
        return [model.facts() for model in engine.models]

    @app.get("/healthz")
    async def alive() -> PlainTextResponse:
        """200 as long as the process answers."""
        return PlainTextResponse("alive\n")

    @app.get("/readyz")
    async def ready() -> PlainTextResponse:
        """200 once the first model is warm; 503 before, and while the server is being stopped."""
        yes = engine.is_ready
        return PlainTextResponse("ready\n" if yes else "not ready\n", 200 if yes else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counts and times, as Prometheus reads them."""
        return Response(
            generate_latest(engine.measures.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    return app


def answer(error: Refused) -> JSONResponse:
    """An error as JSON: `{"error": "one sentence"}`."""
    wait = {"Retry-After": "1"} if error.status == 503 else None
    return JSONResponse({"error": error.sentence}, error.status, wait)


async def read_body(request: Request, most: int) -> bytes:
    """A request's body. Raises Refused (413) as soon as it proves too long, 400 if it is empty."""
    said = request.headers.get("content-length", "")
    too_long = Refused(413, f"the file is too large: at most {most:,} bytes are taken.")
    if said.isdigit() and int(said) > most:
        raise too_long
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise too_long
    if not body:
        raise Refused(400, "send the picture as the request's body.")
    return bytes(body)


def as_png(image: Image.Image) -> bytes:
    """A PNG file; compressed lightly, since that takes most of the time."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()
