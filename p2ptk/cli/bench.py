"""`p2ptk bench`: how fast training is on this machine, beside the plain loop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from p2ptk.cli.options import ComponentSpec


class Numbers(click.ParamType):
    """Whole numbers from 1, with commas between them."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(part.strip().isdigit() and int(part) for part in parts):
            self.fail(f"{value!r} is no list of numbers such as 1,4,16.", param, ctx)
        return tuple(int(part) for part in parts)


@click.command(
    epilog="""
\b
Examples:
  p2ptk bench --quick
  p2ptk bench --batch-size 1,4,16 --size 128,256 --json > bench.json
  p2ptk bench --precision bf16 --profile

Each way takes short turns in one process, so that a busy machine slows all of them; "x plain" is
the median of the rounds' ratios. The plain loop is float32, with a DataLoader, PIL, Adam as it
comes, and every loss read at once. "of peak" is the share of the fastest large matrix product.
Memory on a CPU is that of a process of its own.
"""
)
@click.option("--quick", is_flag=True, help="The default ways alone, in short turns.")
@click.option("--batch-size", "batch_sizes", type=Numbers(), default="1,4", show_default=True,
              help="Pairs in an update.")  # fmt: skip
@click.option("--size", "sizes", type=Numbers(), default="256", show_default=True,
              help="Side of the pictures.")  # fmt: skip
@click.option("--precision", "precisions", type=click.Choice(["fp32", "bf16", "fp16"]),
              multiple=True, help="Repeatable.  [default: fp32, and bf16 if it pays]")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps")
@click.option("-G", "--generator", type=ComponentSpec("generator"), default="unet",
              show_default=True, help="Generator.")  # fmt: skip
@click.option("-D", "--discriminator", type=ComponentSpec("discriminator"), default="patchgan",
              show_default=True, help="Discriminator.")  # fmt: skip
@click.option("--compile", "compiled", is_flag=True, help="Measure compiled networks, too.")
@click.option("--checkpoint-activations", "recomputed", is_flag=True,
              help="Measure networks that recompute, too.")  # fmt: skip
@click.option("--profile", "trace", type=click.Path(path_type=Path, dir_okay=False),
              is_flag=False, flag_value="p2ptk-trace.json", metavar="[FILE]",
              help="Write a trace of the last precision, and list what is dearest.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def bench(
    quick: bool,
    batch_sizes: tuple[int, ...],
    sizes: tuple[int, ...],
    precisions: tuple[str, ...],
    device: str,
    generator: str,
    discriminator: str,
    compiled: bool,
    recomputed: bool,
    trace: Path | None,
    as_json: bool,
) -> None:
    """Measure training beside the plain loop: images/s, memory, and what the device can do."""
    from rich.console import Console

    from p2ptk.bench.paths import ways_of
    from p2ptk.bench.session import QUICK, Asked, Effort, measure, profiled
    from p2ptk.bench.tables import heading, table
    from p2ptk.device import choose_device, choose_precision
    from p2ptk.speed import need_compiler

    where = choose_device(device)
    names = precisions or tuple(dict.fromkeys(("fp32", choose_precision("auto", where).name)))
    for name in names:
        choose_precision(name, where)  # type: ignore[arg-type]
    if compiled:
        need_compiler(where)
    asked = Asked(
        device=where,
        ways=ways_of(where, names, quick=quick, compiled=compiled, recomputed=recomputed),
        batch_sizes=batch_sizes,
        sizes=sizes,
        generator=generator,
        discriminator=discriminator,
        effort=QUICK if quick else Effort(),
    )
    with Console(stderr=True).status("measuring") as status:
        found = measure(asked, lambda text: status.update(text))
        operations = profiled(asked, trace) if trace else []
    if as_json:
        found["dearest"] = [each._asdict() for each in operations[:10]]
        click.echo(json.dumps(found, indent=2))
        return

    console = Console(soft_wrap=True)
    console.print(heading(found), highlight=False)
    for case in found["cases"]:
        console.print(table(case), highlight=False)
        for row in case["rows"]:
            for note in row.get("notes", []):
                console.print(f"{row['way']}: {note}", highlight=False)
    if trace:
        from p2ptk.bench.profiler import dearest

        console.print(dearest(operations, f"the ten dearest operations; all are in {trace}"))
