"""What one plugin provides: from a module of hooks, or a local file, to checked components."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from p2ptk import hooks
from p2ptk.components import Component
from p2ptk.contracts import KINDS
from p2ptk.errors import P2ptkError, UserError, did_you_mean


@dataclass(frozen=True)
class Provided:
    """A component and the distribution it came with."""

    kind: str
    component: Component
    distribution: str
    version: str
    shared: bool = False  # another distribution has the name too, so only the qualified one does

    @property
    def name(self) -> str:
        """What to type: the component's name, or `distribution/name` where that is not enough."""
        return self.qualified if self.shared else self.component.name

    @property
    def qualified(self) -> str:
        return f"{self.distribution}/{self.component.name}"

    @property
    def provider(self) -> str:
        return f"{self.distribution} {self.version}"

    def load(self) -> Any:
        """Import and give the target. Raises P2ptkError where the plugin's code is at fault."""
        try:
            return self.component.load()
        except P2ptkError:
            raise
        except (Exception, SystemExit) as error:
            whose = f"the {self.kind} {self.component.name!r} of {self.provider}"
            raise P2ptkError(f"{whose} can't be imported: {said(error)}") from error


class Incompatible(P2ptkError):
    """The plugin was written for another contract than this release's."""


def provided_by(module: ModuleType, distribution: str, version: str) -> list[Provided]:
    """What a plugin module's hooks give.

    Raises P2ptkError naming the first fault, Incompatible where P2PTK_API is another release's,
    and whatever a hook raises.
    """
    _check_api(getattr(module, "P2PTK_API", hooks.API))
    _check_hooks(module)
    manager = pluggy.PluginManager("p2ptk")
    manager.add_hookspecs(hooks)
    manager.register(module)
    found: list[Provided] = []
    for kind in KINDS:
        for implementation in getattr(manager.hook, hooks.hook_name(kind)).get_hookimpls():
            # Called here and not by pluggy, which drops a None: that is a forgotten `return`.
            answer = implementation.function()
            found += [
                Provided(kind, component, distribution, version)
                for component in _components(answer, hooks.hook_name(kind))
            ]
    return found


def refuse_twice(provided: Iterable[Provided]) -> None:
    """Raises P2ptkError where one distribution gives two components of a kind one name."""
    seen = set()
    for p in provided:
        if (p.kind, p.component.name) in seen:
            raise P2ptkError(f"it provides the {p.kind} {p.component.name!r} twice")
        seen.add((p.kind, p.component.name))


def has_hooks(module: ModuleType) -> bool:
    """Whether a module has any hook, be it one that gives nothing here."""
    return any(hasattr(module, hooks.hook_name(kind)) for kind in KINDS)


def _check_api(stated: object) -> None:
    if not isinstance(stated, int):
        raise P2ptkError(f"its P2PTK_API must be a number such as {hooks.API}, not {stated!r}")
    if stated != hooks.API:
        upgrade = "p2ptk" if stated > hooks.API else "the plugin"
        raise Incompatible(
            f"it was written for plugin API {stated}, this p2ptk speaks {hooks.API}: "
            f"upgrade {upgrade}"
        )


def _check_hooks(module: ModuleType) -> None:
    """Refuse what pluggy would pass over in silence, or word for its own authors."""
    known = [hooks.hook_name(kind) for kind in KINDS]
    for name, value in vars(module).items():
        if not name.startswith("p2ptk_") or not callable(value):
            continue
        if name not in known:
            raise P2ptkError(f"it has an unknown hook {name!r}: {did_you_mean(name, known)}")
        if not hasattr(value, "p2ptk_impl"):
            raise P2ptkError(f"its hook {name!r} lacks the @hookimpl decorator")
        if inspect.signature(value).parameters:
            raise P2ptkError(f"its hook {name!r} must take no arguments")


def _components(answer: object, hook: str) -> Iterator[Component]:
    """What a hook gave, one by one; a hook written as a generator raises only here."""
    if answer is None:
        raise P2ptkError(f"its hook {hook!r} gave nothing: `yield` or `return` its components")
    if isinstance(answer, Component) or not hasattr(answer, "__iter__"):
        raise P2ptkError(f"its hook {hook!r} must give a list of components, not {answer!r}")
    for component in answer:
        if not isinstance(component, Component):
            raise P2ptkError(f"its hook {hook!r} gave {component!r}, which is no Component")
        yield component


def split_entry(entry: str) -> tuple[str, Path, str]:
    """`[KIND=]FILE.py[:Class]` in its parts; KIND goes with Class. Raises UserError."""
    match = re.fullmatch(r"(?:(\w+)=)?(.+\.py)(?::(\w+))?", entry)
    if not match or bool(match[1]) != bool(match[3]):
        raise UserError(f"a plugin file is written FILE.py or KIND=FILE.py:Class, not {entry!r}.")
    if match[1] and match[1] not in KINDS:
        raise UserError(f"there is no kind {match[1]!r}: {did_you_mean(match[1], KINDS)}")
    return match[1] or "", Path(match[2]).expanduser(), match[3] or ""


def import_file(path: Path) -> ModuleType:
    """A local file as a module. Raises P2ptkError where it can't be imported."""
    name = f"p2ptk_local_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Worker processes unpickle a dataset by its module's name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise P2ptkError(f"{path} can't be imported: {said(error)}") from error
    return module


def said(error: BaseException) -> str:
    """An error in one line: a P2ptkError's own sentence, else its type and message."""
    words = " ".join(str(error).split())
    if not isinstance(error, P2ptkError):
        words = f"{type(error).__name__}: {words}" if words else type(error).__name__
    return words if len(words) <= 300 else words[:297] + "..."
