"""What to say of a component that is not here: its nearest name, or the plugin to install."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from p2ptk.errors import UserError, did_you_mean
from p2ptk.specs import Spec


@dataclass(frozen=True)
class Listed:
    """A plugin of the directory: names by kind."""

    distribution: str
    summary: str
    components: Mapping[str, tuple[str, ...]]


def installed(distribution: str) -> bool:
    """Whether a distribution of that name is installed; a text that is no name is none."""
    try:
        metadata.version(distribution)
    except (metadata.PackageNotFoundError, ValueError):
        return False
    return True


@lru_cache(maxsize=1)
def directory() -> tuple[Listed, ...]:
    """The plugins that this release knows of, installed or not: `docs/plugin-directory.json`."""
    here = Path(__file__).parent
    shipped, checkout = here / "plugin-directory.json", here.parent / "docs"
    path = shipped if shipped.is_file() else checkout / shipped.name
    return tuple(
        Listed(
            row["distribution"], row["summary"], {k: (*v,) for k, v in row["components"].items()}
        )
        for row in json.loads(path.read_text("utf-8"))
    )


def unknown(kind: str, name: str, choices: Iterable[str]) -> str:
    """The sentences about a name that no component here has.

    choices: the names that there are. A plugin of the directory that has it comes first, then the
    nearest name, then the plugins that did not load, since it may have been one of theirs.
    """
    start = f"there is no {kind} {name!r}:"
    plugin = _home(kind, name)
    if plugin:
        return f"{start} {_how_to_get(plugin)}"
    near = did_you_mean(name, choices)
    if not near.startswith("did you mean"):
        elsewhere = {n: p for p in directory() for n in p.components.get(kind, ())}
        for listed in difflib.get_close_matches(name, elsewhere, n=1):
            advice = _how_to_get(elsewhere[listed])
            return f"{start} did you mean {listed!r}? {advice[0].upper()}{advice[1:]}"
    return f"{start} {near}{_not_loaded()}"


def _home(kind: str, name: str) -> Listed | None:
    """The directory's plugin that has a component, named with or without its distribution."""
    distribution, _, bare = name.rpartition("/")
    for plugin in directory():
        if bare in plugin.components.get(kind, ()) and distribution in ("", plugin.distribution):
            return plugin
    return None


def _how_to_get(plugin: Listed) -> str:
    """What to do about a component of a listed plugin, by what that plugin is here."""
    from p2ptk.plugins import registry

    name = plugin.distribution
    status = next((s for s in registry().plugins if s.distribution == name), None)
    if status is None:
        return f"the plugin {name} provides it; install it with: pip install {name}"
    if status.status == "active":
        return (
            f"the plugin {name} provides it, but not in the version {status.version} that is here; "
            f"upgrade it with: pip install --upgrade {name}"
        )
    state = "is switched off" if status.status == "disabled" else "did not load"
    return (
        f"the plugin {name} provides it, but {state}: {status.reason.removeprefix('disabled: ')}."
    )


def _not_loaded() -> str:
    """The plugins that are installed and not in use, as further sentences."""
    from p2ptk.plugins import registry

    sentences = ""
    idle = [s for s in registry().plugins if s.status != "active"]
    failed = [f"{s.distribution} ({s.reason})" for s in idle if s.status != "disabled"]
    if failed:
        sentences += f" Plugins that did not load: {'; '.join(failed)}."
    disabled = [s for s in idle if s.status == "disabled"]
    if disabled:
        why = disabled[0].reason.removeprefix("disabled: ")
        sentences += (
            f" Plugins switched off: {', '.join(s.distribution for s in disabled)} ({why})."
        )
    return sentences


def need_providers(spec: Spec, providers: Mapping[str, str], whose: str) -> None:
    """Refuse a recorded spec whose components came from plugins that are not installed here.

    providers: distribution and version by `kind/name`, as a run or a model file records them.
    Raises UserError naming what to install.
    """
    from p2ptk.weights import missing_providers

    names = _names(spec)
    wanted = {k: v for k, v in providers.items() if k.partition("/")[2] in names}
    missing = missing_providers(wanted)
    if missing:
        raise UserError(f"{whose} needs {' and '.join(missing)}.")


def _names(spec: Spec) -> set[str]:
    """The names in a spec: its own, and what may be that of a nested one."""
    found = {spec.name}
    for value in spec.params.values():
        found |= _names(value) if isinstance(value, Spec) else {str(value)}
    return found
