"""The hook reference of docs/plugins.md, made from hooks.py and contracts.py.

python -m p2ptk.scaffold.reference docs/plugins.md     renews it in the page
python -m p2ptk.scaffold.reference                     prints it
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from pathlib import Path

from p2ptk import contracts, hooks
from p2ptk.cli.show_component import USES
from p2ptk.contracts import KINDS, SUPPLIED

BEGIN = "<!-- hooks: written by `python -m p2ptk.scaffold.reference docs/plugins.md` -->"
END = "<!-- hooks: end -->"


def hook_reference() -> str:
    """One section a hook, in Markdown: what it is for, an example, and the contract."""
    return "\n\n".join(_section(kind) for kind in KINDS)


def hook_example(kind: str) -> str:
    """The line of Python that stands in a hook's docstring."""
    return (inspect.getdoc(_hook(kind)) or "").partition("\n\n")[2]


def renewed(page: str) -> str:
    """A page with the text between its two marks replaced by the reference."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{hook_reference()}\n\n{END}{after}"


def _section(kind: str) -> str:
    about = (inspect.getdoc(_hook(kind)) or "").partition("\n\n")[0]
    parts = [f"### `{hooks.hook_name(kind)}`", about, _code(hook_example(kind))]
    supplied = [f"`{name}`" for name in SUPPLIED.get(kind, ())]
    if supplied:
        parts.append(f"It is built with {' and '.join(supplied)} beside its own parameters.")
    contract = getattr(contracts, kind.capitalize(), None)
    if contract is not None:
        parts.append(_code(inspect.getsource(contract).replace("@runtime_checkable\n", "")))
    use = USES[kind].format("unet:encoder=NAME" if kind == "encoder" else "NAME")
    parts.append(f"In use: `{use}`")
    return "\n\n".join(parts)


def _hook(kind: str) -> object:
    return getattr(hooks, hooks.hook_name(kind))


def _code(text: str) -> str:
    return f"```python\n{textwrap.dedent(text).strip()}\n```"


def main(arguments: list[str]) -> None:
    if not arguments:
        print(hook_reference())
    for path in map(Path, arguments):
        path.write_text(renewed(path.read_text("utf-8")), "utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
