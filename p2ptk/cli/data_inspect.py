"""`p2ptk data inspect`: what is wrong with pairs, before anybody trains on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from p2ptk.cli.components import load_local, local_plugins
from p2ptk.cli.options import ComponentSpec

if TYPE_CHECKING:
    from p2ptk.dataprep.inspection import Inspection

STYLES = {"fault": "bold red", "suspicion": "yellow", "note": "cyan"}
LISTED = 10


@click.command(
    "inspect",
    epilog="""
\b
Examples:
  p2ptk data inspect facades/ -o look/       and look at look/contact.png
  p2ptk data inspect two-folders:path=pairs,a=photos,b=maps
  p2ptk data inspect facades/ --json

Looks for files that can't be read, copies within and across splits, sides that are shifted,
mirrored, swapped or unrelated, and values that the networks would not see. Exit code 0 whatever it
finds, unless no pair can be read.
""",
)
@click.argument("data", metavar="SPEC|PATH", type=ComponentSpec("dataset"))
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="Folder for contact.png and suspects.png.")  # fmt: skip
@click.option("--pairs", "most", type=click.IntRange(min=1), metavar="N",
              help="Read only N pairs of each split, spread evenly.")  # fmt: skip
@local_plugins
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def data_inspect(
    data: str, output: Path | None, most: int | None, files: Sequence[str], as_json: bool
) -> None:
    """Say what pairs hold and what is wrong with them, and suggest what to type next."""
    from p2ptk.cli.data import counted
    from p2ptk.cli.live import progress_bar
    from p2ptk.cli.options import data_spec
    from p2ptk.dataprep.inspection import inspect, write_sheets

    load_local(files)
    spec, said = data_spec(data)
    if said:
        click.echo(said, err=True)
    with progress_bar("inspect", quiet=as_json) as tell:
        found = inspect(spec, data, most, counted(tell))
    written = write_sheets(found, output) if output else []
    if as_json:
        plain = {**found.plain(), "files": [str(path) for path in written]}
        click.echo(json.dumps(plain, indent=1, ensure_ascii=False))
    else:
        _print(found, written)


def _print(found: Inspection, written: Sequence[Path]) -> None:
    from rich.console import Console
    from rich.text import Text

    from p2ptk.cli.show import print_lines

    console = Console(highlight=False)
    facts = found.plain()
    splits = ", ".join(f"{name} {count}" for name, count in facts["splits"].items())
    lines = [("data", facts["data"]), ("pairs", splits)]
    if facts["looked_at"] < sum(facts["splits"].values()) - len(found.survey.unread):
        lines.append(("", f"{facts['looked_at']} of them were looked at"))
    lines += [(f"side {name.upper()}", _side(side)) for name, side in facts["sides"].items()]
    print_lines(lines)
    console.print()
    for problem in found.problems[:LISTED]:
        console.print(Text.assemble(("unusable: ", STYLES["fault"]), str(problem)))
    if len(found.problems) > LISTED:
        console.print(f"and {len(found.problems) - LISTED} more files that are unusable")
    for finding in found.findings:
        console.print(Text.assemble((f"{finding.level}: ", STYLES[finding.level]), finding.text))
    if not found.problems and all(finding.level == "note" for finding in found.findings):
        console.print(Text("nothing wrong was found", style="green"))
    for path in written:
        console.print(Text(f"pictures: {path}"))
    if not written:
        console.print(Text("pictures: add -o FOLDER", style="dim"))
    console.print(Text(f"\n{found.suggestion.why}"), soft_wrap=True)
    for purpose, command in found.suggestion.commands:
        console.print(Text.assemble((f"# {purpose}\n", "dim"), command), soft_wrap=True)


def _side(side: dict[str, Any]) -> str:
    """`256x256, 3 channels, uint8 from 0 to 255`."""
    sizes = [f"{size['width']}x{size['height']}" for size in side["sizes"]]
    shown = sizes[0] if len(sizes) == 1 else f"{len(sizes)} sizes, most often {sizes[0]}"
    channels = "/".join(str(n) for n in side["channels"])
    number = f"{channels} channel{'' if channels == '1' else 's'}"
    values = f"{'/'.join(side['dtypes'])} from {side['low']:g} to {side['high']:g}"
    kind = f", {side['classes']} classes" if side["classes"] else ""
    if side["range"]:
        kind += ", range {:g} to {:g}".format(*side["range"])
    return f"{shown}, {number}, {values}{kind}"
