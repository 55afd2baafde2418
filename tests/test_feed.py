from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from p2ptk.augmentations.jitter import Jitter
from p2ptk.contracts import Pair, Side
from p2ptk.datasets.images import UnreadableImage
from p2ptk.errors import UserError
from p2ptk.feed import Batch, ResidentFeed, StreamedFeed, fixed_batch, make_feed
from p2ptk.pairs.memory import free_memory
from p2ptk.pairs.store import Store

CPU = torch.device("cpu")
LABELS = Side("labels", classes=5)
VALUES = Side("values", (-3.0, 3.0))


@dataclass(frozen=True)
class Keyed:
    key: str
    augmentation: Any
    stage: str


class Pairs:
    """Random pairs in memory; `sides` makes each from its size."""

    def __init__(
        self, count: int = 7, sizes: Sequence[tuple[int, int]] = ((10, 14),), kind: str = "plain"
    ) -> None:
        self.count, self.shapes, self.kind = count, sizes, kind

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Pair:
        if self.kind == "broken" and index in (2, 4):
            raise UnreadableImage(f"{index}.png", "the file is truncated")
        if index >= self.count:
            raise IndexError(index)
        height, width = self.shapes[index % len(self.shapes)]
        rng = torch.Generator().manual_seed(index)
        source = torch.randint(0, 256, (3, height, width), generator=rng).byte()
        target = torch.randint(0, 65536, (1, height, width), generator=rng).to(torch.uint16)
        extra = {}
        if self.kind == "labels":
            target = torch.randint(0, 5, (1, height, width), generator=rng).byte()
            extra = {"mask": torch.randint(0, 9, (2, height, width), generator=rng)}
        if self.kind == "values":
            target = torch.randn(4, height, width, generator=rng)
        if self.kind == "mixed" and index % 2:
            source = source.to(torch.uint16) * 257
        return Pair(source, target, f"pair{index}", extra)


JITTER = (Keyed("jitter", Jitter(load=1.3), "data"),)


def feed(split: Any, kind: str = "resident", **options: Any) -> Any:
    b = {"labels": LABELS, "values": VALUES}.get(split.kind, Side())
    given = {
        "direction": "AtoB", "size": (8, 12), "batch_size": 3, "seed": 5, "device": CPU,
        "augmentations": JITTER, "workers": 0, "kind": {"raw": "resident"}.get(kind, kind),
        "share": 0.0 if kind == "raw" else 0.25,
    }  # fmt: skip
    made = make_feed(split, Side(), b, **{**given, **options})
    # On a CPU make_feed resizes ahead only where that saves memory.
    return ResidentFeed(made.plan, room=2**30) if kind == "resident" else made


def assert_same(x: Batch, y: Batch) -> None:
    assert torch.equal(x.source, y.source)
    assert torch.equal(x.target, y.target)
    assert x.extra.keys() == y.extra.keys()
    assert all(torch.equal(x.extra[key], y.extra[key]) for key in x.extra)
    assert (x.names, x.numbers) == (y.names, y.numbers)


@pytest.mark.parametrize("kind", ["plain", "labels", "values", "mixed"])
@pytest.mark.parametrize("sizes", [((10, 14),), ((10, 14), (9, 20), (16, 16))])
@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_all_feeds_give_the_same_pixels(kind: str, sizes: tuple, direction: str) -> None:
    split = Pairs(sizes=sizes, kind=kind)
    feeds = [feed(split, each, direction=direction) for each in ("resident", "raw", "streamed")]
    assert [type(each) for each in feeds] == [ResidentFeed, ResidentFeed, StreamedFeed]
    assert feeds[0].resized
    assert not feeds[1].resized
    for step in (0, 1, 2, 3, 9):
        first, *others = [each.batch(step) for each in feeds]
        for other in others:
            assert_same(first, other)
    depth = {"plain": 1, "labels": 5, "values": 4, "mixed": 1}[kind]
    shapes = [(3, 3, 8, 12), (3, depth, 8, 12)]
    assert [first.source.shape, first.target.shape] == shapes[:: 1 if direction == "AtoB" else -1]
    assert first.source.dtype == first.target.dtype == torch.float32
    assert first.source.is_contiguous()
    assert first.source.abs().max() <= 1


@pytest.mark.parametrize(("side", "ahead"), [(10, False), (100, True)])
def test_pairs_are_held_resized_on_a_cpu_where_that_is_smaller(side: int, ahead: bool) -> None:
    made = make_feed(
        Pairs(sizes=((side, side),)), Side(), Side(), direction="AtoB", size=(8, 12),
        batch_size=2, seed=0, device=CPU, augmentations=JITTER, workers=0,
    )  # fmt: skip
    assert isinstance(made, ResidentFeed)
    assert made.resized == ahead


@pytest.mark.parametrize("kind", ["resident", "raw", "streamed"])
def test_a_sample_depends_on_its_number_alone(kind: str) -> None:
    """Not on the batch size, the rank, or on what was asked for before."""
    split = Pairs(sizes=((10, 14), (11, 13)))
    whole = feed(split, kind, batch_size=12).batch(1)
    assert whole.numbers == tuple(range(12, 24))
    small = feed(split, kind, batch_size=4)
    for step in (5, 3, 4):
        part = small.batch(step)
        at = slice((step - 3) * 4, (step - 2) * 4)
        assert torch.equal(part.source, whole.source[at])
        assert torch.equal(part.target, whole.target[at])
    for rank in (0, 1):
        part = feed(split, kind, batch_size=12, rank=rank, world=2).batch(1)
        at = slice(rank * 6, rank * 6 + 6)
        assert part.numbers == whole.numbers[at]
        assert torch.equal(part.target, whole.target[at])


@pytest.mark.parametrize("copy_ahead", [False, True])
def test_worker_processes_and_threads_change_nothing(copy_ahead: bool) -> None:
    split = Pairs(sizes=((10, 14), (11, 13)), kind="labels")
    here = feed(split, "streamed")
    apart = StreamedFeed(here.plan, workers=2, copy_ahead=copy_ahead)
    for step in (0, 1, 2, 7, 8, 1):
        assert_same(apart.batch(step), here.batch(step))
    assert apart.waited > 0
    apart.close()
    assert_same(apart.batch(3), here.batch(3))
    apart.close()


def test_nothing_is_drawn_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    for kind in ("resident", "streamed"):
        feed(Pairs(), kind).batch(0)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epoch_has_every_pair_once_and_batches_straddle_epochs() -> None:
    source = feed(Pairs(7))
    names = [name for step in range(7) for name in source.batch(step).names]
    for epoch in range(3):
        assert sorted(names[epoch * 7 : epoch * 7 + 7]) == [f"pair{i}" for i in range(7)]


def test_without_augmentation_and_resizing_values_are_the_files() -> None:
    split = Pairs()
    batch = feed(split, augmentations=(), size=(10, 14)).batch(0)
    for i, name in enumerate(batch.names):
        pair = split[int(name.removeprefix("pair"))]
        expected = pair.source.float() / 127.5 - 1
        assert torch.equal(batch.source[i], expected)


def test_extra_tensors_follow_the_geometry() -> None:
    """A mask made from the source stays that of the source, wherever the crop is."""

    class Same(Pairs):
        def __getitem__(self, index: int) -> Pair:
            pair = super().__getitem__(index)
            return pair._replace(extra={"copy": pair.source})

    split = Same(sizes=((10, 15),))
    exact = (Keyed("jitter", Jitter(load=1.25), "data"),)
    batch = feed(split, size=(8, 12), augmentations=exact).batch(2)
    torch.testing.assert_close(batch.extra["copy"] / 127.5 - 1, batch.source)


class Blank:
    """Derives a source: the target's mean, marked with a random number."""

    stage = "derive"

    def sample(self, numbers: Sequence[int], size: tuple[int, int], rng: Any) -> dict:
        self.size = size
        return {"noise": torch.stack([torch.rand(1, generator=rng(n)) for n in numbers])}

    def apply(self, source: torch.Tensor, target: torch.Tensor, params: dict) -> tuple:
        assert tuple(target.shape[-2:]) == self.size
        mean = target.mean(1, keepdim=True)
        return mean * 0 + params["noise"][..., None, None], target


class Crop:
    """Crops at the corner; has no geometry."""

    stage = "data"

    def load_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return size[0] + 2, size[1] + 3

    def sample(self, numbers: Sequence[int], size: tuple[int, int], rng: Any) -> dict:
        return {"size": torch.tensor(size).expand(len(numbers), 2)}

    def apply(self, source: torch.Tensor, target: torch.Tensor, params: dict) -> tuple:
        height, width = params["size"][0].tolist()
        return source[..., :height, :width], target[..., :height, :width]


def test_deriving_comes_first_and_at_the_size_loaded() -> None:
    blank = Blank()
    chain = (*JITTER, Keyed("blank", blank, "derive"), Keyed("other", None, "judge"))
    batch = feed(Pairs(), augmentations=chain).batch(0)
    assert blank.size == Jitter(load=1.3).load_size((8, 12)) == (10, 16)
    assert batch.source.shape == (3, 1, 8, 12)
    assert all(len(image.unique()) == 1 for image in batch.source)


def test_crops_add_up() -> None:
    chain = (Keyed("crop", Crop(), "data"), Keyed("jitter", Jitter(load=1.5), "data"))
    source = feed(Pairs(), augmentations=chain)
    assert source.chain.load_size == (8 + 4 + 2, 12 + 6 + 3)
    assert source.batch(0).source.shape[-2:] == (8, 12)


def test_a_crop_without_geometry_is_refused_where_masks_need_it() -> None:
    chain = (Keyed("crop", Crop(), "data"),)
    with pytest.raises(UserError, match=r"'crop' can't be used with this data.* mask"):
        feed(Pairs(kind="labels"), augmentations=chain).batch(0)


def test_two_augmentations_of_a_kind_draw_apart() -> None:
    chain = tuple(Keyed(key, Blank(), "derive") for key in ("one", "two"))
    alone = feed(Pairs(), augmentations=chain[:1]).batch(0)
    other = feed(Pairs(), augmentations=chain[1:]).batch(0)
    assert not torch.equal(alone.source, other.source)


@pytest.mark.parametrize("share", [1e-9, 0.25])
def test_the_feed_is_chosen_by_what_fits(share: float) -> None:
    chosen = feed(Pairs(), "auto", share=share)
    assert isinstance(chosen, ResidentFeed if share > 0.1 else StreamedFeed)
    assert "7 pairs" in chosen.describe()
    assert chosen.batch(0).source.shape[0] == 3


def test_progress_and_waiting_are_told() -> None:
    seen: list[tuple[int, int]] = []
    source = feed(Pairs(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 7) for i in range(1, 8)]
    assert source.waited == 0
    source.batch(0)
    assert source.waited > 0


def test_undecodable_pairs_are_named() -> None:
    with pytest.raises(UserError) as caught:
        feed(Pairs(kind="broken"))
    assert "2 pairs can't be used" in str(caught.value)
    assert "2.png can't be read: the file is truncated" in str(caught.value)
    plan = feed(Pairs(kind="broken"), "streamed").plan
    for workers, copy_ahead in ((0, False), (1, False), (1, True)):
        source = StreamedFeed(plan, workers=workers, copy_ahead=copy_ahead)
        for _ in range(2):  # asked again, it fails again, and does not hang
            with pytest.raises(UnreadableImage, match=r"^[24]\.png can't be read: the file is"):
                [source.batch(step) for step in range(3)]
        source.close()


def test_wrong_sets_and_batches_are_refused() -> None:
    class Uneven(Pairs):
        def __getitem__(self, index: int) -> Pair:
            pair = super().__getitem__(index)
            return pair._replace(source=pair.source[: 1 + index % 2])

    with pytest.raises(UserError, match=r"'pair1'.*channels should agree"):
        feed(Uneven())
    with pytest.raises(UserError, match="no pairs"):
        feed(Pairs(0))
    with pytest.raises(UserError, match="3 can't be shared equally by 2 processes"):
        feed(Pairs(), world=2)


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_fixed_pairs_are_resized_and_not_augmented(direction: Any) -> None:
    split = Pairs(sizes=((10, 14), (11, 13)))
    blank = Keyed("blank", Blank(), "derive")
    options: dict[str, Any] = {"direction": direction, "device": CPU}
    batch = fixed_batch(split, [4, 0], Side(), Side(), size=(8, 12), **options)
    assert batch.names == ("pair4", "pair0")
    assert batch.numbers == (4, 0)
    expected = feed(split, augmentations=(), direction=direction, batch_size=7).batch(0)
    at = [expected.names.index(name) for name in batch.names]
    assert torch.equal(batch.source, expected.source[at])
    derived = fixed_batch(
        split, [4, 0], Side(), Side(), size=(8, 12), augmentations=[blank, *JITTER], **options
    )
    assert torch.equal(derived.target, batch.target)
    assert derived.source[0].unique().numel() == 1
    own = fixed_batch(split, [0, 2], Side(), Side(), size=None, **options)
    assert own.source.shape[-2:] == (10, 14)
    with pytest.raises(UserError, match="give a size"):
        fixed_batch(split, [0, 1], Side(), Side(), size=None, **options)


def test_a_batch_splits_into_equal_parts() -> None:
    batch = feed(Pairs(kind="labels"), batch_size=4).batch(0)
    parts = batch.split(2)
    assert torch.equal(torch.cat([part.source for part in parts]), batch.source)
    assert torch.equal(parts[1].extra["mask"], batch.extra["mask"][2:])
    assert parts[1].names == batch.names[2:]
    assert [len(part) for part in parts] == [2, 2]
    assert batch.split(1) == [batch]
    with pytest.raises(UserError, match="4 can't be split into 3"):
        batch.split(3)


@settings(max_examples=30, deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=6),
    dtypes=st.lists(st.sampled_from([torch.uint8, torch.uint16, torch.float32]), min_size=6,
                    max_size=6),
)  # fmt: skip
def test_a_store_gives_back_what_was_packed(shapes: list, dtypes: list) -> None:
    images = [
        (torch.arange(2 * h * w).reshape(2, h, w) + i).to(dtype)
        for i, ((h, w), dtype) in enumerate(zip(shapes, dtypes, strict=False))
    ]
    store = Store.pack(list(images))
    indices = list(range(len(images)))[::-1]
    taken = store.take(indices, torch.tensor(indices))
    for i, image in zip(indices, taken, strict=True):
        assert torch.equal(image, images[i])
        assert image.dtype == images[i].dtype
    assert store.nbytes == sum(image.nbytes for image in images)


def test_free_memory_is_plausible() -> None:
    assert 2**24 < free_memory(CPU) < 2**50


@pytest.mark.slow
def test_feeds_left_open_do_not_keep_python_from_ending() -> None:
    script = (
        "from test_feed import *\n"
        "plan = feed(Pairs(), 'streamed').plan\n"
        "feeds = [StreamedFeed(plan, workers=2, copy_ahead=c) for c in (False, True)]\n"
        "for each in feeds: each.batch(0)\n"
        "print('ending')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parent,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("ending\n", 0), done.stderr


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["resident", "streamed"])
def test_no_feed_waits_for_the_gpu(kind: str) -> None:
    source = feed(Pairs(kind="labels"), kind, device=torch.device("cuda"), workers=1)
    assert getattr(source, "copy_ahead", True)
    source.batch(0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(1, 20):
            source.batch(step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
        source.close()


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["plain", "labels", "mixed"])
def test_feeds_agree_on_a_gpu(kind: str) -> None:
    split = Pairs(sizes=((10, 14), (9, 20)), kind=kind)
    cuda = torch.device("cuda")
    feeds = [
        feed(split, each, device=cuda, workers=1 if each == "streamed" else 0)
        for each in ("resident", "raw", "streamed")
    ]
    on_cpu = feed(split)
    for step in (0, 5, 6):
        first, *others = [each.batch(step) for each in feeds]
        assert first.source.is_cuda
        for other in others:
            assert_same(first, other)
        torch.testing.assert_close(first.source.cpu(), on_cpu.batch(step).source, rtol=0, atol=1e-5)
    feeds[-1].close()
