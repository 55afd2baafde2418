"""Finds plugins, loads each alone, and keeps what they provide.

Why not plain pluggy loading: there one import error loses every later plugin, the second of two
equal entry-point names is dropped in silence, and a misspelt hook or a forgotten `@hookimpl` is
never mentioned. Here each distribution is loaded with a PluginManager of its own, all or nothing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Literal

import pluggy

from p2ptk import hooks
from p2ptk.components import Component
from p2ptk.contracts import KINDS
from p2ptk.errors import P2ptkError, UserError, did_you_mean

GROUP = "p2ptk"
BUILT_IN = "p2ptk"
log = logging.getLogger("p2ptk")


@dataclass(frozen=True)
class Provided:
    """A component and the distribution it came with."""

    kind: str
    component: Component
    distribution: str
    version: str
    shadows: bool = False  # a built-in has the same name, so only the qualified one reaches this

    @property
    def name(self) -> str:
        return self.qualified if self.shadows else self.component.name

    @property
    def qualified(self) -> str:
        return f"{self.distribution}/{self.component.name}"

    @property
    def provider(self) -> str:
        return f"{self.distribution} {self.version}"


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


class Incompatible(P2ptkError):
    """The plugin was written for another contract than this release's."""


class Registry:
    """All components of this process."""

    def __init__(self) -> None:
        self.plugins: list[Status] = []
        self._here: dict[tuple[str, str], Provided] = {}

    def of_kind(self, kind: str) -> list[Provided]:
        """Components of a kind. A plugin's component can't shadow a built-in's bare name."""
        everything = [p for s in self.plugins for p in s.provides if p.kind == kind]
        everything += [p for p in self._here.values() if p.kind == kind]
        own = {p.name for p in everything if p.distribution == BUILT_IN}
        return [
            replace(p, shadows=p.distribution != BUILT_IN and p.name in own) for p in everything
        ]

    def add_here(self, kind: str, component: Component) -> None:
        self._here[kind, component.name] = Provided(kind, component, "here", "0")

    def add(self, distribution: str, version: str, load: Callable[[], list[ModuleType]]) -> Status:
        """Load one distribution's plugin modules, all or nothing."""
        started = time.perf_counter()
        status = Status(distribution, version, "active")
        try:
            for module in load():
                status.provides += _provided_by(module, distribution, version)
            _refuse_twice(status.provides)
        except Exception as error:
            if os.environ.get("P2PTK_STRICT_PLUGINS") == "1":
                raise
            status.status = "incompatible" if isinstance(error, Incompatible) else "failed"
            told = isinstance(error, P2ptkError)
            status.reason = str(error) if told else f"{type(error).__name__}: {error}"
            status.trace = traceback.format_exc()
            status.provides = []
            log.warning("plugin %s %s did not load: %s", distribution, version, status.reason)
            log.debug("%s", status.trace)
        status.seconds = time.perf_counter() - started
        self.plugins.append(status)
        return status

    def add_file(self, entry: str) -> None:
        """Load one local file: `FILE.py` holds hooks; `KIND=FILE.py:Class` gives one class.

        Raises UserError where the file does not exist or provides nothing.
        """
        kind, path, attribute = _split_entry(entry)
        if not path.is_file():
            raise UserError(f"there is no plugin file {str(path)!r}.")
        version = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        distribution = f"local/{path.stem}"
        module = _import_file(path)
        if attribute:
            if not hasattr(module, attribute):
                near = did_you_mean(attribute, [n for n in vars(module) if not n.startswith("_")])
                raise UserError(f"{path} has no {attribute!r}: {near}")
            component = Component(name=attribute, target=getattr(module, attribute))
            provided = [Provided(kind, component, distribution, version)]
        else:
            provided = _provided_by(module, distribution, version)
        if not provided:
            raise UserError(f"{path} provides nothing: it has no p2ptk_* function with @hookimpl.")
        self.plugins.append(Status(distribution, version, "active", provides=provided, file=path))


def _provided_by(module: ModuleType, distribution: str, version: str) -> list[Provided]:
    """What one plugin module's hooks give. Raises P2ptkError naming the first fault."""
    api = getattr(module, "P2PTK_API", hooks.API)
    if api != hooks.API:
        upgrade = "p2ptk" if api > hooks.API else "the plugin"
        raise Incompatible(
            f"it was written for plugin API {api}, this p2ptk speaks {hooks.API}: upgrade {upgrade}"
        )
    known = [hooks.hook_name(kind) for kind in KINDS]
    for name, value in vars(module).items():
        if not name.startswith("p2ptk_") or not callable(value):
            continue
        if name not in known:
            raise P2ptkError(f"it has an unknown hook {name!r}: {did_you_mean(name, known)}")
        if not hasattr(value, "p2ptk_impl"):
            raise P2ptkError(f"its hook {name!r} lacks the @hookimpl decorator")
    manager = pluggy.PluginManager("p2ptk")
    manager.add_hookspecs(hooks)
    manager.register(module)
    found = []
    for kind in KINDS:
        for answer in getattr(manager.hook, hooks.hook_name(kind))():
            # A hook written as a generator raises only when it is read.
            for component in list(answer):
                if not isinstance(component, Component):
                    raise P2ptkError(f"{hooks.hook_name(kind)} gave {component!r}, no Component")
                found.append(Provided(kind, component, distribution, version))
    return found


def _refuse_twice(provided: Iterable[Provided]) -> None:
    seen = set()
    for p in provided:
        if (p.kind, p.name) in seen:
            raise P2ptkError(f"it provides the {p.kind} {p.name!r} twice")
        seen.add((p.kind, p.name))


def _split_entry(entry: str) -> tuple[str, Path, str]:
    """`[KIND=]FILE.py[:Class]` in its parts; KIND goes with Class."""
    match = re.fullmatch(r"(?:(\w+)=)?(.+\.py)(?::(\w+))?", entry)
    if not match or bool(match[1]) != bool(match[3]):
        raise UserError(f"a plugin file is written FILE.py or KIND=FILE.py:Class, not {entry!r}.")
    if match[1] and match[1] not in KINDS:
        raise UserError(f"there is no kind {match[1]!r}: {did_you_mean(match[1], KINDS)}")
    return match[1] or "", Path(match[2]).expanduser(), match[3] or ""


def _import_file(path: Path) -> ModuleType:
    name = f"p2ptk_local_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Worker processes unpickle a dataset by its module's name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise P2ptkError(f"{path} can't be imported: {type(error).__name__}: {error}") from error
    return module


def _distributions() -> Iterator[tuple[str, str, list[metadata.EntryPoint]]]:
    """Installed distributions with plugin entry points, p2ptk's own first, others by name."""
    found: dict[str, tuple[str, list[metadata.EntryPoint]]] = {}
    for distribution in metadata.distributions():
        points = [p for p in distribution.entry_points if p.group == GROUP]
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
        if points and name not in found:  # the first on the path is the one that imports
            found[name] = (distribution.version, points)
    for name in sorted(found, key=lambda n: (n != BUILT_IN, n)):
        yield name, *found[name]


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
    allowed = os.environ.get("P2PTK_PLUGINS")
    for name, version, points in _distributions():
        wanted = allowed is None or name in re.split(r"[,\s]+", allowed.lower().replace("_", "-"))
        if name == BUILT_IN or (wanted and _options["enabled"]):
            made.add(name, version, lambda points=points: _load_points(points))  # type: ignore[misc]
        else:
            why = "--no-plugins" if not _options["enabled"] else "P2PTK_PLUGINS does not list it"
            made.plugins.append(Status(name, version, "disabled", f"disabled: {why}"))
    if not any(s.distribution == BUILT_IN for s in made.plugins):
        from p2ptk import __version__, builtin

        made.add(BUILT_IN, __version__, lambda: [builtin])
    for entry in _options["files"]:  # type: ignore[attr-defined]
        made.add_file(entry)
    return made
