"""`p2ptk new-plugin`: write a ready distribution for components of one's own."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from p2ptk.cli.components import Kind, need_kind
from p2ptk.contracts import KINDS


@click.command(
    epilog="""
\b
Examples:
  p2ptk new-plugin p2ptk-oasis                          a generator
  p2ptk new-plugin oasis --kind loss --kind metric      p2ptk-oasis, with two components
  p2ptk new-plugin oasis --kind encoder -o code/oasis   in another folder

docs/plugins.md goes on from here: testing, publishing, versions.
"""
)
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    type=Kind(),
    multiple=True,
    default=("generator",),
    show_default=True,
    metavar="KIND",
    help=f"What it provides: {', '.join(KINDS)}. Repeat it for several.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder to write; by default NAME, here.")  # fmt: skip
def new_plugin(name: str, kinds: Sequence[str], output: Path | None) -> None:
    """Write a plugin NAME: a package with a working component, its test, and all to publish it."""
    from p2ptk.scaffold.names import name_plugin
    from p2ptk.scaffold.write import EXAMPLE, FILES, first_tries, write_plugin

    wanted = {need_kind(kind) for kind in kinds}
    kinds = [kind for kind in KINDS if kind in wanted]
    names = name_plugin(name, kinds)
    folder = write_plugin(names, kinds, output or Path(names.distribution))
    if name != names.distribution:
        click.echo(f"plugins are called p2ptk-...: this one is {names.distribution}")
    click.echo(f"wrote {folder}:")
    package = Path("src", names.package)
    rows = [(package / "plugin.py", "names what there is")]
    for number, kind in enumerate(kinds):
        file = FILES[kind].replace(EXAMPLE.component, names.component)
        rows.append((package / file, f"the {kind}" + ("" if number else ": begin here")))
    rows.append((Path("tests", "test_conformance.py"), "checks that the contract is kept"))
    width = max(len(str(path)) for path, _ in rows)
    for path, what in rows:
        click.echo(f"  {path!s:<{width}}  {what}")
    click.echo("next:")
    project = folder.as_posix() if folder.is_absolute() else f"./{folder.as_posix()}"
    click.echo(f"  pip install -e {shlex.quote(f'{project}[test]')}")
    click.echo(f"  pytest {shlex.quote(folder.as_posix())}")
    click.echo(f"  {first_tries(names, kinds)[0]}")
