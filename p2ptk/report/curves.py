"""The curves of a run: losses and learning rate over its steps, as a PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from p2ptk.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = NDArray[np.float64]

POINTS = 600  # of a line at most: more than the picture has pixels for
METRICS = 3  # values of validation that have room
INK, FAINT, GRID = "#3a3a3a", "#8a8a8a", "#e6e6e6"
# Okabe and Ito's colours, told apart by colour-blind readers too; D's real and fake keep theirs.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#777777")
REAL, FAKE = "#0072b2", "#d55e00"


def draw_curves(rows: Sequence[Mapping[str, Any]], path: str | Path) -> bool:
    """Draw the lines of a metrics.jsonl as a PNG of 1200 x 660 pixels, written atomically.

    Generator terms, discriminator terms, learning rate and up to METRICS values of validation each
    get a panel, where there are any; a term's own values are faint, their moving average is on top,
    and its last value is named.
    False, and nothing is written, for fewer than two rows or without matplotlib.
    """
    if len(rows) < 2:
        return False
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False

    columns = read_columns(rows)
    steps = columns["step"]
    generator = terms(columns, "g")
    discriminator = terms(columns, "d")
    rates = _present(columns, "lr_g", "lr_d")

    figure = Figure(figsize=(10, 5.5), dpi=120, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    panels = [lines for lines in (generator, discriminator) if lines]
    grid = figure.add_gridspec(
        2,
        max(1, len(panels)),
        height_ratios=(4, 1.2) if panels else (0.01, 1),
        left=0.055,
        right=0.975,
        top=0.935,
        bottom=0.085,
        hspace=0.32,
        wspace=0.13,
    )
    for column, lines in enumerate(panels):
        axes = figure.add_subplot(grid[0, column])
        _losses(axes, steps, lines, log=lines is generator)
        _frame(axes, "generator" if lines is generator else "discriminator", steps)
    metrics = _metrics(rows)
    below = grid[1, :].subgridspec(1, 1 + len(metrics), wspace=0.3)
    for number, (name, (at, values)) in enumerate(metrics.items(), 1):
        axes = figure.add_subplot(below[0, number])
        axes.plot(
            at, values, color=COLOURS[2], linewidth=1.6, marker="o", markersize=3, clip_on=False
        )
        _frame(axes, f"{name} {values[-1]:.4g}", steps)
        axes.set_xlabel("step", color=INK, fontsize=10)
    axes = figure.add_subplot(below[0, 0])
    _rates(axes, steps, rates)
    _frame(axes, "learning rate", steps)
    axes.set_xlabel("step", color=INK, fontsize=10)

    buffer = io.BytesIO()
    canvas.print_png(buffer, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())
    return True


def read_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Values]:
    """Columns of numbers by name, NaN where a row has none; long logs averaged over stretches."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if any(isinstance(v, (int, float)) for v in values):
            numbers = [v if isinstance(v, (int, float)) else np.nan for v in values]
            columns[name] = np.array(numbers, np.float64)
    columns.setdefault("step", np.arange(1.0, len(rows) + 1))
    stretch = -(-len(rows) // POINTS)
    if stretch > 1:
        # A point stands at the end of what it averages, as the logged means themselves do.
        ends = np.append(columns["step"][stretch - 1 : -1 : stretch], columns["step"][-1])
        columns = {name: _averaged(values, stretch) for name, values in columns.items()}
        columns["step"] = ends
    return columns


def terms(columns: Mapping[str, Values], side: str) -> dict[str, Values]:
    """The terms of one side by their keys, and "total" where several add up.

    Of the discriminator, a term that only repeats the total beside its real and fake is left out.
    """
    found = {
        name.removeprefix(f"{side}_"): values
        for name, values in sorted(columns.items())  # so that a term keeps its colour
        if name.startswith(f"{side}_") and not name.endswith("_loss")
    }
    total = columns.get(f"{side}_loss")
    if side == "d":
        if {"real", "fake"} <= set(found) and total is not None:
            found = {k: v for k, v in found.items() if not np.allclose(v, total, equal_nan=True)}
        return {**_present(found, "real", "fake"), **found} or (
            {} if total is None else {"total": total}
        )
    if total is not None and len(found) != 1:
        found["total"] = total
    return found


def smooth(values: Values) -> Values:
    """A centred moving average, Gaussian over about a twentieth of the run; NaN are stepped over.

    It has no lag, so that what it shows stands where it happened.
    """
    width = len(values) / 40
    if width < 0.5:
        return values
    reach = int(3 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    here = np.isfinite(values)
    sums = np.convolve(np.where(here, values, 0.0), kernel)[reach : reach + len(values)]
    weights = np.convolve(here, kernel)[reach : reach + len(values)]
    return np.where(here, sums / np.maximum(weights, 1e-12), np.nan)


def _metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[list[int], list[float]]]:
    """The first values of validation that were logged twice at least: steps, and values."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for name in dict.fromkeys(n for row in rows for n in row if n.startswith("val_")):
        here = [row for row in rows if isinstance(row.get(name), int | float)]
        if len(here) > 1 and len(found) < METRICS:
            steps = [row.get("step", 0) for row in here]
            found[name.removeprefix("val_")] = steps, [float(row[name]) for row in here]
    return found


def _present(columns: Mapping[str, Values], *names: str) -> dict[str, Values]:
    return {name: columns[name] for name in names if name in columns}


def _averaged(values: Values, stretch: int) -> Values:
    """Means of `stretch` values each, without those that are missing."""
    padding = -len(values) % stretch
    table = np.pad(values, (0, padding), constant_values=np.nan).reshape(-1, stretch)
    counts = np.isfinite(table).sum(1)
    sums = np.where(np.isfinite(table), table, 0.0).sum(1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _losses(axes: Axes, steps: Values, lines: Mapping[str, Values], log: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    shown = np.concatenate(list(lines.values()))
    shown = shown[np.isfinite(shown)]
    spare = iter(COLOURS * (1 + len(lines) // len(COLOURS)))
    for name, values in lines.items():
        colour = {"total": FAINT, "real": REAL, "fake": FAKE}.get(name) or next(spare)
        last = values[np.isfinite(values)][-1:]
        label = f"{name} {last[0]:.3g}" if last.size else name
        style = (0, (4, 2)) if name == "total" else "solid"
        axes.plot(steps, values, color=colour, linewidth=0.8, alpha=0.28)
        axes.plot(steps, smooth(values), color=colour, linewidth=1.8, linestyle=style, label=label)
    if log and shown.size and shown.min() > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif shown.size and shown.min() >= 0:
        axes.set_ylim(bottom=0)
    _legend(axes)


def _rates(axes: Axes, steps: Values, rates: Mapping[str, Values]) -> None:
    pair = list(rates.values())
    same = len(pair) == 2 and np.allclose(pair[0], pair[1], equal_nan=True)
    for (name, values), colour in zip(rates.items(), COLOURS, strict=False):
        if not (same and name == "lr_d"):
            label = "both networks" if same else f"of {name.removeprefix('lr_').upper()}"
            axes.plot(steps, values, color=colour, linewidth=1.6, label=label)
    top = max((float(np.nanmax(values)) for values in rates.values()), default=0.0)
    if top > 0:
        axes.set_ylim(0, top * 1.05)
        axes.set_yticks([0, top], ["0", _rate(top)])
    if len(rates) == 2 and not same:
        _legend(axes)


def _legend(axes: Axes) -> None:
    """Beside the title, where it hides no line; inside the panel where it is too long for that."""
    labels = axes.get_legend_handles_labels()[1]
    place: dict[str, Any] = {"loc": "best"}
    if sum(len(label) + 5 for label in labels) < 60:
        place = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.99), "ncols": len(labels)}
    axes.legend(
        **place,
        fontsize=9.5,
        frameon=False,
        labelcolor=INK,
        borderaxespad=0.2,
        handlelength=1.6,
        handletextpad=0.5,
        columnspacing=1.4,
    )


def _frame(axes: Axes, title: str, steps: Values) -> None:
    """Title, grid and ticks; the frame itself only where the axes are."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold", pad=7)
    axes.set_xlim(min(0.0, steps[0]), max(steps[-1], 1.0))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _count(value)))
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=FAINT, labelsize=9.5, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GRID)


def _rate(number: float) -> str:
    """0.0002 as 2e-4."""
    digits, _, power = f"{number:e}".partition("e")
    return f"{float(digits):.3g}e{int(power)}"


def _count(number: float) -> str:
    """2000 as 2000, 25000 as 25k."""
    return f"{number / 1000:g}k" if number >= 10_000 else f"{number:g}"
