"""How much memory a device has left, as well as the system tells."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import torch

_UNKNOWN = 4 * 2**30  # what is assumed where the system does not tell
_CGROUP = Path("/sys/fs/cgroup")


def free_memory(device: torch.device) -> int:
    """Bytes that can be used on a device: of the GPU, or of main memory within our limits."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    if sys.platform == "win32":
        return _windows()
    return min(_main_memory(), _container())


def _main_memory() -> int:
    """MemAvailable where there is /proc, else half of what is built in (macOS)."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):
        return _UNKNOWN


def _container() -> int:
    """What the control group leaves: containers are stopped above it. Version 2, then 1.

    Files that the system holds in memory count as used there, but make way when memory is needed.
    """
    for folder, limit, used in (
        (_CGROUP, "memory.max", "memory.current"),
        (_CGROUP / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        try:
            left = int((folder / limit).read_text()) - int((folder / used).read_text())
            known = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # absent, or "max"
            continue
        files = (int(known.get(f"{kind}_file", 0)) for kind in ("active", "inactive"))
        return max(0, left + sum(files))
    return sys.maxsize


def _windows() -> int:
    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "a", "b", "c", "d", "e")),
        )

    status = Status(length=ctypes.sizeof(Status))
    kernel32 = getattr(ctypes, "windll").kernel32  # noqa: B009  mypy knows no windll elsewhere
    return int(status.free) if kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else _UNKNOWN
