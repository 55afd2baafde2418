"""How long the commands take to start. One command, one table.

    python benchmarks/startup.py [--repeats 5] [--json]

Medians over processes that take turns, so that a busy machine slows all alike: seconds that passed,
and seconds of computing in all threads. `run` trains the reference recipe on the embedded pairs,
and is timed to the line that tells of its first step. Python's byte code is kept in a folder of its
own, written by one round that does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

GOALS = {"p2ptk --help": 0.3, "p2ptk run, first step": 8.0}  # seconds, on 2 cores


class Took(NamedTuple):
    passed: float
    computing: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    p2ptk = [sys.executable, "-m", "p2ptk"]
    commands: dict[str, tuple[list[str], str]] = {
        "python, nothing": ([sys.executable, "-c", "pass"], ""),
        "import torch": ([sys.executable, "-c", "import torch"], ""),
        "p2ptk --help": ([*p2ptk, "--help"], ""),
        "p2ptk run --help": ([*p2ptk, "run", "--help"], ""),
        "p2ptk components": ([*p2ptk, "components"], ""),
        "p2ptk run, first step": ([*p2ptk, "run", "--stop-at", "1", "-o"], "step 1/"),
    }
    with tempfile.TemporaryDirectory() as place:
        environment = dict(os.environ, PYTHONPYCACHEPREFIX=f"{place}/bytecode")
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        times: dict[str, list[Took]] = {name: [] for name in commands}
        for turn in range(options.repeats + 1):
            for name, (command, until) in commands.items():
                folder = [f"{place}/run-{turn}"] if command[-1] == "-o" else []
                took = measure([*command, *folder], until, environment)
                if turn:
                    times[name].append(took)
    rows = {
        name: Took(*(statistics.median(column) for column in zip(*each, strict=True)))
        for name, each in times.items()
    }
    if options.json:
        print(json.dumps({name: took._asdict() for name, took in rows.items()}, indent=1))
        return
    print(f"medians of {options.repeats}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'':24}{'passed':>10}{'computing':>12}{'goal':>8}")
    for name, took in rows.items():
        goal = f"{GOALS[name]:.1f} s" if name in GOALS else ""
        print(f"{name:24}{took.passed:8.2f} s{took.computing:10.2f} s{goal:>8}")


def measure(command: Sequence[str], until: str, environment: dict[str, str]) -> Took:
    """Run a command to its end, or to a line that begins with `until`; raises if it fails."""
    began = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if until and line.startswith(until):
                process.kill()
                break
        _, status, used = os.wait4(process.pid, 0)
        passed = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    reached = bool(until) and bool(said) and said[-1].startswith(until)
    if not reached and (process.returncode or until):
        raise RuntimeError(f"{' '.join(command)} failed:\n{''.join(said)}")
    return Took(passed, used.ru_utime + used.ru_stime)


if __name__ == "__main__":
    main()
