"""The numbers of a report: paired differences, ranks, failures, interactions, and its notes."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from p2ptk.study.records import Cost, Evidence, Result, Variant
from p2ptk.study.tables import lost, mean_cost, records, tables

Make = Callable[..., Evidence]
MakeResult = Callable[..., Result]


def test_a_row_holds_mean_sd_interval_and_the_paired_difference(evidence: Make) -> None:
    found = tables(evidence())
    base, pixel, _ = found.rows
    assert base.label == "L1 + cGAN"
    assert base.variant.baseline
    assert not base.differences
    assert base.metrics["ssim"].mean == pytest.approx(0.51)
    assert base.metrics["ssim"].sd == pytest.approx(0.01)
    difference = pixel.differences["ssim"]
    assert difference.summary.mean == pytest.approx(-0.05)  # -0.05, -0.06, -0.04
    assert difference.summary.sd == pytest.approx(0.01)
    assert difference.p == pytest.approx(0.25)
    assert pixel.differences["l1"].summary.mean == pytest.approx(0.05)


def test_holm_counts_the_contrasts_of_one_metric(evidence: Make) -> None:
    found = tables(evidence())
    adjusted = {row.label: row.differences["ssim"].adjusted for row in found.rows[1:]}
    assert adjusted["L1"] == pytest.approx(0.5)  # 0.25, the smaller of two
    assert adjusted["cGAN"] == pytest.approx(1.0)


def test_ranks_tie_where_intervals_overlap(evidence: Make) -> None:
    found = tables(evidence())
    assert {row.label: row.rank for row in found.rows} == {
        "L1 + cGAN": "1-2",
        "cGAN": "1-2",
        "L1": "3",
    }


def test_lower_is_better_turns_the_ranks(evidence: Make) -> None:
    found = tables(evidence(primary="l1", higher_is_better=False))
    assert found.metrics == ("l1", "ssim")
    assert found.rows[1].rank == "3"


def test_a_primary_metric_is_found_by_what_stands_before_its_protocol(
    evidence: Make, result: MakeResult
) -> None:
    changed = [
        result(label, seed, 0.5, metrics={"fid-torch": 40.0 + seed}, higher_is_better={})
        for label in ("L1 + cGAN", "L1", "cGAN")
        for seed in range(3)
    ]
    found = tables(evidence(changed=changed, primary="fid", higher_is_better=False))
    assert found.metrics[0] == "fid-torch"
    assert found.better["fid-torch"] is False


def test_failures_are_counted_and_told_and_stay_out_of_the_means(
    evidence: Make, result: MakeResult
) -> None:
    bad = result("L1", 2, 0.9, status="diverged", reason="Step 7: l1 is not finite.", attempts=2)
    gone = result("cGAN", 1, 0.9, status="missing")
    found = tables(evidence(changed=[bad, gone]))
    row = found.rows[1]
    assert (row.done, row.planned, row.lost) == (2, 3, "diverged 1/3")
    assert row.reasons == ("seed 2 diverged, tried 2 times: Step 7: l1 is not finite.",)
    assert row.metrics["ssim"].mean == pytest.approx(0.455)
    assert row.differences["ssim"].summary.n == 2
    assert found.rows[2].lost == "missing 1/3"
    assert not found.rows[2].reasons  # it has not been run yet
    assert any("L1 (diverged 1/3); cGAN (missing 1/3)" in note for note in found.notes)


def test_a_study_with_no_run_yet_has_rows(evidence: Make, result: MakeResult) -> None:
    nothing = [
        result(label, seed, 0.0, status="missing", metrics={}, per_image={}, cost=Cost())
        for label in ("L1 + cGAN", "L1", "cGAN")
        for seed in range(3)
    ]
    found = tables(evidence(changed=nothing))
    assert [row.rank for row in found.rows] == ["", "", ""]
    assert [row.done for row in found.rows] == [0, 0, 0]
    assert math.isnan(found.rows[0].metrics["ssim"].mean)
    assert found.rows[1].differences["ssim"].p is None
    assert records(found)[0]["ssim"] is None


def test_values_that_are_not_finite_are_no_values(evidence: Make, result: MakeResult) -> None:
    odd = result("L1", 0, 0.4, metrics={"ssim": math.nan, "l1": 0.5})
    row = tables(evidence(changed=[odd])).rows[1]
    assert row.metrics["ssim"].n == 2
    assert row.metrics["l1"].n == 3


def test_it_says_what_so_few_seeds_cannot_show(evidence: Make) -> None:
    few = " ".join(tables(evidence()).notes)
    assert "3 seeds cannot reach p < 0.05 after Holm's correction for 2 contrasts" in few
    assert "too narrow" in few
    many = {"a": [0.5 + i / 100 for i in range(8)], "b": [0.4 + i / 90 for i in range(8)]}
    assert "cannot reach" not in " ".join(tables(evidence(many)).notes)


def test_images_are_paired_over_the_seeds_that_both_have(
    evidence: Make, result: MakeResult
) -> None:
    mine = {"one": 0.6, "two": 0.5, "three": 0.4, "extra": 0.9}
    better = result("L1", 0, 0.5, per_image={"ssim": mine})
    gone = [result("L1", seed, 0, status="crashed", per_image={}) for seed in (1, 2)]
    found = tables(evidence(changed=[better, *gone]))
    row = next(row for row in found.images if row.label == "L1")
    # The baseline's seed 0 scored 0.48, 0.49 and 0.51; what only one of both has is left out.
    assert (row.seeds, row.images) == (1, 3)
    assert row.mean == pytest.approx((0.12 + 0.01 - 0.11) / 3)
    assert row.better == pytest.approx(2 / 3)
    assert row.low is not None
    assert row.high is not None
    assert row.low < row.mean < row.high


def test_grids_tell_interactions(evidence: Make) -> None:
    values = {
        "base": (0.5, 0.52, 0.51),
        "pixel": (0.45, 0.47, 0.46),
        "l1": (0.4, 0.42, 0.41),
        "both": (0.45, 0.47, 0.46),
    }
    levels = {
        "base": {"d": "patch", "loss": "gan"},
        "pixel": {"d": "pixel", "loss": "gan"},
        "l1": {"d": "patch", "loss": "l1"},
        "both": {"d": "pixel", "loss": "l1"},
    }
    made = tuple(Variant(k, v, {}, baseline=k == "base") for k, v in levels.items())
    (only,) = tables(evidence(values, made=made)).interactions
    assert (only.first, only.second) == ("d=pixel", "loss=l1")
    # 0.45 - 0.45 - 0.40 + 0.50
    assert only.effect.summary.mean == pytest.approx(0.1)
    assert only.effect.p == pytest.approx(0.25)


def test_the_first_variant_is_the_baseline_where_none_is_declared(evidence: Make) -> None:
    made = tuple(Variant(label, {}, {}) for label in ("L1 + cGAN", "L1", "cGAN"))
    found = tables(evidence(made=made))
    assert found.baseline.label == "L1 + cGAN"


def test_costs_are_means_and_the_largest_memory() -> None:
    found = mean_cost([Cost(10, 7, 30.0, 5, 60.0, "a"), Cost(10, None, 50.0, 9, 90.0, "b")])
    assert found == Cost(10, 7, 40.0, 9, 75.0, "a + b")
    assert mean_cost([]) == Cost()


def test_every_status_but_done_is_lost(result: MakeResult) -> None:
    runs = [result("x", i, 0.5, status=s) for i, s in enumerate(("done", "crashed", "crashed"))]
    assert lost(runs) == "crashed 2/3"
    assert lost(runs[:1]) == ""


def test_records_are_flat_and_of_one_shape(evidence: Make) -> None:
    flat = records(tables(evidence()))
    assert len({tuple(row) for row in flat}) == 1
    assert flat[1]["loss"] == "L1"
    assert flat[1]["ssim difference"] == pytest.approx(-0.05)
    assert flat[0]["ssim difference"] is None
    assert flat[0]["parameters"] == 5_400_000
