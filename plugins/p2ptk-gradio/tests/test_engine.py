from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from p2ptk import UserError
from p2ptk_gradio.engine import Engine
from p2ptk_gradio.limits import Refused
from p2ptk_gradio.models import Ask, Model, Models

Make = Callable[..., Engine]
ASK = Ask("photos")


def sample(engine: Engine, name: str) -> float:
    return engine.measures.registry.get_sample_value(name) or 0.0


def waiting(make_engine: Make, pictures: list[tuple[Image.Image, Ask]]) -> tuple[Engine, list[Any]]:
    """An engine that is started when those wait already."""
    engine = make_engine(started=False)
    futures = [engine.submit(picture, ask) for picture, ask in pictures]
    engine.start()
    return engine, futures


def test_those_that_wait_together_run_together(make_engine: Make, photo: Image.Image) -> None:
    pictures = [photo, photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), photo, photo, photo]
    engine, futures = waiting(make_engine, [(x, ASK) for x in pictures])
    results = [np.asarray(f.result(60)) for f in futures]
    assert sample(engine, "p2ptk_batch_size_count") == 2  # 4 and 1
    assert sample(engine, "p2ptk_batch_size_sum") == 5
    assert sample(engine, "p2ptk_pixels_total") == 5 * 40 * 24
    alone = [np.asarray(engine.translate(x, ASK)) for x in pictures[:2]]
    for together, one in zip(results, alone, strict=False):
        assert np.abs(together.astype(int) - one).max() <= 1
    assert not np.array_equal(results[0], results[1])


def test_what_differs_runs_alone(make_engine: Make, photo: Image.Image) -> None:
    asks = [ASK, Ask("photos", tile=512), Ask("photos", seed=1), Ask("blocks")]
    pictures = [(photo, ask) for ask in asks] + [(photo.rotate(90, expand=True), ASK)]
    engine, futures = waiting(make_engine, pictures)
    assert [f.result(60).size for f in futures] == [(40, 24)] * 4 + [(24, 40)]
    assert sample(engine, "p2ptk_batch_size_count") == 5


def test_one_at_fault_does_not_spoil_its_batch(
    make_engine: Make, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked = photo.copy()
    plain = Model.translate

    def translate(self: Model, pictures: Any, ask: Ask, size: int) -> list[Image.Image]:
        if any(picture is marked for picture in pictures):
            raise UserError("not this one.")
        return plain(self, pictures, ask, size)

    monkeypatch.setattr(Model, "translate", translate)
    _, futures = waiting(make_engine, [(x, ASK) for x in (photo, marked, photo)])
    assert futures[0].result(60).size == futures[2].result(60).size == (40, 24)
    with pytest.raises(UserError, match="not this one"):
        futures[1].result(60)


def test_noise_and_seed(make_engine: Make, photo: Image.Image) -> None:
    engine = make_engine()

    def made(**settings: Any) -> Any:
        return np.asarray(engine.translate(photo, Ask("photos", **settings)))

    assert np.array_equal(made(noise=True, seed=3), made(noise=True, seed=3))
    assert not np.array_equal(made(noise=True, seed=3), made(noise=True, seed=4))
    assert np.array_equal(made(noise=False, seed=3), made(noise=False, seed=4))


def test_pictures_are_scaled_if_asked(make_engine: Make, photo: Image.Image) -> None:
    assert make_engine().translate(photo, Ask("photos", fit=True)).size == (32, 32)


def test_limits(make_engine: Make, photo: Image.Image) -> None:
    engine = make_engine(started=False, queue=2, pixels=2000)
    for _ in range(2):
        engine.submit(photo, ASK)
    with pytest.raises(Refused, match="2 pictures are waiting already") as caught:
        engine.submit(photo, ASK)
    assert caught.value.status == 503
    with pytest.raises(Refused, match="million pixels are taken"):
        engine.submit(photo.resize((1, 300)), ASK)
    with pytest.raises(Refused, match="there is no model 'other': choose from photos, blocks"):
        engine.submit(photo, Ask("other"))


def test_what_nobody_waits_for_is_not_translated(make_engine: Make, photo: Image.Image) -> None:
    engine = make_engine(started=False, timeout=0.05)
    with pytest.raises(Refused, match="took too long") as caught:
        engine.translate(photo, ASK)
    assert caught.value.status == 504
    engine.start()
    engine.close()
    assert sample(engine, "p2ptk_batch_size_count") == 0


def test_draining(make_engine: Make) -> None:
    engine = make_engine()
    with engine.request():
        engine.drain()
        assert not engine.is_empty
        assert not engine.is_ready
        with pytest.raises(Refused, match="being stopped"), engine.request():
            pass
    assert engine.is_empty


def test_a_model_is_loaded_once(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import p2ptk_gradio.models as module

    loads = []
    real = module.Translator.load

    def load(*given: Any, **named: Any) -> Any:
        loads.append(threading.get_ident())
        return real(*given, **named)

    monkeypatch.setattr(module.Translator, "load", load)
    models = Models([runs["photos"]], "cpu", "fp32")
    assert not models.first.is_loaded
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: models.first.translator(), range(8)))
    assert len(loads) == 1
    assert all(one is made[0] for one in made)


def test_names(runs: Any, tmp_path: Any) -> None:
    photos = runs["photos"]
    copy = tmp_path / "better.safetensors"
    copy.write_bytes((photos / "generator.safetensors").read_bytes())
    paths = [photos, photos / "generator.safetensors", copy]
    assert Models(paths, "cpu").names == ["photos", "photos-2", "better"]
    with pytest.raises(UserError, match="there is no model"):
        Models([tmp_path / "bettr.safetensors"])
