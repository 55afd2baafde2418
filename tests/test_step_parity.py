"""The shipped training step against recorded steps: losses and outputs are the reference's.

Two records: one of an independent implementation, the PyTorch port of pix2pix, in ../shared; and
one of p2ptk's own in tests/golden, which shows that a later change left the numbers as they were.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from p2ptk.build import Parts, place
from p2ptk.components import create
from p2ptk.config import Train
from p2ptk.device import Precision
from p2ptk.feed import Batch
from p2ptk.port.keys import patchgan_keys, rename, resnet_keys, unet_keys
from p2ptk.specs import Spec
from p2ptk.step import Step, Term, adversarial_step

RGB = {"source_channels": 3, "target_channels": 3}
GOLDEN = Path(__file__).parent / "golden"


class Reference(NamedTuple):
    """What p2ptk calls a recorded configuration of the port."""

    folder: str
    generator: str
    discriminator: str
    generator_keys: dict[str, str]
    discriminator_keys: dict[str, str]
    losses: dict[str, str]


REFERENCES = [
    Reference(
        "unet256_patchgan70_vanilla_batchnorm",
        "unet:width=8,dropout=0.0",
        "patchgan:width=8",
        unet_keys(8),
        patchgan_keys(3),
        {"gan": "gan:mode=vanilla", "l1": "l1:weight=100"},
    ),
    Reference(
        "resnet9_patchgan34_lsgan_instancenorm",
        "resnet:width=8,norm=instance",
        "patchgan:layers=2,width=8,norm=instance",
        resnet_keys(9),
        patchgan_keys(2),
        {"gan": "gan:mode=lsgan", "l1": "l1:weight=10"},
    ),
]

# The port's names of what a step gives.
NAMES = {
    "G_GAN": "g_gan",
    "G_L1": "g_l1",
    "G": "g_loss",
    "D_real": "d_real",
    "D_fake": "d_fake",
    "D": "d_loss",
}


def take_steps(
    generator: nn.Module,
    discriminator: nn.Module,
    losses: dict[str, str],
    pairs: dict[str, Tensor],
    judge: Any = "after",
    **train: Any,
) -> list[tuple[dict[str, float], Tensor]]:
    """The scalars of each step on recorded pairs, and the generator's output in it.

    losses: specs by key, with a weight as `-L` takes it. train: options of the optimisers.
    """
    terms = []
    for key, text in losses.items():
        spec = Spec.parse(text)
        loss = create("loss", spec.without("weight"))
        terms.append(Term(key, loss, float(spec.params.get("weight", 1))))
    networks = place(
        Parts(generator, discriminator, terms, []),
        Train(**train),
        torch.device("cpu"),
        Precision("fp32", "cpu"),
    )
    seen: list[Tensor] = []
    networks.generator.register_forward_hook(lambda _, __, fake: seen.append(fake.detach()))
    made = []
    for number, (source, target) in enumerate(zip(pairs["source"], pairs["target"], strict=True)):
        batch = Batch(source / 127.5 - 1, target / 127.5 - 1)
        scalars = adversarial_step(networks, terms, batch, Step(number=number, judge=judge))
        assert scalars.pop("finite")
        made.append(({name: value.item() for name, value in scalars.items()}, seen[-1]))
        assert len(seen) == number + 1, "the generator is to be called once a step"
    return made


def golden_steps(folder: Path, **other: Any) -> list[tuple[dict[str, float], Tensor]]:
    """The steps of a golden folder, taken anew; `other` changes what it says."""
    recorded = json.loads((folder / "golden.json").read_text())
    networks: dict[str, nn.Module] = {}
    for kind in ("generator", "discriminator"):
        networks[kind] = create(kind, recorded[kind], **RGB)
        networks[kind].load_state_dict(load_file(folder / f"{kind}.safetensors"))
    pairs = load_file(folder / "pairs.safetensors")
    how = {"judge": recorded["judge"], **other}
    return take_steps(**networks, losses=recorded["losses_of"], pairs=pairs, **how)


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: r.folder)
def test_four_steps_of_the_port(shared: Path, reference: Reference) -> None:
    """Fused Adam and channels-last convolutions round otherwise than what was recorded.

    Adam's first steps are close to lr * sign(gradient), so a gradient that is zero but for rounding
    moves its weight by 2e-4 either way. Losses hardly notice, single pixels do. Measured on outputs
    of the fourth step: 1e-3 at the most here; 7e-3 (mean 8e-4) with noise of 1e-6 of each initial
    weight, which is ten roundings; 6e-3 where torch may use SSE 4.1 alone. Four times that is
    granted. Losses stay within 6e-5.
    """
    folder = shared / "reference" / reference.folder
    generator = create("generator", reference.generator, **RGB)
    discriminator = create("discriminator", reference.discriminator, **RGB)
    for network, keys, name in (
        (generator, reference.generator_keys, "generator"),
        (discriminator, reference.discriminator_keys, "discriminator"),
    ):
        network.load_state_dict(rename(load_file(folder / f"{name}_initial.safetensors"), keys))
    recorded = json.loads((folder / "meta.json").read_text())["losses"]
    outputs = load_file(folder / "outputs.safetensors")

    pairs = load_file(folder / "pairs.safetensors")
    made = take_steps(generator, discriminator, reference.losses, pairs)
    assert len(made) == len(recorded) == 4
    for number, (scalars, fake) in enumerate(made):
        for theirs, ours in NAMES.items():
            rel = 1e-5 if number == 0 else 1e-3
            assert scalars[ours] == pytest.approx(recorded[number][theirs], rel=rel), (number, ours)
        most, mean = (3e-2, 3e-3) if number else (1e-4, 1e-5)
        off = (fake - outputs[f"fake_{number}"]).abs()
        assert off.max().item() <= most, number
        assert off.mean().item() <= mean, number


@pytest.mark.parametrize("name", sorted(p.parent.name for p in GOLDEN.glob("*/golden.json")))
def test_golden_steps(name: str) -> None:
    """The same as ever, on any CPU: see tests/golden/make.py for what is recorded.

    Noise of 1e-6 of each initial weight, which is more than another CPU's order of summation does,
    moves losses by 1e-6 and outputs by 2e-5; five to ten times that is granted. One part in a
    hundred of the learning rate moves losses by 1e-4.
    """
    made = golden_steps(GOLDEN / name)
    golden = json.loads((GOLDEN / name / "golden.json").read_text())
    outputs = load_file(GOLDEN / name / "outputs.safetensors")
    assert len(made) == len(golden["losses"]) == 3
    for number, (scalars, fake) in enumerate(made):
        assert scalars == pytest.approx(golden["losses"][number], rel=1e-5), number
        off = (fake - outputs[f"fake_{number}"]).abs().max()
        assert off <= 1e-4, number


def test_a_slightly_other_step_is_not_golden() -> None:
    """The bands are narrow enough to tell one choice from another."""
    folder = GOLDEN / "unet-batch-vanilla"
    golden = json.loads((folder / "golden.json").read_text())["losses"][-1]
    for change in ({"lr": 2.02e-4}, {"betas": (0.6, 0.999)}, {"judge": "before"}):
        scalars, _ = golden_steps(folder, **change)[-1]
        assert scalars != pytest.approx(golden, rel=1e-5), change
