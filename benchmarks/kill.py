"""Is anything lost when a run is killed? One command, one table.

    python -m benchmarks.kill [--kills 50] [--seed 0] [--json] [--keep FOLDER]

Runs of a small training are killed with SIGKILL at random moments, half of them aimed at the
writing of a checkpoint or of samples, and resumed to their end, until so many kills have hit. Each
must end with the weights, averages, optimiser states and log of a run that was never stopped, bit
for bit, and with no unfinished file. Then runs are asked to stop, by SIGTERM and by Ctrl-C once and
twice. The exit code is 1 where anything was lost. Not for Windows, which has no fork.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: it forks

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import matplotlib.figure  # noqa: F401  (loaded once, for all runs)

from benchmarks.faults import killing


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path, help="keep the run folders here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        found = measure(folder, options.kills, options.seed)
    print(json.dumps(found) if options.json else "\n".join(table(found)))
    sys.exit(1 if found["wrong"] else 0)


def measure(folder: Path, kills: int, seed: int) -> dict[str, object]:
    """Kills until enough have hit, then the ways to ask; `wrong` lists all that was lost."""
    os.environ["P2PTK_CACHE"] = str(folder / "cache")
    config = killing.small_config(killing.write_pairs(folder / "pairs"))
    whole = folder / "whole"
    began = time.monotonic()
    assert killing.finish(killing.begin(config, whole)) == 0, whole.with_suffix(".log").read_text()
    longest = time.monotonic() - began

    rng = random.Random(seed)
    during: Counter[str] = Counter()
    wrong: list[str] = []
    runs = 0
    while sum(during.values()) < kills:
        runs += 1
        killed = killing.kill_and_resume(config, folder / f"run-{runs}", whole, rng, longest)
        during.update(killed.during)
        if not killed.stops:  # it was faster than the one that was timed
            longest *= 0.7
        wrong += [f"run {runs}: {killed.wrong}"] if killed.wrong else []
    asked = {}
    for way in killing.ASKED:
        asked[way] = killing.ask_and_resume(config, folder / way.replace(" ", "-"), whole, way)
        wrong += [f"{way}: {asked[way]}"] if asked[way] else []
    return {
        "runs": runs,
        "kills": sum(during.values()),
        "during": dict(during.most_common()),
        "asked": {way: what or "as if never stopped" for way, what in asked.items()},
        "seconds": round(time.monotonic() - began, 1),
        "wrong": wrong,
    }


def table(found: dict[str, object]) -> list[str]:
    during, asked, wrong = found["during"], found["asked"], found["wrong"]
    assert isinstance(during, dict)
    assert isinstance(asked, dict)
    assert isinstance(wrong, list)
    return [
        f"| killed while | of {found['kills']} |",
        "|---|---|",
        *(f"| {what} | {count} |" for what, count in during.items()),
        "",
        *(f"{way}: {what}" for way, what in asked.items()),
        f"{found['runs']} runs in {found['seconds']} s; {len(wrong)} not as if never stopped",
        *wrong,
    ]


if __name__ == "__main__":
    main()
