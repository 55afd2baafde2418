"""A process group of one: what it computes is known, and every call is the real one."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch.distributed as dist


@pytest.fixture
def group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    time.sleep(0.1)  # see PAUSE of p2ptk.parallel.ranks
    dist.destroy_process_group()
