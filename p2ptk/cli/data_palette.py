"""`p2ptk data palette`: the colours of a side of labels, as datasets take them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from p2ptk.cli.components import load_local, local_plugins
from p2ptk.cli.options import ComponentSpec

if TYPE_CHECKING:
    from p2ptk.dataprep.palette import Palette

SIDES = {"A": "a", "B": "b", "source": "a", "target": "b"}
PICTURES = 200


@click.command(
    "palette",
    epilog="""
\b
Examples:
  p2ptk data palette facades/ -o swatch.png
  p2ptk data palette facades/ --side B --distance 30

A is the source and B the target before --direction. Colours are found from even areas, so that
label maps which went through JPEG give their own colours, not those of blurred edges.
""",
)
@click.argument("data", metavar="SPEC|PATH", type=ComponentSpec("dataset"))
@click.option("--side", type=click.Choice(list(SIDES), case_sensitive=False),
              help="Which side holds the labels; left out: the one that looks drawn.")  # fmt: skip
@click.option("--distance", type=click.FloatRange(1, 200), default=20.0, show_default=True,
              help="Colours nearer than this (RGB, of 255) are one.")  # fmt: skip
@click.option("--pairs", "most", type=click.IntRange(min=1), default=PICTURES, metavar="N",
              show_default=True, help="Read N pairs of each split, spread evenly.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Draw the colours: a PNG.")
@local_plugins
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def data_palette(
    data: str,
    side: str | None,
    distance: float,
    most: int,
    output: Path | None,
    files: Sequence[str],
    as_json: bool,
) -> None:
    """Find the colours of label maps, their shares, and the line that tells p2ptk of them."""
    from p2ptk.cli.options import data_spec
    from p2ptk.dataprep.labels import find_labels
    from p2ptk.dataprep.palette import swatch
    from p2ptk.dataprep.place import need_outside
    from p2ptk.errors import UserError
    from p2ptk.report.sheets import save_png

    load_local(files)
    if output and output.suffix.lower() != ".png":
        raise UserError(f"{output}: the swatch is a PNG; give a name that ends with .png.")
    spec, said = data_spec(data)
    if said:
        click.echo(said, err=True)
    which = SIDES[next(name for name in SIDES if name.lower() == side.lower())] if side else None
    found = find_labels(spec, which, most, distance)
    if output and found.palette:
        need_outside(output, found.dataset)
        save_png(output, swatch(found.palette))
    if as_json:
        click.echo(json.dumps(found.plain(), indent=1, ensure_ascii=False))
        return
    if found.palette:
        _print(found.palette)
    click.echo(found.sentence)
    click.echo(f"\n# in run.toml\n{found.toml}")
    click.echo(f"# on the command line\n{found.option}")
    if output and found.palette:
        click.echo(f"swatch: {output}")


def _print(found: Palette) -> None:
    from rich.console import Console
    from rich.style import Style
    from rich.table import Table
    from rich.text import Text

    table: Any = Table(box=None, show_header=False, padding=(0, 1))
    for number, colour in enumerate(found.colours):
        block = Text("      ", Style(bgcolor=colour.text))
        table.add_row(str(number), block, colour.text, f"{100 * colour.share:.2f} %")
    Console(highlight=False).print(table)
