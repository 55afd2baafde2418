"""The model of many GPUs: what it counts is the package's, and docs/scale.md is what it prints."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from benchmarks.scale import PLACE, main, renewed
from benchmarks.scaling.cluster import ASSUMED, GIGABITS, Cluster
from benchmarks.scaling.costs import all_tables
from benchmarks.scaling.counts import SETUPS, Bucket, Setup, Side, Work, count, largest_networks
from benchmarks.scaling.question import HALF, HD, PIX2PIX, Question, percent, rounded
from benchmarks.scaling.saved import Saved
from benchmarks.scaling.simulate import floor_seconds, simulate

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
GPUS = (1, 2, 4, 8, 16, 32, 64)


@pytest.fixture
def as_on_the_page() -> None:
    """Torch 2.6 launches 400 operations where 2.15 launches 300, and the page is of the latter."""
    if count(PIX2PIX).operations != 300:
        pytest.skip("this torch's step has another number of operations than the page's")


def test_the_page_has_what_the_script_prints(as_on_the_page: None) -> None:
    """If not: python benchmarks/scale.py --write docs/scale.md --figure docs/images/scale.png"""
    text = PAGE.read_text("utf-8")
    tables = all_tables(Question(Cluster()))
    assert renewed(text, tables) == text
    assert sorted(PLACE.findall(text)) == sorted(tables)
    assert all(len(row) == len(table.head) for table in tables.values() for row in table.rows)


def test_counts_are_those_that_were_measured_otherwise() -> None:
    """torch's own counter over a step of the field's usual implementation gave these numbers."""
    work = count(PIX2PIX)
    assert work.g.forward / 1e9 == pytest.approx(12.10, abs=0.005)
    assert work.d.forward / 1e9 == pytest.approx(6.39, abs=0.005)
    assert work.flops / 1e9 == pytest.approx(86.94, abs=0.005)
    assert (work.g.parameters, work.d.parameters) == (54_413_955, 2_768_705)
    assert 16 * work.parameters / 1e6 == pytest.approx(915, abs=1)  # weights, gradients, moments
    assert 28 * work.parameters / 1e9 == pytest.approx(1.6, abs=0.01)  # what fused Adam moves
    assert count(HALF).flops == pytest.approx(work.flops / 4, rel=0.03)


def test_the_floor_of_one_gpu() -> None:
    """About 2,100 images/s at batch 1, bound by memory, and 7,100 at 16, bound by arithmetic."""
    work = count(PIX2PIX)
    compute, weights = floor_seconds(work, 1, Cluster())
    assert compute == pytest.approx(0.110e-3, rel=0.01)
    assert weights == pytest.approx(0.47e-3, rel=0.03)
    assert 1 / weights == pytest.approx(2100, rel=0.03)
    assert 16 / sum(floor_seconds(work, 16, Cluster())) == pytest.approx(7100, rel=0.02)
    ideal = Cluster(utilisation=1.0, launch=0)
    assert simulate(work, 16, 1, ideal).images_per_s == pytest.approx(7100, rel=0.02)


def test_the_largest_network_is_the_one_that_the_page_names() -> None:
    kind, name, size = largest_networks()[0]
    assert (kind, name) == ("generator", "pix2pixhd")
    assert f"`{name}`, {size / 1e6:.0f} million" in PAGE.read_text("utf-8").replace("\none", " one")


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name)
def test_every_gradient_is_sent_once_and_in_order(setup: Setup) -> None:
    work = count(setup.name)
    for side, begun in ((work.d, 0.0), (work.g, work.d.end)):
        assert sum(bucket.bytes for bucket in side.buckets) == 4 * side.parameters
        ready = [bucket.at for bucket in side.buckets]
        assert ready == sorted(ready)
        assert begun < ready[0]
        assert ready[-1] <= side.end
    assert work.g.end == work.flops


def test_what_autograd_keeps() -> None:
    """By hand: the input of a square, once however many use it; not what a graph has let go of."""
    network = nn.Linear(4, 4, bias=False)
    x = torch.zeros(100, 4, requires_grad=True)
    with Saved(network) as saved:
        y = network(x)  # keeps x, and the weight, which is the network's own
        assert saved.now == 1600
        z = y.square() + x.square() + y[:50].exp().sum()  # keeps y, and exp's own result
        assert saved.now == 1600 + 1600 + 800
        z.sum().backward()
        del y, z
        assert saved.now == 0
    assert saved.most == 4000
    assert count(HD).kept > 20 * count(PIX2PIX).kept > 20 * 60e6


def made(*buckets: tuple[float, float]) -> Work:
    """A step of 1 FLOP a pair whose D is nothing, and G sends (bytes, at)."""
    side = Side(0, 0.0, 1.0, tuple(Bucket(int(size), at) for size, at in buckets))
    return Work(SETUPS[0], 1.0, Side(0, 0.0, 0.0, ()), side, 0, 0, 0)


PLAIN = Cluster(
    gpu_flops=1, utilisation=1, launch=0, nvlink=1, base_latency=0, hop_nvlink=0, hop_network=0
)


def test_the_simulation_by_hand() -> None:
    """Two GPUs send S bytes in S seconds, a phase's flag in 4; G's compute takes 10 seconds."""
    flags = 4 + 4
    hidden = simulate(made((3, 0.5)), 10, 2, PLAIN)
    assert hidden.waiting == pytest.approx(flags)
    # whole after 9 seconds, there after 12
    assert simulate(made((3, 0.9)), 10, 2, PLAIN).waiting == pytest.approx(2 + flags)
    # the second is whole after 6, but the channel is busy until 9
    late = simulate(made((8, 0.1), (5, 0.6)), 10, 2, PLAIN)
    assert late.waiting == pytest.approx(9 + 5 - 10 + flags)
    assert late.sending == pytest.approx(8 + 5 + flags)
    assert (late.compute, late.fixed) == (10, 0)
    assert late.images_per_s == pytest.approx(20 / 22)
    alone = simulate(made((8, 0.1)), 10, 1, PLAIN)
    assert alone.waiting == alone.sending == 0
    assert alone.images_per_s == pytest.approx(1)


@given(
    batch=st.integers(1, 256),
    gpus=st.integers(1, 256),
    network=st.floats(1, 6400),
    utilisation=st.floats(0.05, 1),
)
def test_the_simulation_lies_between_the_closed_forms(
    batch: int, gpus: int, network: float, utilisation: float
) -> None:
    cluster = Cluster(network=network * GIGABITS, utilisation=utilisation)
    for setup in SETUPS:
        step = simulate(count(setup.name), batch, gpus, cluster)
        slack = 1 + 1e-9
        assert step.without_overlap <= step.images_per_s * slack
        assert step.images_per_s <= step.without_sending * slack
        assert 0 <= step.waiting <= step.sending * slack + 1e-15


@given(st.integers(2, 512), st.integers(1, 10**9))
def test_an_all_reduce_costs_what_a_ring_does(gpus: int, size: int) -> None:
    cluster = Cluster()
    took = cluster.all_reduce(size, gpus) - cluster.latency(gpus)
    assert took == pytest.approx(2 * (gpus - 1) / gpus * size / cluster.bus(gpus), rel=1e-6)
    assert cluster.bus(gpus) == (cluster.nvlink if gpus <= 8 else 45e9)
    assert cluster.latency(gpus) <= cluster.latency(2 * gpus)


def test_the_latency_is_near_one_that_was_measured() -> None:
    """46 microseconds among 16 GPUs of two nodes: github.com/NVIDIA/nccl/issues/1244"""
    assert Cluster().latency(16) == pytest.approx(46e-6, rel=0.15)
    assert Cluster().latency(1) == 0


def test_what_the_page_concludes(as_on_the_page: None) -> None:
    """Its sentences, one by one, with the defaults."""
    q = Question(Cluster())
    work, hd = count(PIX2PIX), count(HD)
    speeds = {
        n: {g: simulate(work, 64 // g, g, q.joined(n)).images_per_s for g in GPUS}
        for n in q.networks
    }
    assert all(max(by, key=lambda g: by[g]) == 8 for by in speeds.values())
    assert simulate(work, 16, 16, q.joined(25)).images_per_s < speeds[25][1]
    assert simulate(work, 16, 64, q.middle).sending > simulate(work, 16, 1, q.middle).compute
    assert work.g.buckets[0].at / work.flops > 7 / 8
    for gpus in (16, 32, 64):
        assert simulate(hd, 16, gpus, q.middle).waiting < 0.06 * 36e-3
    assert round(hd.flops / work.flops) == 37
    assert hd.parameters / work.parameters == pytest.approx(3.3, abs=0.05)
    assert (work.norms, hd.norms, work.operations, hd.operations) == (22, 0, 300, 700)
    weak = [simulate(work, 16, n, q.joined(3200)).images_per_s / n for n in (1, 64)]
    assert weak[1] / weak[0] == pytest.approx(0.79, abs=0.005)
    one = [simulate(work, b, 1, q.middle).images_per_s for b in (1, 4, 16, 64)]
    assert all(a < b for a, b in pairwise(one))


def test_other_questions_have_answers_too(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["stops", "jobs", "--gpus", "3,12", "--network", "100", "--price", "0", "--json"]
    main(words)
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["stops", "jobs"]
    assert {row["GPUs"] for row in found["jobs"]} == {"1", "8", "12"}
    assert {row["$"] for row in found["jobs"]} == {"0.00"}
    half = replace(Cluster(), utilisation=0.15)
    assert simulate(count(HD), 16, 1, half).compute == pytest.approx(
        2 * simulate(count(HD), 16, 1, Cluster()).compute
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["strnog"], "there is no table 'strnog': assumptions"),
        (["--utilisation", "1.5"], "--utilisation is a share, at most 1"),
        (["--gpus", "1,x"], "'1,x' is not numbers above 0"),
        (["--gpus", "2.5"], "--gpus should be whole numbers"),
        (["--nvlink", "0"], "--nvlink should be above 0"),
        (["--network", "-25"], "'-25' is not numbers above 0"),
    ],
)
def test_senseless_numbers_are_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([f"{words[0]}={words[1]}"] if len(words) == 2 else words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_every_assumption_has_a_reason_and_an_option() -> None:
    page = PAGE.read_text("utf-8")
    assert set(ASSUMED) | {"network"} == set(Cluster.__dataclass_fields__)
    for option in re.findall(r"benchmarks/scale\.py (.*)", page):
        for flag in re.findall(r"--([\w-]+)", option):
            assert flag.replace("-", "_") in {
                *ASSUMED, "network", "gpus", "json", "write", "figure"
            }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,230"), (0.0478, "0.0478"), (0, "0"), (12.0, "12")]
)
def test_numbers_are_told_with_three_digits(value: float, text: str) -> None:
    assert rounded(value) == text


def test_small_shares_keep_two_digits() -> None:
    assert [percent(x) for x in (0.0019, 0.374, 1)] == ["0.19 %", "37 %", "100 %"]


def test_the_figure_is_small(tmp_path: Path) -> None:
    assert (PAGE.parent / "images" / "scale.png").stat().st_size < 60_000
