"""The picture sheet of a study: source, target, and every variant on the same inputs and noise."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from p2ptk.errors import P2ptkError
from p2ptk.report.sheets import GUTTER, INK, PAPER, Pixels, heading, sample_sheet, save_png
from p2ptk.study.records import Evidence, Result

if TYPE_CHECKING:
    from torch import Tensor

    from p2ptk.contracts import Dataset, Pair, Side, Split
    from p2ptk.pairs.batch import Direction

PAIRS = 4


@dataclass(frozen=True)
class Column:
    """A variant's translations of the pairs, normalised C H W; None where it has none."""

    heading: str
    pictures: tuple[Tensor | None, ...]


@dataclass(frozen=True)
class Sheet:
    """Columns side by side: the first is the source, the second the target.

    names: of the pairs. source, target: the sides that the pictures are of.
    """

    names: tuple[str, ...]
    columns: tuple[Column, ...]
    source: Side
    target: Side

    def cells(self) -> list[list[Pixels | None]]:
        """The pictures as they are seen, a row a pair."""
        from p2ptk.report.sheets import show

        sides = [self.source, *[self.target] * (len(self.columns) - 1)]
        return [
            [
                None if (x := column.pictures[row]) is None else show(x, side)
                for column, side in zip(self.columns, sides, strict=True)
            ]
            for row in range(len(self.names))
        ]

    def write(self, path: Path) -> None:
        """As a PNG, the headings wrapped to the width of a picture."""
        rows = [[column.pictures[row] for column in self.columns] for row in range(len(self.names))]
        below = sample_sheet(rows, self.source, self.target, headings=())
        width = (below.shape[1] - GUTTER) // len(self.columns)
        letters = heading(width - GUTTER)[0]
        font = ImageFont.load_default(size=letters)
        fits = max(4, round((width - GUTTER) / (0.56 * letters)))
        titles = [_wrapped(column.heading, fits) for column in self.columns]
        line = round(letters * 1.35)
        strip = line * max(map(len, titles)) + 2 * GUTTER
        head = Image.new("RGB", (below.shape[1], strip), PAPER)
        draw = ImageDraw.Draw(head)
        for number, lines in enumerate(titles):
            middle = GUTTER + number * width + (width - GUTTER) / 2
            for place, words in enumerate(reversed(lines)):
                draw.text((middle, strip - GUTTER - line * (place + 0.5)), words, INK, font, "mm")
        save_png(path, np.vstack([np.array(head), below]))


def breakable(text: str) -> list[str]:
    """A heading in pieces between which a line may end: after spaces and signs."""
    return re.findall(r"[^\s=:,/_+-]*[\s=:,/_+-]*", text)[:-1]


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for piece in breakable(text):
        if lines[-1] and len(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.strip() for line in lines]


class _Shown(NamedTuple):
    """The pairs of the sheet, and their numbers in the split that they are of."""

    dataset: Dataset
    split: Split
    pairs: list[Pair]
    numbers: list[int]
    direction: Direction


class _Sides(NamedTuple):
    sources: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    source: Side
    target: Side


def draw_sheet(evidence: Evidence, pairs: int = PAIRS) -> tuple[Sheet | None, list[str]]:
    """Translate pairs spread over the reported split with every variant, on the CPU.

    All of them with one seed where they have it. Gives the sheet, None where no variant has
    weights or the pairs are not there any more, and sentences about what is missing on it.
    """
    trained = [r for r in evidence.results if r.status == "done" and r.folder]
    if not trained:
        return None, []
    try:
        shown = _choose(evidence, evidence.root / trained[0].folder, pairs)
    except P2ptkError as error:
        return None, [f"The picture sheet could not be drawn: {error}"]
    usual = _usual_seed(evidence)
    columns: list[Column] = []
    notes: list[str] = []
    sides: _Sides | None = None
    nothing = (None,) * len(shown.pairs)
    for variant in evidence.variants:
        done = [r for r in evidence.of(variant) if r.status == "done"]
        result = next((r for r in done if r.seed == usual), done[0] if done else None)
        if result is None:
            words = ", ".join(dict.fromkeys(r.status for r in evidence.of(variant))) or "no run"
            columns.append(Column(f"{variant.label} ({words})", nothing))
            continue
        title = variant.label if result.seed == usual else f"{variant.label} (seed {result.seed})"
        made: tuple[Tensor | None, ...]
        try:
            if variant.external is None:
                made, found = _translations(evidence, result, shown)
                sides = sides or found
            else:
                folder = variant.external.replace("{seed}", str(result.seed))
                made = _pictures(folder, shown, evidence.protocol.size)
        except P2ptkError as error:
            notes.append(f"{variant.label} is not on the picture sheet: {error}")
            made = nothing
        columns.append(Column(title, made))
    if sides is None:
        return None, notes
    names = tuple(pair.name for pair in shown.pairs)
    first = (Column("source", sides.sources), Column("target", sides.targets))
    return Sheet(names, (*first, *columns), sides.source, sides.target), notes


def _choose(evidence: Evidence, run: Path, count: int) -> _Shown:
    """Pairs spread evenly over the reported split of a run's data."""
    from p2ptk.components import create
    from p2ptk.config import RunConfig
    from p2ptk.data import need_split
    from p2ptk.layers import read_toml

    config = RunConfig.of(read_toml(run / "run.toml"))
    dataset: Dataset = create("dataset", config.data)
    split = need_split(dataset, evidence.protocol.split)
    shown = min(count, len(split))
    numbers = [i * len(split) // shown for i in range(shown)]
    return _Shown(dataset, split, [split[n] for n in numbers], numbers, config.direction)


def _usual_seed(evidence: Evidence) -> int:
    """The seed that most variants have done; of several the first."""
    counts = Counter(r.seed for r in evidence.results if r.status == "done")
    return max(evidence.seeds, key=lambda seed: counts[seed])


def _translations(
    evidence: Evidence, result: Result, shown: _Shown
) -> tuple[tuple[Tensor, ...], _Sides]:
    import torch

    from p2ptk.evaluate import translated
    from p2ptk.translate import Translator

    run = evidence.root / result.folder
    best = run / "best.safetensors"
    weights = best if evidence.protocol.select == "best" and best.is_file() else run
    translator = Translator.load(weights, "cpu", "fp32")
    with torch.no_grad():
        scored = list(translated(translator, shown.dataset, shown.pairs, 1, None))
    sources, targets = tuple(s.source[0] for s in scored), tuple(s.target[0] for s in scored)
    header = translator.header
    sides = _Sides(sources, targets, header.source, header.target)
    return tuple(s.fake[0] for s in scored), sides


def _pictures(folder: str, shown: _Shown, size: tuple[int, int]) -> tuple[Tensor, ...]:
    """What another program made of the pairs."""
    import torch

    from p2ptk.metrics.pictures import Pictures

    found = Pictures.find(folder, shown.split)
    some = Pictures(shown.pairs, tuple(found.files[number] for number in shown.numbers))
    batches = some.batches(shown.dataset, shown.direction, size, torch.device("cpu"), 1)
    return tuple(fake[0] for fake, _ in batches)
