"""Whether an NVIDIA GPU is in this machine, asked of the machine and not of torch."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REINSTALL = "`uv pip install --reinstall --torch-backend=auto torch torchvision`"


@dataclass(frozen=True)
class Evidence:
    """What tells of an NVIDIA GPU.

    gpus: what nvidia-smi lists, "NVIDIA H200, driver 570.1". smi_error: why it lists none.
    device_files: /dev/nvidia0 is there. on_bus: a display adapter of NVIDIA's is on the PCI bus.
    library: the driver's library is installed.
    """

    gpus: tuple[str, ...] = ()
    smi_error: str = ""
    device_files: bool = False
    on_bus: bool = False
    library: bool = False

    @property
    def gpu(self) -> str:
        """How to name it in a sentence; empty where there is none."""
        if self.gpus:
            more = f" and {len(self.gpus) - 1} more" if len(self.gpus) > 1 else ""
            return f"an NVIDIA GPU ({self.gpus[0]}{more})"
        return "an NVIDIA GPU" if self.device_files or self.on_bus else ""

    @property
    def driver(self) -> bool:
        return bool(self.gpus) or self.device_files or self.library


def look() -> Evidence:
    """Ask nvidia-smi, the device files, the PCI bus and the loader."""
    gpus, error = _nvidia_smi()
    name = "nvcuda" if sys.platform == "win32" else "cuda"
    return Evidence(
        gpus=gpus,
        smi_error=error,
        device_files=Path("/dev/nvidia0").exists(),
        on_bus=_on_bus(Path("/sys/bus/pci/devices")),
        library=ctypes.util.find_library(name) is not None,
    )


def verdict(
    seen: Evidence,
    *,
    version: str,
    cuda: str | None,
    available: bool,
    warnings: Sequence[str] = (),
    visible: str | None = None,
) -> tuple[str, str] | None:
    """What is to be said of GPU and torch together: (`broken` or `note`, sentences), or None.

    version, cuda: torch's own and that of the CUDA it was built for. available: torch sees a GPU.
    warnings: what torch said when it was asked. visible: CUDA_VISIBLE_DEVICES, if set.
    """
    if available or not seen.gpu:
        return None
    if visible is not None and visible.strip() in ("", "-1", "NoDevFiles"):
        return "note", f"{seen.gpu} is here, and CUDA_VISIBLE_DEVICES={visible!r} hides it."
    if not seen.driver:
        return "broken", (
            f"{seen.gpu} is here, but its driver is not: install NVIDIA's driver, then restart."
        )
    if cuda is None:
        return "broken", (
            f"{seen.gpu} is here, but torch {version} is a CPU build, so training would leave the "
            f"GPU idle: {REINSTALL} puts in one for this GPU."
        )
    said = f" torch says: {warnings[0].strip().rstrip('.')}." if warnings else ""
    smi = f" nvidia-smi says: {seen.smi_error}." if seen.smi_error else ""
    return "broken", (
        f"{seen.gpu} is here, but torch {version} (CUDA {cuda}) does not see it.{said}{smi} "
        f"Upgrade NVIDIA's driver to one for CUDA {cuda} or newer and restart, or let {REINSTALL} "
        "choose a torch for the driver that is here."
    )


def _nvidia_smi() -> tuple[tuple[str, ...], str]:
    """The GPUs that nvidia-smi lists, and its complaint where it fails."""
    program = shutil.which("nvidia-smi") or _windows_smi()
    if program is None:
        return (), ""
    query = ["--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run([program, *query], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return (), f"{type(error).__name__}"
    if done.returncode:
        return (), " ".join((done.stdout or done.stderr).split())[:200].rstrip(".")
    rows = [line.rpartition(", ") for line in done.stdout.splitlines() if ", " in line]
    return tuple(f"{name}, driver {driver}" for name, _, driver in rows), ""


def _windows_smi() -> str | None:
    path = Path(os.environ.get("SYSTEMROOT", ""), "System32", "nvidia-smi.exe")
    return str(path) if sys.platform == "win32" and path.exists() else None


def _on_bus(devices: Path) -> bool:
    """Whether Linux lists a display adapter (class 03) of vendor 10de."""
    for device in devices.glob("*"):
        try:
            vendor, kind = ((device / f).read_text().strip() for f in ("vendor", "class"))
        except OSError:
            continue
        if vendor == "0x10de" and kind.startswith("0x03"):
            return True
    return False
