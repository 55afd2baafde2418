"""The command line: one file a command, each loaded only when it is asked for."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

import p2ptk
from p2ptk.errors import P2ptkError

# Name -> (module, function, summary). The summaries stand here so that --help loads no command.
COMMANDS = {
    "run": ("p2ptk.cli.run", "run", "Train a model on pairs."),
    "resume": ("p2ptk.cli.resume", "resume", "Go on with a run that was stopped."),
    "translate": ("p2ptk.cli.translate", "translate", "Translate images with a trained model."),
    "evaluate": ("p2ptk.cli.evaluate", "evaluate", "Score a model over a split."),
    "report": ("p2ptk.cli.report", "report", "Write a run's report page anew."),
    "components": ("p2ptk.cli.components", "components", "List what there is to choose from."),
    "show": ("p2ptk.cli.show", "show", "Explain a component or a model file."),
    "plugins": ("p2ptk.cli.plugins", "plugins", "List plugins and what became of them."),
    "doctor": ("p2ptk.cli.doctor", "doctor", "Check versions, devices and memory."),
    "import": (
        "p2ptk.cli.import_model",
        "import_model",
        "Take over weights or options of other programs.",
    ),
    "demo": ("p2ptk.cli.demo", "demo", "Learn to paint satellite pictures, in minutes."),
}


class LazyGroup(click.Group):
    """Loads a command's module when it runs; commands of plugins join those above."""

    def list_commands(self, context: click.Context) -> list[str]:
        return [*COMMANDS, *sorted(_plugin_commands())]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS:
            module, attribute, _ = COMMANDS[name]
            command: click.Command = getattr(import_module(module), attribute)
        elif name in _plugin_commands():
            command = _plugin_commands()[name].load()
        else:
            return None
        if not any(p.name == "verbose" for p in command.params):
            command.params += common_options()
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from p2ptk.errors import did_you_mean

        names = self.list_commands(context)
        if args and args[0] not in names and not args[0].startswith("-"):
            raise click.UsageError(f"no command {args[0]!r}: {did_you_mean(args[0], names)}")
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, summary) for name, (*_, summary) in COMMANDS.items()]
        rows += [(name, c.summary) for name, c in sorted(_plugin_commands().items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _plugin_commands() -> dict[str, Any]:
    from p2ptk.plugins import registry

    return {p.name: p.component for p in registry().of_kind("command")}


def common_options() -> list[click.Parameter]:
    """The options that every command takes."""
    return [
        click.Option(
            ["-v", "--verbose", "--debug", "verbose"],
            is_flag=True,
            expose_value=False,
            callback=_set_verbose,
            help="Show tracebacks and more of what happens.",
        ),
        click.Option(
            ["--no-plugins"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_set_plugins,
            help="Use the built-in components alone.",
        ),
    ]


def _set_verbose(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    import logging

    if value:
        context.find_root().obj["verbose"] = True
        logging.getLogger("p2ptk").setLevel(logging.DEBUG)


def _set_plugins(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        from p2ptk.plugins import configure

        configure(enabled=False)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="A first run: p2ptk demo. Your own pairs: p2ptk run -d FOLDER -o runs/mine.",
)
@click.version_option(p2ptk.__version__, "--version", prog_name="p2ptk")
def cli() -> None:
    """p2ptk, the toolkit for paired image-to-image translation."""


cli.params += common_options()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 fault, 2 bad input, 3 stopped, 4 diverged."""
    state: dict[str, Any] = {"verbose": False}
    try:
        code = cli.main(
            args=list(arguments) if arguments is not None else None,
            prog_name="p2ptk",
            obj=state,
            standalone_mode=False,
        )
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except P2ptkError as error:
        if state["verbose"]:
            traceback.print_exc()
        _say(str(error))
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        code = 130
    except BrokenPipeError:  # the reader of our output has gone, as in `p2ptk components | head`
        sys.stderr.close()
        code = 0
    except Exception as error:
        if state["verbose"]:
            traceback.print_exc()
        _say(f"{type(error).__name__}: {error} (-v shows where)")
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _say(sentence: str) -> None:
    from rich.console import Console
    from rich.text import Text

    line = Text.assemble(("error: ", "bold red"), sentence)
    Console(stderr=True, soft_wrap=True).print(line)
