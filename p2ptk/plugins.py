"""Finds plugins, loads each alone, and keeps what they provide.

Why not plain pluggy loading: there one import error loses every later plugin, the second of two
equal entry-point names is dropped in silence, and a misspelt hook or a forgotten `@hookimpl` is
never mentioned. Here each distribution is loaded with a PluginManager of its own, all or nothing.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Literal

from p2ptk.components import Component
from p2ptk.errors import P2ptkError, UserError, did_you_mean
from p2ptk.loading import (
    Incompatible,
    Provided,
    has_hooks,
    import_file,
    provided_by,
    refuse_twice,
    said,
    split_entry,
)

__all__ = ["BUILT_IN", "GROUP", "Provided", "Registry", "Status", "configure", "registry"]

GROUP = "p2ptk"
BUILT_IN = "p2ptk"
log = logging.getLogger("p2ptk")


@dataclass
class Status:
    """What became of one distribution's plugin."""

    distribution: str
    version: str
    status: Literal["active", "disabled", "failed", "incompatible"]
    reason: str = ""
    trace: str = ""
    seconds: float = 0.0
    provides: list[Provided] = field(default_factory=list)
    file: Path | None = None  # of a local plugin


class Registry:
    """All components of this process."""

    def __init__(self) -> None:
        self.plugins: list[Status] = []
        self._here: dict[tuple[str, str], Provided] = {}

    def of_kind(self, kind: str) -> list[Provided]:
        """Components of a kind. A built-in keeps its bare name whatever the plugins have; one that
        two plugins have is nobody's."""
        everything = [p for s in self.plugins for p in s.provides if p.kind == kind]
        everything += [p for p in self._here.values() if p.kind == kind]
        homes: dict[str, set[str]] = {}
        for p in everything:
            homes.setdefault(p.component.name, set()).add(p.distribution)
        return [
            replace(p, shared=p.distribution != BUILT_IN and len(homes[p.component.name]) > 1)
            for p in everything
        ]

    def add_here(self, kind: str, component: Component) -> None:
        self._here[kind, component.name] = Provided(kind, component, "here", "0")

    def add(self, distribution: str, version: str, load: Callable[[], list[ModuleType]]) -> Status:
        """Load one distribution's plugin modules, all or nothing.

        Raises P2ptkError where that fails and P2PTK_STRICT_PLUGINS is 1.
        """
        started = time.perf_counter()
        status = Status(distribution, version, "active")
        try:
            # What a plugin prints must not get between the lines of --json.
            with redirect_stdout(sys.stderr):
                status.provides = _all_of(load(), distribution, version)
        except (Exception, SystemExit) as error:
            status.status = "incompatible" if isinstance(error, Incompatible) else "failed"
            status.reason, status.trace = said(error), traceback.format_exc()
            sentence = f"plugin {distribution} {version} did not load: {status.reason}"
            if os.environ.get("P2PTK_STRICT_PLUGINS") == "1":
                raise P2ptkError(sentence) from error
            log.warning("%s", sentence)
            log.debug("%s", status.trace)
        status.seconds = time.perf_counter() - started
        self.plugins.append(status)
        return status

    def add_file(self, entry: str) -> None:
        """Load one local file: `FILE.py` holds hooks; `KIND=FILE.py:Class` gives one class.

        Raises UserError where the file does not exist or provides nothing.
        """
        kind, path, attribute = split_entry(entry)
        if not path.is_file():
            raise UserError(f"there is no plugin file {str(path)!r}.")
        version = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        distribution = f"local/{path.stem}"
        module = import_file(path)
        if attribute:
            if not hasattr(module, attribute):
                near = did_you_mean(attribute, [n for n in vars(module) if not n.startswith("_")])
                raise UserError(f"{path} has no {attribute!r}: {near}")
            component = Component(name=attribute, target=getattr(module, attribute))
            provided = [Provided(kind, component, distribution, version)]
        else:
            provided = provided_by(module, distribution, version)
            refuse_twice(provided)
        if not provided:
            raise UserError(f"{path} provides nothing: it has no p2ptk_* function with @hookimpl.")
        self.plugins.append(Status(distribution, version, "active", provides=provided, file=path))


def _all_of(modules: Sequence[ModuleType], distribution: str, version: str) -> list[Provided]:
    """What the modules of one distribution give together."""
    found = []
    for module in modules:
        found += provided_by(module, distribution, version)
        if not has_hooks(module):
            raise P2ptkError(
                f"its entry point names {module.__name__!r}, which has no p2ptk_* function: "
                "name the module that holds the hooks"
            )
    refuse_twice(found)
    return found


def _distributions() -> Iterator[tuple[str, str, list[metadata.EntryPoint]]]:
    """Installed distributions with plugin entry points, p2ptk's own first, others by name."""
    found: dict[str, tuple[str, list[metadata.EntryPoint]]] = {}
    for distribution in metadata.distributions():
        try:
            points = [p for p in distribution.entry_points if p.group == GROUP]
            if not points:
                continue
            name = normal_name(distribution.metadata["Name"])
            # The first on the path is the one that imports.
            found.setdefault(name, (distribution.version, points))
        except Exception as error:  # what another package left half removed is no concern of ours
            log.debug("the metadata of a package can't be read: %s", said(error))
    for name in sorted(found, key=lambda n: (n != BUILT_IN, n)):
        yield name, *found[name]


def normal_name(distribution: str) -> str:
    """A distribution's name in the one spelling that all its spellings stand for."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _load_points(points: Sequence[metadata.EntryPoint]) -> list[ModuleType]:
    modules = []
    for point in points:
        module = point.load()
        if not isinstance(module, ModuleType):
            raise P2ptkError(f"its entry point {point.name!r} must name a module of hooks")
        modules.append(module)
    return modules


_options: dict[str, object] = {"enabled": True, "files": ()}


def configure(*, enabled: bool | None = None, files: Sequence[str] | None = None) -> None:
    """Say which plugins to load (`--no-plugins`, `--plugin FILE.py`); None leaves one as it is."""
    if enabled is not None:
        _options["enabled"] = enabled
    if files is not None:
        _options["files"] = tuple(files)
    registry.cache_clear()


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The process's components; plugins load at the first call."""
    made = Registry()
    allowed = _allowed()
    for name, version, points in _distributions():
        wanted = allowed is None or name in allowed
        if name == BUILT_IN or (wanted and _options["enabled"]):
            made.add(name, version, lambda points=points: _load_points(points))  # type: ignore[misc]
        else:
            why = "--no-plugins" if not _options["enabled"] else "P2PTK_PLUGINS does not list it"
            made.plugins.append(Status(name, version, "disabled", f"disabled: {why}"))
    if not any(s.distribution == BUILT_IN for s in made.plugins):
        from p2ptk import __version__, builtin

        made.add(BUILT_IN, __version__, lambda: [builtin])
    for missing in (allowed or set()) - {s.distribution for s in made.plugins}:
        near = did_you_mean(missing, [s.distribution for s in made.plugins])
        log.warning("P2PTK_PLUGINS lists %r, which is no plugin installed here: %s", missing, near)
    for entry in _options["files"]:  # type: ignore[attr-defined]
        made.add_file(entry)
    return made


def _allowed() -> set[str] | None:
    """The distributions that P2PTK_PLUGINS lists; None where it is not set."""
    listed = os.environ.get("P2PTK_PLUGINS")
    if listed is None:
        return None
    return {normal_name(name) for name in re.split(r"[,\s]+", listed) if name}
