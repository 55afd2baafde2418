"""The figures of a study's page: differences, learning curves, quality against cost; as SVG.

They are drawn in stand-in colours that become the page's CSS variables, so that one picture serves
light and dark, and narrow, so that a phone shows them whole.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from p2ptk.study.courses import Course
from p2ptk.study.layout import counted, difference, interval, signed
from p2ptk.study.layout import decimals as decimals_for
from p2ptk.study.tables import Row, Tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 340.0  # points
LETTERS = 9.5
GAP = "\u2003"  # plain spaces in a row become one in a page
SERIES = 7  # colours; the first is the baseline's
INK, SOFT, LINE, CARD, ACCENT = "#010101", "#010102", "#010103", "#010104", "#010105"
# Where the label of a point may stand: points to the right and up, and what end of it that is.
_BESIDE: tuple[tuple[int, int, Literal["left", "right", "center"]], ...] = (
    (8, -3, "left"), (-8, -3, "right"), (0, 9, "center"), (0, -17, "center"),
    (8, 9, "left"), (-8, 9, "right"), (8, -15, "left"), (-8, -15, "right"),
)  # fmt: skip
_VARIABLES = {INK: "ink", SOFT: "soft", LINE: "line", CARD: "card", ACCENT: "accent"} | {
    f"#0202{i:02x}": f"c{i}" for i in range(SERIES)
}


def colour_number(index: int) -> int:
    """The page's colour of a variant by its place; the first is the baseline."""
    return 0 if not index else 1 + (index - 1) % (SERIES - 1)


def _colour(index: int) -> str:
    return f"#0202{colour_number(index):02x}"


def _dashes(index: int) -> Any:
    rounds = (index - 1) // (SERIES - 1) if index else 0
    return ("solid", (0, (4, 2)), (0, (1, 1.5)))[rounds % 3]


def forest(found: Tables) -> str:
    """Each variant minus the baseline in the primary metric; empty where there is no pair."""
    name = found.metrics[0]
    rows = [r for r in found.rows if r.differences and r.differences[name].summary.n]
    if not rows:
        return ""
    digits = decimals_for([row.differences[name].summary for row in rows])
    figure, axes = _axes(50 + 46 * len(rows))
    base = found.baseline.values[name]
    for place, row in enumerate(rows):
        height, index = len(rows) - place - 1, found.rows.index(row)
        each = [v - base[seed] for seed, v in row.values[name].items() if seed in base]
        s = row.differences[name].summary
        axes.plot(each, [height] * len(each), "o", color=_colour(index), alpha=0.35,
                  markersize=4, markeredgewidth=0)  # fmt: skip
        if s.low is not None and s.high is not None:
            axes.plot([s.low, s.high], [height] * 2, color=_colour(index), linewidth=2.2)
        axes.plot([s.mean], [height], "D", color=_colour(index), markersize=6.5,
                  markeredgecolor=CARD, markeredgewidth=1)  # fmt: skip
        words = difference(row.differences[name], digits)
        span = interval(s.low, s.high, digits, sign=True)
        said = f"{signed(s.mean, digits)} {span if s.low is not None else ''}{GAP}p {words[3]}"
        _write(axes, height + 0.56, _cut(row.label, 54), INK)
        _write(axes, height + 0.28, said, SOFT)
    axes.axvline(0, color=SOFT, linewidth=1, linestyle=(0, (3, 3)), zorder=0)
    axes.set_ylim(-0.35, len(rows) - 0.25)
    axes.set_yticks([])
    axes.margins(x=0.06)
    way = {True: "better →", False: "← better", None: ""}[found.better[name]]
    _finish(axes, f"{name} minus that of {_cut(found.baseline.label, 26)}{GAP}{way}")
    return svg(figure, "forest")


def curves(found: Tables, lines: Mapping[str, Mapping[str, Course]]) -> list[tuple[str, str]]:
    """A panel for each thing that was logged: (what, SVG)."""
    made = []
    labels = [row.label for row in found.rows]
    for what, by_variant in lines.items():
        if not by_variant:
            continue
        figure, axes = _axes(190)
        for label, course in by_variant.items():
            index = labels.index(label)
            axes.fill_between(course.steps, course.low, course.high, color=_colour(index),
                              alpha=0.16, linewidth=0)  # fmt: skip
            axes.plot(course.steps, course.mean, color=_colour(index), linewidth=1.7,
                      linestyle=_dashes(index))  # fmt: skip
        axes.margins(x=0)
        axes.grid(True, color=LINE, linewidth=0.8)
        _finish(axes, "step")
        made.append((what, svg(figure, f"curve-{what}")))
    return made


def pareto(found: Tables) -> str:
    """The primary metric against cost, the front marked; empty where fewer than two have both.

    Cost is MACs of a translation where variants differ in them, else the time of training.
    """
    name = found.metrics[0]
    key, words = cost_axis(found.rows)
    points = [
        (float(x), row.metrics[name], row)
        for row in found.rows
        if (x := getattr(row.cost, key)) and row.metrics[name].n
    ]
    if len(points) < 2:
        return ""
    figure, axes = _axes(250)
    higher = bool(found.better[name])
    best = front([(x, s.mean) for x, s, _ in points], higher)
    edge = sorted((points[i][0], points[i][1].mean) for i in best)
    axes.plot(*zip(*edge, strict=True), color=ACCENT, linewidth=1.4, linestyle=(0, (4, 3)),
              drawstyle="steps-post", zorder=1)  # fmt: skip
    for number, (x, s, row) in enumerate(points):
        colour = _colour(found.rows.index(row))
        if s.low is not None and s.high is not None:
            axes.plot([x, x], [s.low, s.high], color=colour, linewidth=1.6, zorder=2)
        edge_colour = ACCENT if number in best else CARD
        axes.plot([x], [s.mean], "o", color=colour, markersize=8, zorder=3,
                  markeredgecolor=edge_colour, markeredgewidth=1.6)  # fmt: skip
    xs = [x for x, *_ in points]
    if max(xs) > 20 * min(xs):
        axes.set_xscale("log")
    axes.margins(x=0.14, y=0.16)
    axes.grid(True, color=LINE, linewidth=0.8)
    shown = _times(max(xs)) if key == "seconds" else counted
    axes.xaxis.set_major_formatter(lambda value, _: shown(value) if value > 0 else "0")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.locator_params(axis="x", nbins=5) if max(xs) <= 20 * min(xs) else None
    _finish(axes, words)
    axes.set_title(name, loc="left", fontsize=LETTERS, color=SOFT)
    _name_points(axes, points)
    return svg(figure, "pareto")


def cost_axis(rows: Sequence[Row]) -> tuple[str, str]:
    """The field of `Cost` that tells the variants apart, and what the axis is called."""
    if len({row.cost.macs for row in rows if row.cost.macs}) > 1:
        return "macs", f"MACs of a translation{GAP}← cheaper"
    return "seconds", f"time of training{GAP}← cheaper"


def front(points: Sequence[tuple[float, float]], higher_is_better: bool) -> set[int]:
    """The points (cost, quality) that no other beats in one without losing in the other."""
    sign = 1.0 if higher_is_better else -1.0

    def beaten(x: float, y: float) -> bool:
        return any(
            a <= x and sign * b >= sign * y and (a < x or sign * b > sign * y) for a, b in points
        )

    return {number for number, (x, y) in enumerate(points) if not beaten(x, y)}


def _axes(height: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def _finish(axes: Axes, below: str) -> None:
    axes.set_xlabel(below, color=SOFT, fontsize=LETTERS)
    axes.tick_params(which="both", colors=SOFT, labelsize=LETTERS, length=0)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(LINE)


def _write(axes: Axes, y: float, text: str, colour: str) -> None:
    """Text from the left edge, at a height of the data, in front of the lines."""
    axes.text(0, y, text, color=colour, fontsize=LETTERS, va="center", parse_math=False,
              bbox={"facecolor": CARD, "edgecolor": "none", "pad": 1.5},
              transform=axes.get_yaxis_transform())  # fmt: skip


def _name_points(axes: Axes, points: Sequence[tuple[float, Any, Row]]) -> None:
    """A label beside each point, on the first side that no other label has taken."""
    taken: list[tuple[float, float, float, float]] = []
    axes.figure.canvas.draw()
    scale = 72 / axes.figure.dpi
    places = [axes.transData.transform((x, s.mean)) * scale for x, s, _ in points]
    taken += [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    for (x, s, row), (left, low) in zip(points, places, strict=True):
        text = _cut(row.label, 26)
        wide, tall = 0.56 * LETTERS * len(text), LETTERS
        for dx, dy, at in _BESIDE:
            start = left + dx - {"left": 0.0, "right": wide, "center": wide / 2}[at]
            box = (start, low + dy, start + wide, low + dy + tall)
            inside = box[0] > 2 and box[2] < WIDTH - 2
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                axes.annotate(text, (x, s.mean), (dx, dy), textcoords="offset points", ha=at,
                              color=INK, fontsize=LETTERS, parse_math=False)  # fmt: skip
                break


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _times(longest: float) -> Callable[[float], str]:
    """Seconds in the unit that suits the longest."""
    size, unit = next((x for x in ((3600, "h"), (60, "min")) if longest > 3 * x[0]), (1, "s"))
    return lambda seconds: f"{seconds / size:.3g} {unit}"


def _cut(text: str, most: int) -> str:
    """Its beginning and, since labels often begin alike, more of its end."""
    if len(text) <= most:
        return text
    start = (most - 3) // 3
    return f"{text[:start]}...{text[start + 3 - most :]}"


def svg(figure: Figure, name: str) -> str:
    """An SVG element that fits its place, in the page's colours and letters."""
    import matplotlib as mpl

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL
    )
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # the same in every figure; ids should be one's own
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    for stand_in, variable in _VARIABLES.items():
        text = text.replace(stand_in, f"var(--{variable})")
    return text
