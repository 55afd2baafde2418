"""The adversarial step: who is called how often, who learns, in which order."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2ptk.build import Parts, place
from p2ptk.components import create
from p2ptk.config import Train
from p2ptk.contracts import Judgement, Translation
from p2ptk.device import Precision
from p2ptk.feed import Batch
from p2ptk.init import initialise
from p2ptk.spectral import SpectralConv2d
from p2ptk.step import Networks, Step, Term, adversarial_step, critic_step

CHANNELS = {"source_channels": 3, "target_channels": 3}


class Counting(nn.Module):
    """A discriminator that counts its calls."""

    receptive_field = 3

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.calls = 0

    def forward(self, source: Tensor, image: Tensor) -> Judgement:
        self.calls += 1
        found: Judgement = self.inner(source, image)
        return found


def make(
    terms: list[Term], norm: str = "batch", adversary: bool = True, precision: str = "fp32"
) -> Networks:
    torch.manual_seed(0)
    generator = create("generator", f"unet:depth=3,width=4,dropout=0.0,norm={norm}", **CHANNELS)
    initialise(generator)
    judge = None
    if adversary:
        judge = Counting(
            create("discriminator", f"patchgan:layers=1,width=4,norm={norm}", **CHANNELS)
        )
        initialise(judge)
    parts = Parts(generator, judge, terms, [])
    return place(parts, Train(), torch.device("cpu"), Precision(precision, "cpu"))  # type: ignore[arg-type]


def batch(size: int = 2, seed: int = 1) -> Batch:
    numbers = torch.Generator().manual_seed(seed)
    source, target = (torch.rand(size, 3, 16, 16, generator=numbers) * 2 - 1 for _ in range(2))
    return Batch(source, target)


def gan(**params: Any) -> Term:
    spec = {"name": "gan", **params}
    return Term("gan", create("loss", spec))


L1 = Term("l1", create("loss", "l1"), weight=100.0)


def weights(module: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def moved(module: nn.Module, before: list[Tensor]) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_scalars_are_the_weighted_terms_and_their_sums() -> None:
    terms = [gan(), L1]
    networks = make(terms)
    with torch.no_grad():
        expected = (networks.generator(batch().source) - batch().target).abs().mean() * 100
    scalars = adversarial_step(networks, terms, batch(), Step())
    assert set(scalars) == {
        "g_gan", "g_l1", "g_loss", "d_gan", "d_loss", "d_real", "d_fake", "finite",
    }  # fmt: skip
    assert scalars["g_l1"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert scalars["g_loss"].item() == pytest.approx(
        (scalars["g_gan"] + scalars["g_l1"]).item(), rel=1e-6
    )
    assert scalars["d_loss"].item() == pytest.approx(
        0.5 * (scalars["d_real"] + scalars["d_fake"]).item(), rel=1e-6
    )


@pytest.mark.parametrize("judge", ["after", "before"])
def test_pix2pix_calls_the_discriminator_three_times(judge: Any) -> None:
    terms = [gan(), L1]
    networks = make(terms)
    adversarial_step(networks, terms, batch(), Step(judge=judge))
    assert networks.discriminator.calls == 3  # type: ignore[union-attr]


def test_a_loss_that_compares_with_the_real_costs_a_fourth() -> None:
    class Matching:
        adversarial = True

        def generator(self, t: Translation) -> Tensor:
            assert not t.judged_real.logits[0].requires_grad
            return (t.judged_fake.logits[0] - t.judged_real.logits[0]).abs().mean()

    terms = [gan(), Term("match", Matching())]
    networks = make(terms)
    adversarial_step(networks, terms, batch(), Step())
    assert networks.discriminator.calls == 4  # type: ignore[union-attr]


@pytest.mark.parametrize("judge", ["after", "before"])
def test_both_learn_and_no_gradient_leaks_into_the_next_step(judge: Any) -> None:
    terms = [gan(), L1]
    networks = make(terms)
    before_g, before_d = weights(networks.generator), weights(networks.discriminator)  # type: ignore[arg-type]
    adversarial_step(networks, terms, batch(), Step(judge=judge))
    assert moved(networks.generator, before_g)
    assert moved(networks.discriminator, before_d)  # type: ignore[arg-type]
    both = [*networks.generator.parameters(), *networks.discriminator.parameters()]  # type: ignore[union-attr]
    assert all(p.grad is None and p.requires_grad for p in both)


def test_after_and_before_differ_only_in_who_judges() -> None:
    """G's adversarial term is the updated D's opinion or the old one's; D's update is the same."""
    runs = {}
    for judge in ("after", "before"):
        terms = [gan(), L1]
        networks = make(terms, norm="instance")
        scalars = adversarial_step(networks, terms, batch(), Step(judge=judge))  # type: ignore[arg-type]
        runs[judge] = (scalars, weights(networks.discriminator))  # type: ignore[arg-type]
    after, before = runs["after"], runs["before"]
    assert after[0]["d_loss"] == before[0]["d_loss"]
    assert after[0]["g_l1"] == before[0]["g_l1"]
    assert after[0]["g_gan"] != before[0]["g_gan"]
    assert all(torch.equal(a, b) for a, b in zip(after[1], before[1], strict=True))


def test_the_discriminator_waits_for_its_start() -> None:
    terms = [gan(), L1]
    networks = make(terms)
    before = weights(networks.discriminator)  # type: ignore[arg-type]
    scalars = adversarial_step(networks, terms, batch(), Step(adversarial=False))
    assert "g_gan" not in scalars
    assert networks.discriminator.calls == 0  # type: ignore[union-attr]
    assert not moved(networks.discriminator, before)  # type: ignore[arg-type]


def test_without_a_discriminator() -> None:
    networks = make([L1], adversary=False)
    scalars = adversarial_step(networks, [L1], batch(), Step())
    assert set(scalars) == {"g_l1", "g_loss", "finite"}


def test_the_critic_step_leaves_the_generator() -> None:
    terms = [gan(mode="wgan"), L1]
    networks = make(terms)
    before = weights(networks.generator)
    statistics = [b.clone() for b in networks.generator.buffers() if b.is_floating_point()]
    scalars = critic_step(networks, terms, batch(), Step())
    assert "d_gan" in scalars
    assert not moved(networks.generator, before)
    after = [b for b in networks.generator.buffers() if b.is_floating_point()]
    assert all(torch.equal(a, b) for a, b in zip(statistics, after, strict=True))


def test_accumulated_parts_are_the_whole_batch() -> None:
    """Without batch statistics, gradients of equal parts add up to the whole batch's."""
    results = []
    for accumulate in (1, 2, 4):
        terms = [gan(), L1]
        networks = make(terms, norm="instance")
        scalars = [
            adversarial_step(networks, terms, batch(4, seed), Step(seed, accumulate=accumulate))
            for seed in range(3)
        ]
        results.append((scalars[-1], weights(networks.generator)))
    for scalars, _ in results[1:]:
        for name in ("g_loss", "d_loss", "g_l1"):
            assert scalars[name].item() == pytest.approx(results[0][0][name].item(), rel=1e-4)


def test_running_statistics_move_in_phase_g_only() -> None:
    terms = [gan(), L1]
    networks = make(terms)
    adversarial_step(networks, terms, batch(4), Step(accumulate=2))
    norms = [m for m in networks.generator.modules() if isinstance(m, nn.BatchNorm2d)]
    twin = make(terms)
    for part in batch(4).split(2):
        twin.generator(part.source)
    twins = [m for m in twin.generator.modules() if isinstance(m, nn.BatchNorm2d)]
    for mine, other in zip(norms, twins, strict=True):
        assert torch.allclose(mine.running_mean, other.running_mean, atol=1e-6)  # type: ignore[arg-type]


def test_dropout_is_a_function_of_the_step() -> None:
    def fake_of(seed: int, noise: int) -> float:
        torch.manual_seed(0)
        generator = create("generator", "unet:depth=6,width=4,dropout=0.5", **CHANNELS)
        networks = place(
            Parts(generator, None, [L1], []), Train(), torch.device("cpu"), Precision("fp32", "cpu")
        )
        torch.manual_seed(noise)
        source = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        return adversarial_step(networks, [L1], Batch(source, source), Step(seed=seed))[
            "g_l1"
        ].item()

    assert fake_of(1, 10) == fake_of(1, 20)
    assert fake_of(1, 10) != fake_of(2, 10)


def test_lazy_terms_are_called_rarely_and_scaled() -> None:
    lazy = Term("far", create("loss", "l2"), weight=2.0, every=4)
    networks = make([lazy, L1], adversary=False)
    plain = ((networks.generator(batch().source) - batch().target) ** 2).mean().item()
    scalars = adversarial_step(networks, [lazy, L1], batch(), Step(number=0))
    assert scalars["g_far"].item() == pytest.approx(plain * 2 * 4, rel=1e-4)
    for number in (1, 2, 3):
        assert "g_far" not in adversarial_step(networks, [lazy, L1], batch(), Step(number))
    assert "g_far" in adversarial_step(networks, [lazy, L1], batch(), Step(number=4))


def test_input_gradients_are_judged_in_float32() -> None:
    class Penalty:
        """R1's shape: the squared gradient of D's logits by the real images."""

        input_gradients = True

        def discriminator(self, t: Translation) -> Tensor:
            logits = t.judged_real.logits[0]
            (slope,) = torch.autograd.grad(logits.sum(), t.target, create_graph=True)
            assert slope.dtype == torch.float32
            return slope.square().sum((1, 2, 3)).mean()

    terms = [gan(), L1, Term("penalty", Penalty())]
    networks = make(terms, precision="bf16")
    scalars = adversarial_step(networks, terms, batch(), Step())
    assert scalars["d_penalty"].item() > 0
    assert networks.discriminator.calls == 4  # type: ignore[union-attr]
    assert scalars["g_gan"].dtype == torch.float32


def test_each_part_of_a_batch_draws_its_own_numbers() -> None:
    drawn: list[float] = []

    class Draws:
        def generator(self, t: Translation) -> Tensor:
            drawn.append(torch.rand((), generator=t.rng).item())
            return t.fake.mean()

    terms = [Term("draws", Draws())]
    networks = make(terms, adversary=False)
    adversarial_step(networks, terms, batch(4), Step(seed=7, accumulate=4))
    adversarial_step(networks, terms, batch(4), Step(seed=7))
    assert len(set(drawn[:4])) == 4
    assert drawn[4] == drawn[0]


def test_a_spectral_norm_in_the_generator_moves_in_phase_g_only() -> None:
    torch.manual_seed(0)
    generator = create("generator", "spade:depth=1,width=2,hidden=2", **CHANNELS)
    judge = create("discriminator", "patchgan:layers=1,width=4", **CHANNELS)
    terms = [gan(), L1]
    networks = place(
        Parts(generator, judge, terms, []), Train(), torch.device("cpu"), Precision("fp32", "cpu")
    )
    conv = next(m for m in generator.modules() if isinstance(m, SpectralConv2d))
    twin = copy.deepcopy(conv)
    critic_step(networks, terms, batch(), Step())
    assert torch.equal(conv.v, twin.v)
    adversarial_step(networks, terms, batch(), Step(accumulate=2))
    twin(torch.zeros(1, twin.in_channels, 3, 3))
    assert not torch.equal(conv.v, twin.v)
    twin(torch.zeros(1, twin.in_channels, 3, 3))
    assert torch.equal(conv.v, twin.v)  # once a part


def test_a_loss_that_is_not_finite_updates_nothing() -> None:
    class Broken:
        def generator(self, t: Translation) -> Tensor:
            return t.fake.mean() * float("nan")

    terms = [gan(), Term("broken", Broken())]
    networks = make(terms)
    before = weights(networks.generator)
    scalars = adversarial_step(networks, terms, batch(), Step())
    assert not scalars["finite"]
    assert not moved(networks.generator, before)


def test_what_the_discriminator_sees_is_augmented_alike_in_both_phases() -> None:
    seen: list[Tensor] = []

    def see(source: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(image)
        return source.flip(-1), image.flip(-1)

    terms = [gan(), L1]
    adversarial_step(make(terms), terms, batch(), Step(see=see))
    assert len(seen) == 3


def test_weight_zero_means_no_effect() -> None:
    off = Term("off", create("loss", "l2"), weight=0.0)
    results = []
    for terms in ([gan(), L1], [gan(), L1, off]):
        networks = make(terms)
        adversarial_step(networks, terms, batch(), Step())
        results.append(weights(networks.generator))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_bf16_stays_near_fp32() -> None:
    """Losses of the first 20 steps; the band is what 8 bits of mantissa leave."""
    curves = []
    for precision in ("fp32", "bf16"):
        terms = [gan(), L1]
        networks = make(terms, precision=precision)
        curves.append(
            [
                adversarial_step(networks, terms, batch(4, 7), Step(number))["g_l1"].item()
                for number in range(20)
            ]
        )
    assert curves[1] == pytest.approx(curves[0], rel=0.03)
