"""What is compared: the plain loop, and p2ptk's ways."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from p2ptk.bench.paths import PLAIN, Case, start, ways_of
from p2ptk.bench.peak import flops_of_update, measured_peak
from p2ptk.bench.pictures import draw_pairs
from p2ptk.bench.plain import PILPairs, PlainLoop
from p2ptk.build import Parts, place
from p2ptk.components import create
from p2ptk.config import Train
from p2ptk.device import Precision
from p2ptk.feed import Batch
from p2ptk.init import initialise
from p2ptk.step import Step, Term, adversarial_step

CPU = torch.device("cpu")
RGB = {"source_channels": 3, "target_channels": 3}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("drawn")
    draw_pairs(folder, 32, count=6)
    return Case(
        str(folder), 32, 2, "cpu", "unet:depth=3,width=4", "patchgan:layers=1,width=4", workers=0
    )


def test_pictures_are_the_same_every_time(case: Case, tmp_path: Path) -> None:
    files = draw_pairs(tmp_path, 32, count=6)
    assert [f.name for f in files] == [f"{i:03d}.jpg" for i in range(6)]
    assert all(f.read_bytes() == Path(case.folder, "train", f.name).read_bytes() for f in files)
    assert len(list((tmp_path / "val").iterdir())) == 1


def test_the_plain_loop_takes_what_everybody_takes(case: Case) -> None:
    pairs = PILPairs(sorted(Path(case.folder, "train").iterdir()), 32)
    assert pairs.load == 36
    source, target = pairs[0]
    assert source.shape == target.shape == (3, 32, 32)
    assert -1 <= source.min() < 0 < source.max() <= 1


def test_the_plain_loop_is_the_same_training(case: Case) -> None:
    """Its losses are those of p2ptk's step."""

    def networks() -> list[nn.Module]:
        torch.manual_seed(0)
        made = []
        for kind, spec in (("generator", case.generator), ("discriminator", case.discriminator)):
            made.append(create(kind, spec, **RGB))
            initialise(made[-1])
        return made

    files = sorted(Path(case.folder, "train").iterdir())
    loop = PlainLoop(files, *networks(), size=32, batch_size=3, device=CPU, workers=0)
    terms = [Term("gan", create("loss", "gan")), Term("l1", create("loss", "l1"), 100.0)]
    train = Train(channels_last=False, deep_products=False)
    generator, discriminator = networks()
    ours = place(Parts(generator, discriminator, terms, []), train, CPU, Precision("fp32", "cpu"))
    for number in range(4):
        source = torch.rand(2, 3, 32, 32) * 2 - 1
        scalars = adversarial_step(ours, terms, Batch(source, -source), Step(number))
        expected = [scalars["d_loss"].item(), scalars["g_loss"].item()]
        assert loop.update(source, -source) == pytest.approx(expected, rel=1e-5)
    loop.step()
    assert loop.waited > 0
    loop.close()


def test_ways_go_from_the_plainest_to_the_default() -> None:
    names = [way.name for way in ways_of(CPU, ["fp32", "bf16"])]
    assert names == [
        PLAIN,
        "fp32, contiguous",
        "fp32, channels-last",
        "fp32, deep products",
        "bf16, contiguous",
        "bf16, channels-last",
        "bf16, deep products",
    ]
    quick = ways_of(CPU, ["fp32"], quick=True)
    assert [way.name for way in quick] == [PLAIN, "fp32, deep products"]
    assert [way.default for way in quick] == [False, True]
    default = Train()
    assert all(getattr(default, key) == value for key, value in quick[1].settings.items())
    cuda = torch.device("cuda")
    on_gpu = [way.name for way in ways_of(cuda, ["bf16"], compiled=True, recomputed=True)]
    assert on_gpu == [
        PLAIN,
        "bf16, contiguous",
        "bf16, channels-last",
        "bf16, graph",
        "bf16, compiled",
        "bf16, recomputed",
    ]
    quick = ways_of(cuda, ["bf16"], quick=True)
    assert [(way.name, way.default) for way in quick[1:]] == [
        ("bf16, channels-last", True),
        ("bf16, graph", False),
    ]


def test_every_way_takes_steps(case: Case) -> None:
    for way in ways_of(CPU, ["fp32", "bf16"]):
        racer = start(case, way)
        racer.enter()
        for _ in range(2):
            racer.step()
        racer.finish()
        assert racer.waited > 0
        racer.close()


def test_the_reference_update_is_87_gflop() -> None:
    assert flops_of_update("unet", "patchgan", 256) / 1e9 == pytest.approx(86.94, abs=0.01)


def test_a_peak_is_measured() -> None:
    assert measured_peak(CPU, "fp32", seconds=0.0) > 1e8
