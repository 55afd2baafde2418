"""Does spoilt or hostile input ever do harm? One command, one table.

    python -m benchmarks.fuzz [--cases 10000] [--seed 0] [--json] [TARGET ...]

Every case is sound input changed by a seeded hand, or made to do harm, and read as a command would
read it, in this process. It must succeed or be refused in a sentence (a P2ptkError): no other
exception, none over 10 seconds, no file changed outside its folder, no process or connection
started, within 2 GiB of memory more than at the start. What fails is kept in --keep, and its number
repeats it: --seed S --only N. The exit code is 1 where any case failed. For Linux.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("P2PTK_PLUGINS", "")

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from benchmarks.faults.guard import bounded, peak_memory, run_case
from benchmarks.faults.targets import TARGETS

sys.dont_write_bytecode = True  # what is imported in a case is no write of the case


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the one case of this number")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path, help="a folder for what failed")
    options = parser.parse_args()
    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown:
        parser.error(f"no target {unknown[0]!r}: choose from {', '.join(TARGETS)}")
    numbers = range(options.cases) if options.only is None else [options.only]
    found = [fuzz(t, numbers, options.seed, options.keep) for t in options.targets or TARGETS]
    if options.json:
        print(json.dumps(found))
    else:
        print("| target | cases | refused | s | peak memory, MiB | failed |")
        print("|---|---|---|---|---|---|")
        for row in found:
            shown = [row[k] for k in ("target", "cases", "refused", "seconds", "peak", "failed")]
            print("| " + " | ".join(map(str, shown)) + " |")
        for row in found:
            for count, first, words in row["kinds"].values():
                print(f"{row['target']}: {count} x, first case {first}: {words}")
    sys.exit(any(row["failed"] for row in found))


def fuzz(target: str, numbers: Any, seed: int, keep: Path | None = None) -> dict[str, Any]:
    """The cases of these numbers, each by a generator of its own, and what failed by kind."""
    torch.set_num_threads(1)
    kinds: dict[str, tuple[int, int, str]] = {}
    refused = 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        box = Path(temporary)
        inside = box / "inside"
        inside.mkdir()
        os.environ["P2PTK_CACHE"] = str(inside / "cache")
        here, old = Path.cwd(), tempfile.tempdir
        os.chdir(inside)
        tempfile.tempdir = str(inside)
        try:
            make = TARGETS[target](inside)
            with bounded():
                for number in numbers:
                    case = make(random.Random(f"{target} {seed} {number}"))
                    said, wrong = run_case(case, inside)
                    refused += said
                    if outside := sorted(p.name for p in box.iterdir() if p != inside):
                        wrong += f"; outside its folder: {outside}"
                        for name in outside:
                            (box / name).unlink()
                    if wrong:
                        kind = wrong.partition(":")[0]
                        count, first, words = kinds.get(kind, (0, number, wrong))
                        kinds[kind] = (count + 1, first, words)
                        if keep and not count:
                            shutil.copytree(
                                inside, keep / f"{target}-{seed}-{number}", dirs_exist_ok=True
                            )
        finally:
            os.chdir(here)
            tempfile.tempdir = old
    return {
        "target": target,
        "cases": len(numbers),
        "refused": refused,
        "seconds": round(time.monotonic() - began, 1),
        "peak": peak_memory() >> 20,
        "failed": sum(count for count, *_ in kinds.values()),
        "kinds": kinds,
    }


if __name__ == "__main__":
    main()
