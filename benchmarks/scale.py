"""How training grows from 1 to 64 GPUs, by a model: every number of docs/scale.md.

    python benchmarks/scale.py [TABLE ...]
    python benchmarks/scale.py strong --gpus 1,2,4 --network 100 --utilisation 0.25 --price 2.2
    python benchmarks/scale.py --json
    python benchmarks/scale.py --write docs/scale.md [--figure docs/images/scale.png]

Prints Markdown tables. FLOPs, bytes and buckets are counted on the package's networks and its own
step, without a GPU; the rest are the options, whose defaults the table `assumptions` accounts for.
Nothing here was measured on several GPUs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from benchmarks.scaling.cluster import ASSUMED, Cluster
from benchmarks.scaling.costs import all_tables
from benchmarks.scaling.question import Question, Table

PLACE = re.compile(r"<!-- table (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="which; all if none")
    parser.add_argument("--gpus", type=_numbers, default=Question.gpus, help="1,2,4 ...")
    parser.add_argument(
        "--network", type=_numbers, default=Question.networks, help="Gb/s of a node: 400,25 ..."
    )
    parser.add_argument("--batch", type=int, default=Question.batch, help="of all GPUs (strong)")
    parser.add_argument("--share", type=int, default=Question.share, help="of each GPU (weak)")
    for field in fields(Cluster):
        if field.name in ASSUMED:
            flag = f"--{field.name.replace('_', '-')}"
            kind = int if isinstance(field.default, int) else float
            parser.add_argument(flag, type=kind, default=field.default, help=told(field.name))
    parser.add_argument("--json", action="store_true", help="the same tables as JSON")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="renew a page's tables")
    parser.add_argument("--figure", type=Path, metavar="PNG", help="draw images/s by GPUs")
    options = parser.parse_args(arguments)

    question = question_of(options, parser)
    found = all_tables(question)
    unknown = [name for name in options.tables if name not in found]
    if unknown:
        parser.error(f"there is no table {unknown[0]!r}: {', '.join(found)}")
    shown = {name: t for name, t in found.items() if name in (options.tables or found)}
    if options.figure:
        from benchmarks.scaling.figure import draw

        draw(question, options.figure)
    if options.write:
        page = options.write.read_text("utf-8")
        options.write.write_text(renewed(page, found), "utf-8", newline="\n")
    elif options.json:
        rows = {
            n: [dict(zip(t.head, row, strict=True)) for row in t.rows] for n, t in shown.items()
        }
        print(json.dumps(rows, indent=1))
    else:
        print("\n\n".join(f"## {name}\n{table.markdown()}" for name, table in shown.items()))


def question_of(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Question:
    """What the options ask. Leaves with exit code 2 for numbers that make no sense."""
    values = {name: getattr(options, name) for name in ASSUMED}
    positive = {**values, "batch": options.batch, "share": options.share}
    for name, value in positive.items():
        if not 0 < value < float("inf") and not (name in ("launch", "price") and value == 0):
            parser.error(f"--{name.replace('_', '-')} should be above 0 (got {value:g})")
    for name in ("utilisation", "network_share"):
        if values[name] > 1:
            parser.error(f"--{name.replace('_', '-')} is a share, at most 1")
    gpus = tuple(sorted({int(n) for n in options.gpus}))
    if any(n != int(n) for n in options.gpus):
        parser.error("--gpus should be whole numbers, as in --gpus 1,2,4")
    cluster = replace(Cluster(), **values)
    return Question(cluster, gpus, options.network, options.batch, options.share)


def told(name: str) -> str:
    unit, why = ASSUMED[name]
    return f"{why} [{unit or 'a number'}]".replace("%", "%%")


def renewed(page: str, found: Mapping[str, Table]) -> str:
    """A page with what stands between `<!-- table NAME -->` and `<!-- end -->` made anew."""
    return PLACE.sub(
        lambda place: f"<!-- table {place[1]} -->\n{found[place[1]].markdown()}\n<!-- end -->", page
    )


def _numbers(text: str) -> tuple[float, ...]:
    """Numbers above 0, apart by commas."""
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < n < float("inf") for n in found):
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers above 0, as in 1,2,4")
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
