"""A run as a terminal shows it: where it is, its curves, and its newest sample."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from p2ptk.interrupts import clock
from p2ptk.report.braille import last_of, number, plot, sparkline
from p2ptk.report.curves import read_columns, terms
from p2ptk.runfolder import RunFolder

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

# Okabe and Ito's colours, light enough for dark terminals; the first are D's real and fake.
COLOURS = ("#56b4e9", "#e69f00", "#00b386", "#e78ac3", "#f0e442", "#d55e00", "#999999")
QUIET = 300.0  # seconds without a line, after which it is said
LABEL = 8  # columns that the numbers of an axis take
_RECENT = 30  # lines of the log that tell the speed


@dataclass
class Watched:
    """What was read of a run's folder, and what to notice when it changes."""

    folder: RunFolder
    rows: list[dict[str, Any]] = field(default_factory=list)
    config: Mapping[str, Any] = field(default_factory=dict)
    sample: Path | None = None
    written: float = 0.0
    _seen: object = None

    def update(self) -> bool:
        """Read what is new. Whether anything is. Only reads: another machine may be writing."""
        try:
            state = self.folder.metrics.stat()
            seen = (state.st_size, state.st_mtime_ns)
        except OSError:  # nothing logged yet
            seen, state = None, None
        samples = sorted(self.folder.samples.glob("*.png"))
        now = (seen, samples[-1] if samples else None)
        if now == self._seen:
            return False
        self._seen = now
        self.rows = self.folder.read_log()
        self.sample = samples[-1] if samples else None
        self.written = state.st_mtime if state else 0.0
        if not self.config:
            self.config = tomllib.loads(self.folder.config.read_text("utf-8"))
        return True


def frame(run: Watched, width: int, height: int, *, pictures: bool = True) -> RenderableType:
    """Everything in `width` columns and about `height` rows."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_head(run, width)]
    if not run.rows:
        return Group(*parts, Text("no line is logged yet", style="dim"))
    columns = read_columns(run.rows)
    metrics = _metrics(run.rows, width)
    rest = height - 4 - len(metrics)
    tall = max(5, min(14, rest // 2 if pictures and run.sample else rest - 2))
    parts.append(_curves(columns, width, tall))
    parts += metrics
    if pictures and run.sample:
        parts += _sample(run.sample, width, max(6, rest - tall - 3))
    return Group(*parts)


def _head(run: Watched, width: int) -> Text:
    """`runs/facades   epoch 12.3 of 200   34.2 img/s   2h10m left`."""
    from rich.text import Text

    path, most = str(run.folder.path), max(16, width - 68)
    shown = path if len(path) <= most else f"...{path[3 - most :]}"
    head = Text(shown, style="bold", overflow="ellipsis", no_wrap=True)
    train = run.config.get("train", {})
    last = run.rows[-1] if run.rows else {}
    step, epoch = last.get("step", 0), last.get("epoch")
    share = None
    if train.get("epochs") and epoch:
        head.append(f"   epoch {epoch:.1f} of {train['epochs']}, step {step}", "not bold")
        share = epoch / train["epochs"]
    elif step:
        head.append(f"   step {step}", "not bold")
        if train.get("steps"):
            head.append(f" of {train['steps']}", "not bold")
            share = step / train["steps"]
    if last.get("images_per_s"):
        head.append(f"   {number(last['images_per_s'])} img/s", "cyan not bold")
    silent = time.time() - run.written if run.written else 0.0
    if share is not None and share >= 0.9999:
        head.append("   done", "green not bold")
    elif silent > QUIET:
        head.append(f"   nothing written for {clock(silent)}", "yellow not bold")
    elif share and (left := _left(run.rows, share)) is not None:
        head.append(f"   {clock(left)} left", "green not bold")
    return head


def _left(rows: Sequence[Mapping[str, Any]], share: float) -> float | None:
    """Seconds left at the speed of the last lines."""
    some = [r for r in rows[-_RECENT:] if r.get("seconds") is not None and r.get("step")]
    if len(some) < 2 or some[-1]["seconds"] <= some[0]["seconds"]:
        return None
    speed = (some[-1]["step"] - some[0]["step"]) / (some[-1]["seconds"] - some[0]["seconds"])
    total = some[-1]["step"] / share
    return (total - some[-1]["step"]) / speed if speed > 0 else None


def _curves(columns: Mapping[str, Any], width: int, height: int) -> RenderableType:
    """The panels of both networks, beside each other where there is room.

    The generator's terms differ by orders of magnitude, so each has a plot of its own; of the
    discriminator real and fake are to be compared, in one.
    """
    from rich.table import Table

    generator, discriminator = (terms(columns, side) for side in "gd")
    generator = {k: v for k, v in generator.items() if k != "total" or len(generator) == 1}
    beside = bool(generator and discriminator) and width >= 80
    each = (width - 2) // 2 if beside else width
    rows = height if beside or not (generator and discriminator) else height // 2
    drawn = []
    for name, lines in (("generator", generator), ("discriminator", discriminator)):
        if lines:
            apart = name == "generator"
            drawn.append(_panel(name, columns["step"], lines, each, max(4, rows), apart=apart))
    table = Table.grid(padding=(0, 2 if beside else 0, 0, 0))
    for row in [drawn] if beside else [[panel] for panel in drawn]:
        table.add_row(*row)
    return table


def _panel(
    name: str, steps: Any, lines: Mapping[str, Any], width: int, height: int, *, apart: bool
) -> Text:
    """A title with the lines' names and last values, and one plot of all, or one for each."""
    from rich.text import Text

    panel = Text(name, style="bold", overflow="ellipsis", no_wrap=True)
    colours = {key: COLOURS[i % len(COLOURS)] for i, key in enumerate(lines)}
    for key, values in lines.items():
        last = last_of(values)
        shown = number(last) if last is not None else "?"
        panel.append(f"  {key} {shown}", f"not bold {colours[key]}")
    wide = max(10, width - LABEL - 1)
    plots = [[key] for key in lines][: max(1, height // 3)] if apart else [list(lines)]
    for keys in plots:
        tall = height // len(plots)
        cells, low, high = plot(steps, [lines[key] for key in keys], wide, tall)
        for row, line in enumerate(cells):
            label = number(high) if row == 0 else number(low) if row == tall - 1 else ""
            panel.append(f"\n{label:>{LABEL}} ", "not bold dim")
            for character, front in line:
                panel.append(character, f"not bold {colours[keys[front]]}" if front >= 0 else "")
    first, last_step = int(np.nanmin(steps)), int(np.nanmax(steps))
    ends = f"{first}{last_step:>{max(1, wide - len(str(first)))}}"
    panel.append(f"\n{'':>{LABEL}} {ends}", "not bold dim")
    return panel


def _metrics(rows: Sequence[Mapping[str, Any]], width: int) -> list[Text]:
    """A line a metric of the validation pairs: its course, its last value, its best."""
    from rich.text import Text

    lines = []
    names = dict.fromkeys(key for row in rows for key in row if key.startswith("val_"))
    for name in names:
        values = [v for row in rows if isinstance(v := row.get(name), (int, float))]
        if values:
            line = Text(f"{name:<16} ", no_wrap=True, overflow="ellipsis")
            line.append(sparkline(values, max(8, min(40, width - 50))), COLOURS[2])
            ends = f"  {number(min(values))} to {number(max(values))}"
            lines.append(line.append(f"  {number(values[-1])}").append(ends, "dim"))
    return lines


def _sample(path: Path, width: int, rows: int) -> list[RenderableType]:
    from rich.text import Text

    try:
        with Image.open(path) as sheet:
            drawn = half_blocks(_below_heading(sheet.convert("RGB")), width, rows)
    except OSError:  # it is being written, or was taken away
        return []
    title = Text(f"{path.stem.lstrip('0') or '0'}: source | output | target", style="bold")
    return [Text(""), title, drawn]


def _below_heading(sheet: Image.Image) -> Image.Image:
    """A sheet without its words, which could not be read."""
    filled = (np.asarray(sheet).min(-1) < 250).mean(1) > 0.5
    return sheet.crop((0, int(filled.argmax()), sheet.width, sheet.height))


def half_blocks(image: Image.Image, width: int, rows: int) -> Text:
    """The upper part of a picture in at most `width` columns and `rows` rows, two pixels a cell."""
    from rich.text import Text

    wide = min(width, image.width)
    tall = max(2, round(image.height * wide / image.width))
    small = image.resize((wide, tall), Image.Resampling.BOX)
    pixels = np.asarray(small)[: 2 * rows]
    if len(pixels) % 2:
        pixels = np.vstack([pixels, pixels[-1:]])
    text = Text(no_wrap=True)
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for top, bottom in zip(upper.tolist(), lower.tolist(), strict=True):
            text.append("▀", "#{:02x}{:02x}{:02x} on #{:02x}{:02x}{:02x}".format(*top, *bottom))
        text.append("\n")
    text.right_crop(1)
    return text
