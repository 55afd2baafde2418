"""Where a run computes, and in which precision."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from p2ptk.errors import UserError

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]


def choose_device(name: str = "auto") -> torch.device:
    """`auto` is CUDA, then Apple's MPS, then the CPU.

    Raises UserError where the device named is not there, and says why when it can.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"no device is called {name!r}: write auto, cpu, cuda or mps.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda
        why = "torch sees no GPU" if built else "this torch is a CPU build"
        raise UserError(f"{name!r} is not available: {why}; `p2ptk doctor` tells more.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"{name!r} is not available: there are {torch.cuda.device_count()} GPUs.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("'mps' is not available on this machine; write cpu.")
    if device.type not in ("cpu", "cuda", "mps"):
        raise UserError(f"p2ptk does not train on {device.type!r}: write auto, cpu, cuda or mps.")
    return device


def cpu_likes_bf16() -> bool:
    """Whether the CPU multiplies bf16 in hardware (AVX512-BF16 or AMX), so that it pays."""
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, test, bool)()) for test in tests)


@dataclass(frozen=True)
class Precision:
    """The numbers' format in the networks; losses stay in float32."""

    name: Literal["fp32", "bf16", "fp16"]
    device_type: str

    @contextlib.contextmanager
    def autocast(self, enabled: bool = True) -> Iterator[None]:
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.name]
        on = enabled and self.name != "fp32"
        with torch.autocast(self.device_type, dtype=dtype if on else torch.bfloat16, enabled=on):
            yield

    def scaler(self) -> torch.amp.GradScaler:
        """A loss scaler of one's own for each optimiser; does nothing but in fp16."""
        return torch.amp.GradScaler(self.device_type, enabled=self.name == "fp16")


def choose_precision(name: PrecisionName, device: torch.device) -> Precision:
    """`auto` is bf16 where the device multiplies it in hardware, else float32."""
    if name == "auto":
        good = {
            "cuda": lambda: torch.cuda.get_device_capability(device)[0] >= 8,
            "cpu": cpu_likes_bf16,
        }.get(device.type, lambda: False)
        name = "bf16" if good() else "fp32"
    if name == "fp16" and device.type == "cpu":
        raise UserError("fp16 does not train on a CPU: write bf16 or fp32.")
    return Precision(name, device.type)


def prepare(device: torch.device, deterministic: bool) -> None:
    """Set torch's process-wide switches: TF32 and autotuning, or the same bits on every run."""
    torch.backends.cuda.matmul.allow_tf32 = not deterministic
    torch.backends.cudnn.allow_tf32 = not deterministic
    torch.backends.cudnn.benchmark = not deterministic
    # Torch loads its compiler, for seconds, even to say no.
    if deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(deterministic, warn_only=True)


def wait_for(device: torch.device) -> None:
    """Return when the device has done all it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def keep_memory(keep: bool = True) -> None:
    """Have the C library keep what is freed for the next step, or give it back as is its habit.

    Training frees and asks for the same blocks over and over. What glibc has given back comes as
    new, empty pages, one fault for each: a tenth of a step's time. Other C libraries don't listen.
    """
    mmap_threshold, trim_threshold = (2**31 - 1, -1) if keep else (32 * 2**20, 64 * 2**20)
    try:
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, mmap_threshold)
        library.mallopt(_M_TRIM_THRESHOLD, trim_threshold)
        if not keep:
            library.malloc_trim(0)
    except (OSError, AttributeError, TypeError):  # Windows, macOS, musl
        return


def describe_device(device: torch.device) -> str:
    """The device's own name, with what memory it has."""
    if device.type == "cuda":
        gib = torch.cuda.get_device_properties(device).total_memory / 2**30
        return f"{torch.cuda.get_device_name(device)} ({gib:.0f} GiB)"
    return f"{device.type} ({torch.get_num_threads()} threads)" if device.type == "cpu" else "mps"


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that a device's memory, or main memory, does not suffice."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def peak_memory(device: torch.device) -> int:
    """Most bytes in use so far: of the GPU, or of this process where the system tells."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:  # Linux, where getrusage begins with what the parent had
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    used: Any = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(used) * (1 if sys.platform == "darwin" else 1024)
