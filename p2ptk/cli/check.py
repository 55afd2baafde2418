"""`p2ptk check`: does a plugin, or one component, keep its contract?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from p2ptk.cli.components import Kind, kind_of, kinds_with, load_local, local_plugins, need_kind
from p2ptk.cli.options import local_class
from p2ptk.cli.show import ComponentName
from p2ptk.errors import UserError, did_you_mean
from p2ptk.specs import Spec
from p2ptk.testing.project import Plugin, installed, project

if TYPE_CHECKING:
    from p2ptk.loading import Provided
    from p2ptk.testing.outcomes import Result

Tell = Callable[[str], None]


@click.command(
    epilog="""
\b
Examples:
  p2ptk check .                          the plugin whose project folder this is
  p2ptk check p2ptk-timm                 an installed plugin, all its components
  p2ptk check generator unet:width=8     one component, with these parameters
  p2ptk check mynet.py                   a local file of hooks
  p2ptk check generator mynet.py:Mine    one class of a file
\b
What components of a project are checked with can be said in its pyproject.toml:
  [tool.p2ptk]
  check = ["generator oasis:width=8", "dataset lmdb:path=tests/pairs.lmdb"]
"""
)
@click.argument("what", metavar="{NAME | KIND NAME | PATH}", type=Kind())
@click.argument("name", metavar="", required=False, type=ComponentName())
@click.option("--kind", type=Kind(), help="Check components of this kind alone.")
@local_plugins
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_context
def check(
    context: click.Context,
    what: str,
    name: str | None,
    kind: str | None,
    files: Sequence[str],
    as_json: bool,
) -> None:
    """Check whether a plugin, or one component, keeps the contract of its kind.

    NAME is an installed plugin or a component, PATH a plugin's project folder or a FILE.py. Each
    check that fails says what to change; then the exit code is 1. With -v all checks are listed.
    """
    from p2ptk.testing.report import as_plain, passed, show

    only = need_kind(kind) if kind else None
    if name is not None:
        only = need_kind(what)
        name, entry = local_class(name, only)
        files = [*files, entry] if entry else files
    load_local(files)
    with progress(quiet=as_json) as tell:
        if name is not None and only:
            results = check_component(only, name, tell)
        elif _is_path(what):
            results = check_path(Path(what).expanduser(), only, tell)
        else:
            results = check_name(what, only, tell)
    if as_json:
        click.echo(json.dumps(as_plain(results), indent=1, ensure_ascii=False))
    else:
        verbose = bool((context.find_root().obj or {}).get("verbose"))
        show(results, everything=verbose or len({(r.kind, r.component) for r in results}) == 1)
    context.exit(0 if passed(results) else 1)


def check_component(kind: str, text: str, tell: Tell) -> list[Result]:
    """One component by its kind and spec."""
    from p2ptk.testing.common import run_all
    from p2ptk.testing.subject import Subject

    subject = Subject(kind, text)
    return run_all(subject, begin=lambda each: tell(f"{subject.label}: {each}"))


def check_path(path: Path, kind: str | None, tell: Tell) -> list[Result]:
    """A plugin's project folder, or a file of hooks. Raises UserError where it is neither."""
    from p2ptk.plugins import registry

    if path.suffix == ".py":
        load_local([str(path)])
        found = [s for s in registry().plugins if s.file == path]
        return [r for p in found[0].provides for r in _one(p, None, kind, tell)]
    if not path.is_dir():
        raise UserError(
            f"there is no folder {str(path)!r}, and no plugin or component of that name."
        )
    with project(path) as plugin:
        return check_plugin(plugin, kind, tell)


def check_name(name: str, kind: str | None, tell: Tell) -> list[Result]:
    """An installed plugin, or a component of whatever kind has it.

    Raises UserError for an unknown name, or one that several kinds have.
    """
    plugin = installed(name)
    if plugin is not None:
        return check_plugin(plugin, kind, tell)
    if kind_of(name):
        raise UserError(f"{name!r} is a kind: type `p2ptk check {kind_of(name)} NAME`.")
    spec = Spec.parse(name)
    kinds = [kind] if kind else kinds_with(spec.name)
    if not kinds:
        raise UserError(f"there is no plugin, and no component, {spec.name!r}: {_near(spec.name)}")
    if len(kinds) > 1:
        which = " and ".join(f"{'an' if k[0] in 'aeiou' else 'a'} {k}" for k in kinds)
        commands = " or ".join(f"`p2ptk check {k} {name}`" for k in kinds)
        raise UserError(f"{spec.name!r} is {which}; type {commands}.")
    return check_component(kinds[0], name, tell)


def check_plugin(plugin: Plugin, kind: str | None, tell: Tell) -> list[Result]:
    """The plugin itself and its components; with a kind, its components of that kind alone."""
    from p2ptk.testing.common import run_all

    results: list[Result] = []
    if kind is None:
        results += run_all(plugin, begin=lambda each: tell(f"{plugin.label}: {each}"))
    for provided in plugin.provides:
        results += _one(provided, plugin.spec_of(provided), kind, tell)
    if not results:
        raise UserError(f"{plugin.label} provides no {kind}.")
    return results


def _one(provided: Provided, spec: Spec | None, kind: str | None, tell: Tell) -> list[Result]:
    """One of a plugin's components. One that can't be checked with its defaults is passed over."""
    from p2ptk.testing.common import run_all
    from p2ptk.testing.outcomes import Result
    from p2ptk.testing.subject import Subject

    if kind not in (None, provided.kind):
        return []
    spec = spec or Spec(provided.qualified)
    subject = Subject(provided.kind, spec)
    missing = subject.missing()
    host = None if missing or subject.given else subject.fetches()
    why = f"it has no default for {missing[0]!r}" if missing else f"its defaults ask {host}"
    if missing or host:
        sentence = (
            f"not checked, since {why}: type `p2ptk check {provided.kind} {spec}:KEY=VALUE`, or "
            "name its parameters in [tool.p2ptk] check."
        )
        return [Result(provided.kind, subject.label, "parameters", "skipped", sentence)]
    return run_all(subject, begin=lambda each: tell(f"{subject.label}: {each}"))


def _is_path(word: str) -> bool:
    """Whether a word is a path: it looks like one, or is a folder's, and is nobody's name."""
    if installed(word) or kinds_with(word.partition(":")[0]):  # `lmdb:path=/data` is a spec
        return False
    return bool(re.search(r"[/\\]|\.py$", word)) or Path(word).is_dir()


def _near(name: str) -> str:
    from p2ptk.components import list_components
    from p2ptk.plugins import registry

    names = [p.name for p in list_components()] + [s.distribution for s in registry().plugins]
    return did_you_mean(name, names)


@contextmanager
def progress(quiet: bool) -> Iterator[Tell]:
    """A line on a terminal's standard error that says what is being checked."""
    from rich.console import Console

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda words: None
        return
    with console.status("") as line:

        def tell(words: Any) -> None:
            line.update(f"[dim]{words}[/dim]")

        yield tell
