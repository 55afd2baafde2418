"""What a step of each recipe costs, and that every component takes part in one.

The discriminator's forwards are most of a step's work, so their number is asserted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2ptk.build import Parts, build_parts, place, resolve_config
from p2ptk.checkpoint import newest_checkpoint
from p2ptk.components import create, list_components
from p2ptk.config import RunConfig
from p2ptk.contracts import Judgement
from p2ptk.device import Precision
from p2ptk.feed import Batch
from p2ptk.inference import apply_rule
from p2ptk.layers import layers_of
from p2ptk.observe import Observer
from p2ptk.optim import Average
from p2ptk.run import resume, start
from p2ptk.runfolder import RunFolder
from p2ptk.step import Networks, Step, Term, adversarial_step, critic_step
from p2ptk.weights import load_generator

CPU = torch.device("cpu")
# Without the one that has no discriminator and wants labels: see tests/cli/test_train_scorer.py.
RECIPES = [p.name for p in list_components("recipe") if p.name != "scorer"]

# Forwards of D in an ordinary step and in one where the lazy terms are due, where it has any.
FORWARDS = {
    "pix2pix": (3, 3),
    "pix2pix-paper": (3, 3),
    "quick": (3, 3),
    "demo": (3, 3),
    "sharp": (4, 5),  # rpgan and feature matching share G's look at the target
    "wgan-gp": (4, 4),  # the third of phase D is between the two
}


def small(recipe: str, *layers: dict[str, Any]) -> RunConfig:
    """A recipe with networks and sizes for a test."""
    tiny = {
        "generator": {"depth": 3, "width": 4},
        "discriminator": {"layers": 1, "width": 4},
        "size": 32,
        "device": "cpu",
        "precision": "fp32",
    }
    return resolve_config(RunConfig.of(*layers_of({}, recipe), tiny, *layers))


class Sides:
    """What `build_parts` asks of data."""

    source_channels = target_channels = 3
    augmentations = ()


def build(config: RunConfig) -> tuple[Networks, list[Term]]:
    parts = build_parts(config, Sides())  # type: ignore[arg-type]
    return place(parts, config.train, CPU, Precision("fp32", "cpu")), parts.losses


def batch(number: int, images: int = 2) -> Batch:
    rng = torch.Generator().manual_seed(number)
    source, target = (torch.rand(images, 3, 32, 32, generator=rng) * 2 - 1 for _ in range(2))
    return Batch(source, target)


@contextmanager
def counted(networks: Networks) -> Iterator[list[bool]]:
    """A list that grows by one entry for each forward of the discriminator."""
    calls: list[bool] = []
    assert networks.discriminator is not None
    handle = networks.discriminator.register_forward_hook(
        lambda *_: calls.append(torch.is_autocast_enabled("cpu"))
    )
    yield calls
    handle.remove()


@pytest.mark.parametrize(("recipe", "forwards"), FORWARDS.items())
def test_forwards_of_the_discriminator(recipe: str, forwards: tuple[int, int]) -> None:
    config = small(recipe)
    networks, losses = build(config)
    for number, expected in ((1, forwards[0]), (16, forwards[1])):
        with counted(networks) as calls:
            scalars = adversarial_step(
                networks, losses, batch(number), Step(number, judge=config.train.judge)
            )
        assert len(calls) == expected
        assert scalars["finite"]


@pytest.mark.parametrize("losses", [{"gan": {"mode": "rpgan"}}, {"feature-matching": {}}])
def test_a_look_at_the_target_in_phase_g_is_a_fourth(losses: dict[str, Any]) -> None:
    networks, terms = build(small("pix2pix", {"losses": losses}))
    with counted(networks) as calls:
        adversarial_step(networks, terms, batch(0), Step())
    assert len(calls) == 4


def test_a_critic_step_of_wgan_gp_has_no_phase_g() -> None:
    networks, losses = build(small("wgan-gp"))
    with counted(networks) as calls:
        critic_step(networks, losses, batch(0), Step())
    assert len(calls) == 3


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_steps_of_every_recipe(recipe: str, tmp_path: Path, pairs: Path) -> None:
    length = {"train": {"steps": 2, "batch_size": 2, "epochs": None}, "val_size": 32}
    data = {"data": {"name": "side-by-side", "path": str(pairs)}}
    config = small(recipe, length, data)
    outcome = start(config, RunFolder(tmp_path / "run"), Observer())
    assert outcome.finished
    rows = RunFolder(tmp_path / "run").read_log()
    assert len(rows) == 2
    for row in rows:
        assert all(abs(v) < 1e6 for k, v in row.items() if k[:2] in ("d_", "g_"))
    assert all({f"d_{key}", f"g_{key}"} & rows[0].keys() for key in config.losses)
    picture = load_generator(tmp_path / "run")(torch.zeros(1, 3, 32, 32))
    assert picture.isfinite().all()


@pytest.mark.parametrize(
    "layer",
    [
        {"discriminator": {"spectral": True}},
        {"generator": "spade:depth=2,width=4,hidden=4", "train": {"accumulate": 2}},
        pytest.param(
            {"discriminator": "unet:layers=2,width=4", "precision": "bf16"}, marks=pytest.mark.slow
        ),
        pytest.param(
            {"losses": {"r1": {"every": 2}, "gradient-penalty": {"weight": 1.0}}},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["spectral", "spade", "unet-bf16", "penalties"],
)
def test_sharp_resumes_exactly(
    tiny: Callable[..., Any], tmp_path: Path, layer: dict[str, Any]
) -> None:
    """Also the estimates of singular values, which move at every forward."""
    sharp = [*layers_of({}, "sharp"), {
        "generator": {"depth": 3, "width": 4}, "discriminator": {"layers": 1, "width": 4},
        "train": {"batch_size": 2, "steps": 4, "ema": 0.9},
    }]  # fmt: skip
    tiny("straight", *sharp, layer)
    assert not tiny("halves", *sharp, layer, stop_at=2).finished
    assert resume(RunFolder(tmp_path / "halves"), Observer()).finished
    tensors = []
    for name in ("straight", "halves"):
        checkpoint, _ = newest_checkpoint(tmp_path / name)
        assert checkpoint is not None
        tensors.append(
            {f"{n}/{k}": v for n in checkpoint.names for k, v in checkpoint.load(n).items()}
        )
    assert tensors[0].keys() == tensors[1].keys()
    assert all(torch.equal(tensors[0][k], tensors[1][k]) for k in tensors[0])
    if layer.get("discriminator", {}) == {"spectral": True}:
        assert any(k.startswith("discriminator/") and k.endswith("conv.u") for k in tensors[0])
    logs = [RunFolder(tmp_path / name).read_log() for name in ("straight", "halves")]
    assert [[r["g_loss"], r["d_loss"]] for r in logs[0]] == [
        [r["g_loss"], r["d_loss"]] for r in logs[1]
    ]


GENERATORS = [
    "pix2pixhd:width=2,blocks=1",
    "pix2pixhd:width=2,blocks=1,upsample=resize",
    "spade:depth=3,width=2,hidden=4",
    "spade:depth=3,width=2,hidden=4,norm=instance,spectral=false",
    "unet-attention:depth=4,width=4,attention=[2,4]",
    "unet-attention:attention=[4],width=4,encoder=conv(depth=3,width=4)",
]
DISCRIMINATORS = [
    "patchgan:layers=1,width=4,norm=none,spectral=true",
    "multiscale:scales=2,layers=1,width=4",
    "multiscale:scales=2,layers=1,width=4,spectral=true",
    "unet:layers=2,width=4",
    "unet:layers=2,width=4,norm=instance,spectral=false",
]
LOSSES = [
    "feature-matching",
    "r1",
    "r2:gamma=1.0",
    "gradient-penalty",
    "ms-ssim:scales=2",
    "total-variation",
    "gan:mode=rpgan",
    "gan:label_smoothing=0.1",
]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        *(("generator", spec) for spec in GENERATORS),
        *(("discriminator", spec) for spec in DISCRIMINATORS),
        *(("loss", spec) for spec in LOSSES),
    ],
)
def test_two_steps_with_every_component(kind: str, spec: str, precision: Any) -> None:
    parts = {"generator": "unet:depth=3,width=4", "discriminator": "patchgan:layers=1,width=4"}
    config = small("pix2pix", {**parts, **({kind: spec} if kind in parts else {})})
    made = build_parts(config, Sides())  # type: ignore[arg-type]
    if kind == "loss":
        loss = create("loss", spec)
        made.losses.append(Term("more", loss, every=getattr(loss, "every", 1)))
    networks = place(made, config.train, CPU, Precision(precision, "cpu"))
    average = Average(networks.generator, 0.9)
    judge = networks.discriminator
    assert judge is not None
    before = [p.clone() for p in (*networks.generator.parameters(), *judge.parameters())]
    for number in range(2):
        scalars = adversarial_step(networks, made.losses, batch(number), Step(number))
        assert all(value.isfinite() for value in scalars.values())
        if number == 0 and kind == "loss":
            assert {"d_more", "g_more"} & scalars.keys()
        average.update(networks.generator, number)
    after = (*networks.generator.parameters(), *judge.parameters())
    assert sum(torch.equal(a, b) for a, b in zip(before, after, strict=True)) <= len(before) // 4
    # What is shown and saved: a twin under the inference rule, which leaves the other as it is.
    state = {k: v.clone() for k, v in average.module.state_dict().items()}
    pictures = [
        apply_rule(average.module, norm, False)(batch(9).source) for norm in ("running", "image")
    ]
    assert all(p.isfinite().all() and p.shape == (2, 3, 32, 32) for p in pictures)
    assert all(torch.equal(v, state[k]) for k, v in average.module.state_dict().items())


def test_penalties_see_the_discriminator_in_float32() -> None:
    """Beside bf16: two of phase D and one of phase G in it, the penalties' own without."""
    config = small("pix2pix", {"losses": {"r1": {"name": "r1"}, "gradient-penalty": {}}})
    made = build_parts(config, Sides())  # type: ignore[arg-type]
    networks = place(made, config.train, CPU, Precision("bf16", "cpu"))
    with counted(networks) as autocast:
        adversarial_step(networks, made.losses, batch(0), Step())
    assert sorted(autocast) == [False, False, True, True, True]


def test_a_penalty_that_shares_its_judgement_costs_one_forward() -> None:
    """R1 of two weights asks for the same judgement of the target: it is made once."""

    class Plain(nn.Module):
        receptive_field = 1
        calls = 0

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 1, 1)

        def forward(self, source: Tensor, image: Tensor) -> Judgement:
            self.calls += 1
            return Judgement((self.conv(image).tanh(),), ())

    judge = Plain()
    terms = [Term(f"r{n}", create("loss", "r1"), every=1) for n in range(2)]
    terms.append(Term("l1", create("loss", "l1")))
    generator = create("generator", "unet:depth=2,width=2", source_channels=3, target_channels=3)
    config = small("pix2pix")
    networks = place(
        Parts(generator, judge, terms, []), config.train, CPU, Precision("fp32", "cpu")
    )
    adversarial_step(networks, terms, batch(0), Step())
    assert judge.calls == 1
