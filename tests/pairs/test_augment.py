from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk.components import register
from p2ptk.contracts import Judgement, Side
from p2ptk.errors import UserError
from p2ptk.pairs.augment import (
    Chain,
    Judged,
    Keyed,
    create_augmentations,
    restored,
    tell_sides,
    tell_watching,
)
from p2ptk.specs import Spec

CPU = torch.device("cpu")


class Add:
    """Adds a number, or one drawn for each sample, to the source; takes it away when restoring."""

    stage = "derive"

    def __init__(self, *, amount: float = 0.0, draws: bool = False, load: float = 0.0) -> None:
        self.amount, self.draws = amount, draws
        self.told: tuple[Side, Side] | None = None
        if load:
            self.load_size = lambda size: tuple(round(n * load) for n in size)

    def sides(self, source: Side, target: Side) -> None:
        if source.kind == "labels":
            raise UserError("add has no meaning for labels.")
        self.told = source, target

    def sample(self, numbers: Sequence[int], size: tuple[int, int], rng: Any) -> dict[str, Tensor]:
        if not self.draws:
            return {}
        return {"by": torch.stack([torch.rand(1, 1, 1, generator=rng(n)) for n in numbers])}

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        return source * 2 + self.amount + params.get("by", 0), target

    def restore(self, source: Tensor, image: Tensor) -> Tensor:
        return (image - self.amount) / 2


@pytest.fixture(autouse=True)
def _registered() -> None:
    register("augmentation", "add-test", Add)


def keyed(**params: Any) -> Keyed:
    stage = params.pop("stage", "derive")
    return Keyed(str(params), Add(**params), stage)


def test_an_augmentation_acts_at_its_own_stage_or_the_one_it_is_given() -> None:
    specs = {"a": Spec("add-test", {"amount": 2.0}), "b": Spec("add-test", {"stage": "data"})}
    made = create_augmentations(specs)
    assert [(each.key, each.stage) for each in made] == [("a", "derive"), ("b", "data")]
    assert made[0].augmentation.amount == 2.0


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (
            {"stage": "dat"},
            r"augmentations\.a\.stage: there is no stage 'dat': did you mean 'data'",
        ),
        ({"stage": "judge", "load": 1.5}, "'a' crops: it can't act at the stage 'judge'"),
    ],
)
def test_wrong_stages_are_refused(params: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        create_augmentations({"a": Spec("add-test", params)})


def test_the_first_source_is_the_target_and_each_changes_the_last_ones() -> None:
    source, target = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    chain = Chain([keyed(amount=1.0), keyed(amount=10.0)], 0, (4, 4))
    made, kept, _ = chain(source, target, {}, [0, 1])
    assert made.unique().tolist() == [(1 * 2 + 1) * 2 + 10]
    assert torch.equal(kept, target)
    later = Chain([keyed(amount=1.0, stage="data")], 0, (4, 4))
    assert later(source, target, {}, [0, 1])[0].unique().tolist() == [1]


def test_restoring_goes_backwards_and_asks_only_those_that_derive() -> None:
    steps = [keyed(amount=1.0), keyed(amount=10.0), keyed(amount=5.0, stage="data")]
    image = torch.full((1, 1, 2, 2), 16.0)
    assert restored(steps, image, image).unique().tolist() == [((16 - 10) / 2 - 1) / 2]
    assert restored([], image, image) is image


def test_sides_are_told_to_those_that_ask() -> None:
    each = keyed()
    tell_sides([each, Keyed("deaf", object(), "data")], Side(), Side("values"))
    assert each.augmentation.told == (Side(), Side("values"))
    with pytest.raises(UserError, match="no meaning for labels"):
        tell_sides([each], Side("labels", classes=2), Side())


def test_a_part_of_a_batch_has_its_own_numbers() -> None:
    judged = Judged([keyed(draws=True, stage="judge")], 3, (2, 2), CPU)
    zeros = torch.zeros(4, 1, 2, 2)
    drawn, alone = judged.draw([4, 5, 6, 7]), judged.draw([6, 7])
    assert drawn is not None
    assert alone is not None
    whole, _ = drawn(zeros, zeros)
    part, _ = drawn.part(1, 2)(zeros[:2], zeros[:2])
    assert torch.equal(part, whole[2:])
    assert torch.equal(part, alone(zeros[:2], zeros[:2])[0])
    assert len(whole.unique()) == 4
    assert Judged([keyed(stage="data")], 3, (2, 2), CPU).draw([0]) is None


def test_what_watches_sees_the_whole_batch_s_logits() -> None:
    class Watch:
        def observe(self, judged_real: Judgement) -> dict[str, Tensor]:
            assert judged_real.features == ()
            self.sizes = [tuple(x.shape) for x in judged_real.logits]
            self.total = sum(x.sum() for x in judged_real.logits)
            return {"total": self.total}

    watch = Watch()
    parts = [(torch.ones(2, 1, 3, 3), torch.ones(2, 1, 1, 1)) for _ in range(2)]
    notes = tell_watching({"w": watch}, parts)
    assert watch.sizes == [(4, 1, 3, 3), (4, 1, 1, 1)]
    assert notes["w_total"].item() == 40
    watch.total += 1  # in place: what was noted stays
    assert notes["w_total"].item() == 40
    assert tell_watching({"w": watch}, []) == {} == tell_watching({}, parts)
