"""What a device can do at most, and how much work an update is."""

from __future__ import annotations

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from p2ptk.bench.plain import discriminator_loss, generator_loss
from p2ptk.components import create
from p2ptk.device import wait_for


def measured_peak(device: torch.device, precision: str, seconds: float = 1.0) -> float:
    """FLOP/s of a large matrix product in a precision: the fastest of those that fit the time.

    fp32 is TF32 on a GPU, as in training.
    """
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    side, repeats = (8192, 10) if device.type == "cuda" else (2048, 1)
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    fastest, rounds, until = float("inf"), 0, time.perf_counter() + seconds
    while rounds < 3 or time.perf_counter() < until:
        wait_for(device)
        began = time.perf_counter()
        for _ in range(repeats):
            a @ b
        wait_for(device)
        fastest = min(fastest, (time.perf_counter() - began) / repeats)
        rounds += 1
    return 2 * side**3 / fastest


def flops_of_update(generator: str, discriminator: str, size: int) -> float:
    """FLOP of one update of both networks on one pair, in convolutions and matrix products."""
    with torch.device("meta"):
        G, D = (
            create(kind, spec, source_channels=3, target_channels=3)
            for kind, spec in (("generator", generator), ("discriminator", discriminator))
        )
        source, target = torch.empty(1, 3, size, size), torch.empty(1, 3, size, size)
        with FlopCounterMode(display=False) as counter:
            fake = G(source)
            discriminator_loss(D, source, target, fake).backward()
            D.requires_grad_(False)
            generator_loss(D, source, target, fake).backward()
    return float(counter.get_total_flops())
