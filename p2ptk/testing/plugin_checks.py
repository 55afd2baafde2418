"""Checks of a plugin as a whole: what it costs to list it, and how it is published."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from p2ptk.hooks import API
from p2ptk.plugins import BUILT_IN, normal_name, registry
from p2ptk.testing.common import check
from p2ptk.testing.fresh import import_alone
from p2ptk.testing.outcomes import Failed, Skipped, Warned
from p2ptk.testing.project import KIND, Plugin

PREFIX, KEYWORD = "p2ptk-", "p2ptk-plugin"
SLOW = 0.5  # seconds that importing the hooks may take


@check(KIND, essential=True)
def entry_point(plugin: Plugin) -> str:
    """An entry point of the group p2ptk names the module of hooks."""
    if not plugin.modules:
        example = f'{plugin.label.removeprefix(PREFIX)} = "{_package(plugin)}.plugin"'
        raise Failed(
            f"{plugin.label} has no entry point of the group p2ptk: add "
            f"[project.entry-points.p2ptk] with {example} to pyproject.toml."
        )
    return ", ".join(plugin.modules)


@check(KIND, essential=True)
def loads(plugin: Plugin) -> str:
    """Its hooks are decorated and give components."""
    status = plugin.status
    assert status is not None
    if status.status == "disabled":
        raise Failed(f"{plugin.label} was not loaded: {status.reason}.")
    if status.reason:
        raise Failed(f"{plugin.label} does not load: {status.reason}.")
    if not status.provides:
        raise Failed(f"{plugin.label} provides nothing: have a hook yield a Component.")
    return f"{len(status.provides)} components."


@check(KIND)
def light(plugin: Plugin) -> str:
    """Importing its hooks loads no torch, and takes no time."""
    seconds = 0.0
    for module in plugin.modules:
        done = import_alone(module, plugin.modules, torch_first=False)
        if done.error:
            raise Failed(f"importing {module} in a fresh process fails: {done.error}.")
        if done.torch:
            raise Failed(
                f"importing {module} loads torch, which every p2ptk command would wait for: keep "
                "hooks in a module of their own, and write targets as text, 'package.module:Name'."
            )
        seconds += done.seconds
    if seconds > SLOW:
        raise Warned(
            f"importing the hooks of {plugin.label} takes {seconds:.2f} s, for which every p2ptk "
            "command waits: keep their imports light."
        )
    return f"{seconds:.2f} s."


@check(KIND)
def empty_init(plugin: Plugin) -> None:
    """The `__init__.py` of its package imports nothing."""
    if plugin.label == BUILT_IN:
        raise Skipped("p2ptk itself, whose names load when they are first used.")
    for module in plugin.modules:
        package = module.partition(".")[0]
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.origin or not spec.submodule_search_locations:
            continue
        tree = ast.parse(Path(spec.origin).read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import) or (
                isinstance(node, ast.ImportFrom) and node.module != "__future__"
            ):
                raise Failed(
                    f"{package}/__init__.py imports in line {node.lineno}, and runs whenever the "
                    "hooks are listed: leave it empty."
                )


@check(KIND)
def states_api(plugin: Plugin) -> None:
    """Its module of hooks says which plugin contract it was written for."""
    for module in plugin.modules:
        if not hasattr(importlib.import_module(module), "P2PTK_API"):
            raise Failed(
                f"{module} does not say which contract it was written for: write P2PTK_API = {API} "
                "below its imports."
            )


@check(KIND)
def lazy_targets(plugin: Plugin) -> None:
    """Targets are text, so that listing components imports none of them."""
    for provided in plugin.provides:
        target = provided.component.target
        if not isinstance(target, str):
            name = getattr(target, "__name__", "Name")
            module = getattr(target, "__module__", "package.module")
            raise Failed(
                f"the {provided.kind} {provided.component.name!r} has a class as its target: write "
                f"it as text, target='{module}:{name}'."
            )


@check(KIND)
def own_names(plugin: Plugin) -> None:
    """No component has the name of a built-in, which would need its distribution's name as well."""
    for provided in plugin.provides:
        if plugin.label != BUILT_IN and provided.component.name in _built_in(provided.kind):
            raise Warned(
                f"the {provided.kind} {provided.component.name!r} has the name of a built-in, so "
                f"people must type {provided.qualified!r}: give it another name."
            )


@check(KIND)
def published_name(plugin: Plugin) -> None:
    """Its distribution's name begins with p2ptk-, and it has the keyword p2ptk-plugin."""
    if plugin.label == BUILT_IN:
        raise Skipped("p2ptk itself.")
    if not normal_name(plugin.label).startswith(PREFIX):
        raise Warned(
            f"{plugin.label} does not begin with {PREFIX!r}, by which people find plugins."
        )
    if KEYWORD not in plugin.keywords:
        raise Warned(f"{plugin.label} lacks the keyword {KEYWORD!r}, by which people find plugins.")


@check(KIND)
def requires_p2ptk(plugin: Plugin) -> None:
    """Its dependencies name the p2ptk that it needs."""
    if plugin.label == BUILT_IN:
        raise Skipped("p2ptk itself.")
    for text in plugin.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if normal_name(requirement.name) == BUILT_IN:
            if not requirement.specifier:
                raise Warned(
                    f"{plugin.label} depends on any p2ptk: write the oldest that it works with, "
                    "'p2ptk>=0.1'."
                )
            return
    raise Failed(f"{plugin.label} does not depend on p2ptk: add 'p2ptk>=0.1' to its dependencies.")


def _built_in(kind: str) -> set[str]:
    return {p.component.name for p in registry().of_kind(kind) if p.distribution == BUILT_IN}


def _package(plugin: Plugin) -> str:
    return plugin.label.replace("-", "_")
