"""Measurements as tables to read."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

GIB = 2**30


def heading(found: dict[str, Any]) -> str:
    """Where and with what was measured, in one paragraph."""
    peaks = ", ".join(
        f"{name} {flops / 1e12:.2f} TFLOP/s" for name, flops in found["peak_flops"].items()
    )
    words = [f"{found['device']}, {found['processor']}", f"matrix products: {peaks}"]
    words.append(f"p2ptk {found['p2ptk']}, torch {found['torch']}, Python {found['python']}")
    if found["cuda"]:
        words[-1] += f", CUDA {found['cuda']}, cuDNN {found['cudnn']}"
    if found["load_average"] is not None:
        words.append(f"load {found['load_average']} before, {found['load_average_after']} after")
    return "\n".join(words)


def table(case: dict[str, Any]) -> Table:
    """One size and batch: a row a way."""
    side, batch = case["size"], case["batch_size"]
    made = Table(
        title=f"{side}x{side}, batch {batch}: {case['flops'] / 1e9:.0f} GFLOP a step",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    made.add_column("* as in a run", no_wrap=True)
    for name in ("images/s", "ms/step", "x plain", "GiB", "wait ms", "of peak"):
        made.add_column(name, justify="right", no_wrap=True)
    for row in case["rows"]:
        made.add_row(*cells(row))
    return made


def cells(row: dict[str, Any]) -> list[str]:
    """A row's words. A way without a time did not fit in memory."""
    name = row["way"] + (" *" if row["default"] else "")
    memory = f"{row['peak_memory'] / GIB:.2f}" if row["peak_memory"] else "-"
    if "ms" not in row:
        return [name, "does not fit", "-", "-", memory, "-", "-"]
    ratio = f"{row['times_plain']:.2f}" if "times_plain" in row else "-"
    return [
        name,
        f"{row['images_per_s']:.2f}",
        f"{row['ms']:.1f}",
        ratio,
        memory,
        f"{row['feed_wait_ms']:.1f}",
        f"{row['peak_share']:.0%}",
    ]
