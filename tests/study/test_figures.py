"""The figures: what they show, and that they fit the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from p2ptk.study.courses import courses
from p2ptk.study.figures import cost_axis, curves, forest, front, pareto
from p2ptk.study.records import Cost, Evidence, Result
from p2ptk.study.tables import tables

Make = Callable[..., Evidence]
MakeResult = Callable[..., Result]


def words(svg: str) -> str:
    """All text of a figure; also checks that it is XML."""
    return " ".join(text for text in ElementTree.fromstring(svg).itertext() if text.strip())


def test_the_forest_names_every_variant_with_its_difference(evidence: Make) -> None:
    drawn = forest(tables(evidence()))
    text = words(drawn)
    assert "L1" in text
    assert "−0.050 [−0.060, −0.040]" in text
    assert "better →" in text


def test_nothing_to_compare_gives_no_figure(evidence: Make, result: MakeResult) -> None:
    alone = tables(evidence({"only": (0.5, 0.6)}))
    assert forest(alone) == ""
    assert pareto(alone) == ""
    gone = [result("b", s, 0, status="crashed", metrics={}, cost=Cost()) for s in range(2)]
    assert forest(tables(evidence({"a": (0.5, 0.6), "b": (0, 0)}, changed=gone))) == ""


def test_colours_are_the_pages_variables(evidence: Make) -> None:
    drawn = forest(tables(evidence()))
    assert "var(--c1)" in drawn
    assert "var(--ink)" in drawn
    assert not re.search(r"#0[12]0[12]", drawn)
    assert "<style" not in drawn  # it would style the whole page
    assert not re.search(r'<svg[^>]* width="', drawn)


def test_labels_are_text_and_not_markup_or_formulas(evidence: Make) -> None:
    drawn = forest(tables(evidence({"base": (0.5, 0.6), "<b>$x_1$</b> & y": (0.4, 0.5)})))
    assert "<b>$x_1$</b> & y" in words(drawn)


@pytest.mark.parametrize(
    ("higher", "expected"), [(True, {0, 2}), (False, {1}), ]
)  # fmt: skip
def test_the_front_holds_what_nothing_beats(higher: bool, expected: set[int]) -> None:
    points = [(1.0, 0.5), (1.0, 0.4), (2.0, 0.7), (3.0, 0.6), (4.0, 0.7)]
    assert front(points, higher) == expected


def test_cost_is_what_tells_the_variants_apart(evidence: Make, result: MakeResult) -> None:
    same = tables(evidence())
    assert cost_axis(same.rows)[0] == "seconds"  # one generator, so one count of MACs
    wide = [result("L1", s, 0.45, cost=Cost(macs=9_000_000_000, seconds=9.0)) for s in range(3)]
    found = tables(evidence(changed=wide))
    assert cost_axis(found.rows)[0] == "macs"
    assert "MACs of a translation" in words(pareto(found))
    assert "L1 + cGAN" in words(pareto(found))


def write_log(folder: Path, weight: float, scale: float, steps: int = 5) -> None:
    folder.mkdir(parents=True)
    (folder / "run.toml").write_text(f'losses = [{{name = "l1", weight = {weight}}}]\n', "utf-8")
    lines = [
        f'{{"step": {s}, "g_l1": {weight * scale * s}, "g_loss": 1, "val_ssim": {scale / s}}}'
        for s in range(1, steps + 1)
    ]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def test_courses_span_the_seeds_and_are_free_of_weights(
    tmp_path: Path, evidence: Make, result: MakeResult
) -> None:
    write_log(tmp_path / "a0", 100, 1.0)
    write_log(tmp_path / "a1", 100, 3.0, steps=4)
    write_log(tmp_path / "b0", 10, 1.0)
    changed = [
        result("a", 0, 0.5, folder="a0"),
        result("a", 1, 0.5, folder="a1"),
        result("b", 0, 0.5, folder="b0"),
    ]
    made = evidence({"a": (0.5, 0.5), "b": (0.5,)}, tmp_path, changed)
    found = courses(made)
    assert list(found) == ["validation ssim", "l1"]  # the primary one first, no total
    a, b = found["l1"]["a"], found["l1"]["b"]
    assert a.steps[-1] == 4  # that all seeds have reached
    np.testing.assert_allclose(a.low, a.steps)
    np.testing.assert_allclose(a.mean, 2 * a.steps)
    np.testing.assert_allclose(a.high, 3 * a.steps)
    np.testing.assert_allclose(b.mean, b.steps)
    (name, drawn), *_ = curves(tables(made), found)
    assert name == "validation ssim"
    assert "step" in words(drawn)


def test_runs_without_a_log_give_no_curves(tmp_path: Path, evidence: Make) -> None:
    made = evidence(root=tmp_path)
    assert courses(made) == {}
    lost = replace(made, results=tuple(replace(r, folder="gone") for r in made.results))
    assert courses(lost) == {}
