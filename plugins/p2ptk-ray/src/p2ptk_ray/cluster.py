"""Joining a Ray cluster, or starting one here, quietly; and what of it a run can have."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from p2ptk import UserError

REACH = 5.0  # seconds for a cluster's port to answer
STORE = 100 * 2**20  # bytes of shared memory for results, of a cluster that is started here


@dataclass(frozen=True)
class Share:
    """What a run takes of a node."""

    cpus: float
    gpus: float

    def fits(self, node: Mapping[str, float]) -> bool:
        return node.get("CPU", 0) >= self.cpus and node.get("GPU", 0) >= self.gpus

    def __str__(self) -> str:
        return _in_words({"CPU": self.cpus, "GPU": self.gpus})


@contextmanager
def joined(address: str | None) -> Iterator[None]:
    """Be connected to a cluster: that at `address` or RAY_ADDRESS, else one that is started here
    and ended with the context. A connection that this process has already is used, and kept.

    Raises UserError where the cluster can't be reached.
    """
    # Ray tells of dead workers on the standard output, whatever log_to_driver says, and reads what
    # not to tell when it is imported.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^")
    import ray

    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address.startswith("ray://"):
        raise UserError(
            f"the launcher 'ray' can't work through Ray Client ({address}): start the study on a "
            "node of the cluster, with address=auto."
        )
    if address not in ("local", "auto"):
        _knock(address)
    # It warns of its own means before it asks how loud it may be.
    logging.getLogger("ray").setLevel(logging.ERROR)
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == "local":
        options |= {
            "include_dashboard": False,
            "num_cpus": _cores(),
            "object_store_memory": STORE,
        }
    try:
        with _process_kept():
            ray.init(address, **options)
    except Exception as error:
        what = "can't be started here" if address == "local" else f"at {address} can't be joined"
        raise UserError(f"the Ray cluster {what}: {first_sentence(error)}") from error
    try:
        yield
    finally:
        ray.shutdown()


def nodes() -> list[dict[str, float]]:
    """What each node that is alive has in all, by Ray's names: CPU, GPU."""
    import ray

    return [each["Resources"] for each in ray.nodes() if each["Alive"]]


def share(cpus: float | None, gpus: float | None, found: list[dict[str, float]]) -> Share:
    """What a run takes, where `cpus` or `gpus` is left open: a GPU, if there are any, and the part
    of its node's cores that belongs to it; one core otherwise."""
    if gpus is None:
        gpus = 1.0 if any(node.get("GPU", 0) >= 1 for node in found) else 0.0
    if cpus is None:
        parts = [
            node.get("CPU", 0) * gpus / node["GPU"]
            for node in found
            if gpus and node.get("GPU", 0) >= gpus
        ]
        cpus = min(parts, default=1.0)
        cpus = float(math.floor(cpus)) if cpus >= 1 else cpus
    return Share(cpus, gpus)


def need_room(wanted: Share, found: list[dict[str, float]]) -> None:
    """Raises UserError where no node is large enough: Ray would wait for ever."""
    if not any(wanted.fits(node) for node in found):
        kinds = sorted({_in_words(node) for node in found})
        listed = ", ".join(kinds[:4]) + (", ..." if len(kinds) > 4 else "")
        raise UserError(
            f"no node of the Ray cluster has {wanted} for a run; there are nodes of {listed}. "
            "Give smaller gpus= or cpus=, or wait=true where nodes come on demand."
        )


def first_sentence(error: BaseException) -> str:
    """An error of Ray's, which has many lines, as one."""
    said = " ".join(str(error).split())[:300] or type(error).__name__
    return said if said.endswith(".") else f"{said}."


def _in_words(node: Mapping[str, float]) -> str:
    gpus, cpus = node.get("GPU", 0), node.get("CPU", 0)
    words = f"{cpus:g} core" + ("" if cpus == 1 else "s")
    return f"{gpus:g} GPU{'' if gpus == 1 else 's'} and {words}" if gpus else words


def _knock(address: str) -> None:
    """Raises UserError where nothing listens: Ray would try for a long time."""
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdigit()):
        raise UserError(
            f"{address!r} is no address of a Ray cluster: write HOST:PORT as `ray start` printed "
            "it, or auto."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"no Ray cluster answers at {address}: {reason}.") from error


@contextmanager
def _process_kept() -> Iterator[None]:
    """Undo what ray.init does to the process: it takes SIGTERM, by which a study is stopped, and on
    some systems leaves the shell's foreground, where Ctrl-C arrives."""
    handler: Any = signal.getsignal(signal.SIGTERM)
    group = os.getpgrp() if hasattr(os, "getpgrp") else None
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
        if group is not None and os.getpgrp() != group:
            with suppress(OSError):
                os.setpgid(0, group)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
