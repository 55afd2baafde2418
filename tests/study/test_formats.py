"""The tables as a screen, Markdown, LaTeX, CSV and JSON show them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from p2ptk.study.formats import csv_text, json_text, latex, markdown, terminal, tex
from p2ptk.study.layout import counted, decimals, grids, probability, signed
from p2ptk.study.records import Evidence, Result, Variant
from p2ptk.study.statistics import Summary
from p2ptk.study.tables import tables

Make = Callable[..., Evidence]
MakeResult = Callable[..., Result]
ODD = {"a_b & 100% #1 | {x}": (0.5, 0.51, 0.52), "[c] \\ d": (0.4, 0.42, 0.41)}


def printed(make: Make, **changed: object) -> str:
    console = Console(width=160, file=io.StringIO(), color_system=None)
    console.print(terminal(tables(make(**changed))))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_the_screen_shows_result_difference_and_cost(evidence: Make) -> None:
    text = re.sub(r"\s+", " ", printed(evidence))
    assert "L1 + cGAN (baseline) 3/3 0.510 ± 0.010 [0.500, 0.520]" in text
    assert "L1 ssim ↑ 3 −0.050 [−0.060, −0.040] 0.250 0.500" in text
    assert "5.4 M 2.1 G 40 1.00 GiB 1 min 15 s a machine" in text
    assert "cannot reach p < 0.05" in text


def test_a_failure_is_in_every_format(evidence: Make, result: MakeResult) -> None:
    bad = result("L1", 2, 0.9, status="out of memory", reason="It wanted 40 GiB.")
    found = tables(evidence(changed=[bad]))
    for text in (markdown(found), latex(found), csv_text(found), printed(evidence, changed=[bad])):
        assert "out of memory 1/3" in text
    assert "It wanted 40 GiB." in markdown(found)
    results = json.loads(json_text(found))["results"]
    assert [r["reason"] for r in results if r["status"] != "done"] == ["It wanted 40 GiB."]


def test_markdown_rows_have_one_width(evidence: Make) -> None:
    text = markdown(tables(evidence(ODD)))
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)
    assert len(blocks) >= 4
    for block in blocks:
        cells = {len(re.split(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1
    assert r"a\_b & 100% \#1 \| {x}" in text


def test_latex_is_balanced_and_escaped(evidence: Make) -> None:
    text = latex(tables(evidence(ODD)))
    assert r"a\_b \& 100\% \#1 $|$ \{x\}" in text
    assert r"[c] \textbackslash{} d" in text
    for table in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, re.DOTALL):
        columns = re.match(r"\\begin\{tabular\}\{([lr]+)\}", table)
        assert columns
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(columns[1])}
        # A row that begins with a bracket would be the argument of the \\ before it.
        assert not any(row.startswith(("[", "*")) for row in rows)
        assert all(word in table for word in (r"\toprule", r"\midrule", r"\bottomrule"))
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") >= 4


@given(st.text(alphabet=st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30))
def test_escaped_text_leaves_tex_nothing_to_act_on(text: str) -> None:
    left = re.sub(r"\\[{}$&#%_]|\\text\w+\{\}|\$[<>|]\$|\$\\pm\$|\$\\times\$", "", tex(text))
    assert not set('\\{}$&#%_^~<>|"') & set(left)


def test_csv_keeps_numbers_in_full(evidence: Make) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(tables(evidence())))))
    assert [row["variant"] for row in rows] == ["L1 + cGAN", "L1", "cGAN"]
    assert float(rows[1]["ssim difference"]) == pytest.approx(-0.05, abs=1e-12)
    assert rows[0]["ssim p"] == ""


def test_json_holds_what_the_tables_were_made_from(evidence: Make) -> None:
    found = json.loads(json_text(tables(evidence())))
    assert found["baseline"] == "L1 + cGAN"
    assert len(found["results"]) == 9
    assert found["results"][0]["metrics"]["ssim"] == 0.5
    assert found["protocol"]["primary"] == "ssim"
    assert {row["metric"] for row in found["per_image"]} == {"ssim"}


def test_bold_is_what_nothing_surely_beats(evidence: Make) -> None:
    first = grids(tables(evidence()))[0]
    assert first.strong == {(0, 2), (2, 2)}
    tied = {"a": (0.5, 0.52), "b": (0.51, 0.53)}
    assert not grids(tables(evidence(tied)))[0].strong


def test_the_baseline_and_what_was_not_trained_here_are_marked(evidence: Make) -> None:
    made = (Variant("baseline", {}, {}, baseline=True), Variant("x", {}, {}, external="x-{seed}"))
    labels = {"baseline": (0.5, 0.52), "x": (0.51, 0.53)}
    first = grids(tables(evidence(labels, made=made)))[0]
    assert [row[0] for row in first.rows] == ["baseline", "x (not trained here)"]


def test_numbers_in_few_letters() -> None:
    assert counted(54_414_531) == "54.4 M"
    assert counted(18_150_000_000) == "18.1 G" or counted(18_150_000_000) == "18.2 G"
    assert counted(12) == "12"
    assert probability(None) == "–"
    assert probability(0.00001) == "< 0.001"
    assert signed(-0.0001, 2) == "0.00"
    assert signed(0.25, 2) == "+0.25"
    assert decimals([Summary(0.51234, 0.0123, 3, None, None, "")]) == 3
    assert decimals([Summary(21.3, 0.31, 3, None, None, "")]) == 2
    assert decimals([]) == 4
