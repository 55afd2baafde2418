"""A plugin under check: an installed distribution, or a project's folder that is not installed."""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from p2ptk.errors import UserError
from p2ptk.loading import Provided
from p2ptk.plugins import GROUP, Status, normal_name, registry
from p2ptk.specs import Spec

KIND = "plugin"  # of the checks of a whole plugin, beside the kinds of components


@dataclass
class Plugin:
    """A distribution and what is known of it.

    modules: those that its entry points name. specs: what `[tool.p2ptk] check` gives to check its
    components with, by kind and name. root: the project's folder, None for an installed one.
    """

    label: str
    version: str
    modules: tuple[str, ...]
    keywords: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    specs: Mapping[tuple[str, str], Spec] = field(default_factory=dict)
    root: Path | None = None
    status: Status | None = None
    kind: str = KIND

    @property
    def name(self) -> str:
        return self.label

    @property
    def provides(self) -> list[Provided]:
        return self.status.provides if self.status else []

    def spec_of(self, provided: Provided) -> Spec:
        """What a component of it is checked with."""
        known = registry().of_kind(provided.kind)
        name = next(p.name for p in known if p.qualified == provided.qualified)
        given = self.specs.get((provided.kind, provided.component.name))
        return Spec(name, given.params if given else {})


def installed(name: str) -> Plugin | None:
    """An installed plugin by its distribution's name; None where there is none."""
    status = next((s for s in registry().plugins if s.distribution == normal_name(name)), None)
    if status is None:
        return None
    try:
        found = metadata.distribution(status.distribution)
    except metadata.PackageNotFoundError:  # a local file
        return Plugin(status.distribution, status.version, (), status=status)
    points = [p.module for p in found.entry_points if p.group == GROUP]
    keywords = (found.metadata["Keywords"] or "").replace(",", " ").split()
    return Plugin(
        status.distribution,
        status.version,
        tuple(points),
        tuple(keywords),
        tuple(found.requires or ()),
        status=status,
    )


@contextmanager
def project(folder: Path) -> Iterator[Plugin]:
    """A plugin's project folder, loaded from its sources in place of an installed version.

    Raises UserError where the folder holds no Python project.
    """
    plugin = _read(folder)
    # Relative paths in its specs mean the project's own files.
    with chdir(folder):
        yield _loaded(plugin)


def _read(folder: Path) -> Plugin:
    file = folder / "pyproject.toml"
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{folder} holds no pyproject.toml: give a plugin's project folder, or a FILE.py."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{file} can't be read as TOML: {error}.") from None
    about: dict[str, Any] = table.get("project", {})
    if not isinstance(about.get("name"), str):
        raise UserError(f"{file} names no project: [project] name = 'p2ptk-...'.")
    points = about.get("entry-points", {}).get(GROUP, {})
    listed = table.get("tool", {}).get("p2ptk", {}).get("check", [])
    return Plugin(
        normal_name(about["name"]),
        str(about.get("version", "0")),
        tuple(str(point).partition(":")[0] for point in points.values()),
        tuple(about.get("keywords", ())),
        tuple(about.get("dependencies", ())),
        _specs(listed, file),
        folder.resolve(),
    )


def _specs(listed: Any, file: Path) -> dict[tuple[str, str], Spec]:
    """`check = ["generator oasis:width=8"]` of `[tool.p2ptk]`."""
    found = {}
    for line in listed:
        kind, _, text = str(line).partition(" ")
        if not text.strip():
            raise UserError(f"{file}: [tool.p2ptk] check lists 'KIND SPEC', not {line!r}.")
        spec = Spec.parse(text.strip())
        found[kind, spec.name] = spec
    return found


def _loaded(plugin: Plugin) -> Plugin:
    """The plugin with its hooks called, in the registry."""
    assert plugin.root is not None
    for place in (plugin.root, plugin.root / "src"):
        if place.is_dir():
            sys.path.insert(0, str(place))
    importlib.invalidate_caches()
    known = registry()
    known.plugins = [s for s in known.plugins if s.distribution != plugin.label]
    if plugin.modules:
        plugin.status = known.add(
            plugin.label,
            plugin.version,
            lambda: [importlib.import_module(module) for module in plugin.modules],
        )
    return plugin
