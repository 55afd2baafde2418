"""Many threads use one translator, each with its own picture, seed and size."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk.generators.unet import UNet
from p2ptk.inference import has_noise
from p2ptk.translate import Translator
from p2ptk.weights import ModelHeader, save_generator

SPEC: dict[str, Any] = {"depth": 3, "width": 4, "dropout": 0.5, "dropout_at": "paper"}


@pytest.fixture(autouse=True)
def _often_switched() -> Iterator[None]:
    """Python's threads take turns far more often than they would, so that a race shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(params=["running", "image"])
def translator(request: pytest.FixtureRequest, tmp_path: Path) -> Translator:
    """With dropout on, by each rule of norm; pictures above 32 pixels are cut in tiles."""
    torch.manual_seed(0)
    module = UNet(source_channels=3, target_channels=3, **SPEC)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.3)  # outputs that differ visibly
    header = ModelHeader(
        generator={"name": "unet", **SPEC},
        source_channels=3,
        target_channels=3,
        size=(32, 32),
        size_multiple=(8, 8),
        inference_norm=request.param,
        inference_dropout=True,
    )
    save_generator(tmp_path / "generator.safetensors", module, header)
    loaded = Translator.load(tmp_path, "cpu", "fp32", tile=32, batch_size=2)
    assert has_noise(loaded.generator)
    return loaded


def test_each_thread_gets_what_it_would_get_alone(translator: Translator) -> None:
    numbers = torch.Generator().manual_seed(1)
    sizes = [(32, 32), (24, 40), (70, 33), (17, 90)]  # whole, padded, in tiles
    jobs = [
        (torch.randint(0, 256, (3, *size), generator=numbers, dtype=torch.uint8), seed)
        for seed in range(6)
        for size in sizes
    ]

    def translate(job: tuple[Tensor, int]) -> Tensor:
        picture, seed = job
        return translator(picture, seed=seed)

    alone = [translate(job) for job in jobs]
    assert not torch.equal(translator(jobs[0][0], seed=0), translator(jobs[0][0], seed=1))
    order = list(range(len(jobs)))
    for attempt in range(2):
        random.Random(attempt).shuffle(order)
        with ThreadPoolExecutor(8) as pool:
            made = pool.map(lambda number: translate(jobs[number]), order)
            for number, result in zip(order, made, strict=True):
                assert torch.equal(result, alone[number]), number


def test_several_translators_share_a_generator(translator: Translator) -> None:
    """As a server has them: other tiles for each request, the weights once."""
    picture = torch.arange(3 * 64 * 64).reshape(3, 64, 64).to(torch.uint8)

    def translate(tile: int) -> Tensor:
        other = Translator(
            translator.generator,
            translator.header,
            device=translator.device,
            precision=translator.precision,
            tile=tile,
        )
        return other(picture, seed=tile)

    tiles = [16, 24, 32, 48, 64] * 3
    alone = {tile: translate(tile) for tile in set(tiles)}
    with ThreadPoolExecutor(8) as pool:
        for tile, result in zip(tiles, pool.map(translate, tiles), strict=True):
            assert torch.equal(result, alone[tile]), tile
