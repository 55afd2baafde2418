"""What the plugin provides: a name only; the code loads when the launcher is used."""

from __future__ import annotations

from collections.abc import Iterable

from p2ptk import Component, hookimpl

P2PTK_API = 1


@hookimpl
def p2ptk_launchers() -> Iterable[Component]:
    yield Component(
        "ray", "p2ptk_ray.launcher:Ray", "jobs on a Ray cluster, or this machine's GPUs"
    )
