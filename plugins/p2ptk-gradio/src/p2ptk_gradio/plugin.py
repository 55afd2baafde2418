"""What the plugin provides: names only; the code loads when the command is used."""

from __future__ import annotations

from collections.abc import Iterable

from p2ptk import Component, hookimpl

P2PTK_API = 1


@hookimpl
def p2ptk_commands() -> Iterable[Component]:
    yield Component(
        "serve", "p2ptk_gradio.command:serve", "Try models in the browser, or serve them over HTTP."
    )
