"""How much memory is left."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from p2ptk.pairs import memory

CPU = torch.device("cpu")


@pytest.mark.parametrize("version", [1, 2])
def test_files_held_in_memory_make_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    folder = tmp_path / "memory" if version == 1 else tmp_path
    folder.mkdir(exist_ok=True)
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    limit, used = names if version == 1 else ("memory.max", "memory.current")
    (folder / limit).write_text("1000\n")
    (folder / used).write_text("900\n")
    (folder / "memory.stat").write_text("anon 5\nactive_file 300\ninactive_file 200\nslab 9\n")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.free_memory(CPU) == 600
    (folder / limit).write_text("800\n")
    assert memory.free_memory(CPU) == 400
    (folder / limit).write_text("1\n")
    assert memory.free_memory(CPU) == 0
    (folder / limit).write_text("max\n")
    assert memory.free_memory(CPU) > 2**20
