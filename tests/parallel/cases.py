"""Runs that should not depend on the number of processes: torchrun starts this file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import p2ptk
from p2ptk.parallel.ranks import joined

STEPS = 4
COMMON: dict[str, Any] = {
    "data": "demo",
    "size": 32,
    "cache": False,
    "device": "cpu",
    "precision": "fp32",
    "train__steps": STEPS,
    "train__batch_size": 4,
    "output__log_every": 1,
    "output__samples": 1,
    "workers": 0,
}


def networks(norm: str) -> dict[str, Any]:
    return {
        "generator": f"unet:depth=5,width=4,dropout=0,norm={norm}",
        "discriminator": f"patchgan:width=4,layers=1,norm={norm}",
    }


SGD = {"train__optimizer": "sgd", "train__lr": 1e-3}
CASES: dict[str, dict[str, Any]] = {
    "instance": {**networks("instance"), **SGD},
    "sync": {**networks("batch"), **SGD, "train__sync_norm": True},
    "adam": {**networks("none"), "train__ema": 0.9},
    "accumulate": {**networks("none"), "train__batch_size": 8, "train__accumulate": 2},
    # a penalty on D's gradient, so a second derivative; on every second step; and D twice a step
    "critic": {**networks("none"), "losses": ["gan", "r1:every=2", "l1"], "train__d_steps": 2},
}


def run_all(place: Path) -> None:
    for name, settings in CASES.items():
        p2ptk.fit(output=place / name, quiet=True, **{**COMMON, **settings})


if __name__ == "__main__":
    with joined("cpu"):
        run_all(Path(sys.argv[1]))
