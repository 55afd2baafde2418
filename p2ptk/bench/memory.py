"""The most memory a way takes on a CPU: of a process of its own, which is all that can be told.

python -m p2ptk.bench.memory '{"case": {...}, "way": {...}, "steps": 3}' prints bytes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

import torch

from p2ptk.bench.paths import Case, Way, start
from p2ptk.device import peak_memory


def peak_of(case: Case, way: Way, steps: int = 3) -> int | None:
    """Bytes of a process that takes some steps; None where it fails, as it does without memory."""
    asked = json.dumps({"case": asdict(case), "way": asdict(way), "steps": steps})
    command = [sys.executable, "-m", "p2ptk.bench.memory", asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stdout.split()[-1]) if done.returncode == 0 else None


def main() -> None:
    asked = json.loads(sys.argv[1])
    racer = start(Case(**asked["case"]), Way(**asked["way"]))
    racer.enter()
    for _ in range(asked["steps"]):
        racer.step()
    racer.finish()
    racer.close()
    print(peak_memory(torch.device("cpu")))


if __name__ == "__main__":
    main()
