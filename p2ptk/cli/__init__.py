"""The command line: one file a command, each loaded only when it is asked for."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

import p2ptk
from p2ptk.errors import Elsewhere, P2ptkError

if TYPE_CHECKING:
    from p2ptk.plugins import Provided

# Name -> (module, function, summary). The summaries stand here so that --help loads no command.
COMMANDS = {
    "run": ("p2ptk.cli.run", "run", "Train a model on pairs."),
    "resume": ("p2ptk.cli.resume", "resume", "Go on with a run that was stopped."),
    "translate": ("p2ptk.cli.translate", "translate", "Translate images with a trained model."),
    "evaluate": ("p2ptk.cli.evaluate", "evaluate", "Score a model over a split."),
    "train-scorer": (
        "p2ptk.cli.train_scorer",
        "train_scorer",
        "Train a segmenter for the metric fcn-score.",
    ),
    "study": ("p2ptk.cli.study", "study", "Compare designs over several seeds: an ablation study."),
    "ablate": ("p2ptk.cli.study_run", "ablate", "Short for `p2ptk study run`."),
    "report": ("p2ptk.cli.report", "report", "Write the report of a run or study anew."),
    "compare": ("p2ptk.cli.compare", "compare", "Set runs side by side, paired by seed."),
    "watch": ("p2ptk.cli.watch", "watch", "Show a run's curves and samples as it goes on."),
    "data": ("p2ptk.cli.data", "data", "Look at pairs before training, and put them in order."),
    "components": ("p2ptk.cli.components", "components", "List what there is to choose from."),
    "show": ("p2ptk.cli.show", "show", "Explain a component or a model file."),
    "plugins": ("p2ptk.cli.plugins", "plugins", "List plugins and what became of them."),
    "new-plugin": (
        "p2ptk.cli.new_plugin",
        "new_plugin",
        "Write a plugin of your own, ready to publish.",
    ),
    "cache": ("p2ptk.cli.cache", "cache", "List or clear the decoded pairs that are kept."),
    "check": ("p2ptk.cli.check", "check", "Check whether a plugin keeps its contracts."),
    "doctor": ("p2ptk.cli.doctor", "doctor", "Check versions, devices and memory."),
    "bench": ("p2ptk.cli.bench", "bench", "Measure training speed beside the plain loop."),
    "import": (
        "p2ptk.cli.import_model",
        "import_model",
        "Take over weights or options of other programs.",
    ),
    "export": ("p2ptk.cli.export", "export", "Write a model as ONNX, torch.export or a web page."),
    "card": ("p2ptk.cli.card", "card", "Write a model's card, README.md, beside it."),
    "push": ("p2ptk.cli.hub", "push", "Put a model and its card on a hub."),
    "pull": ("p2ptk.cli.hub", "pull", "Fetch a model from a hub."),
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
            command = _load(_plugin_commands()[name])
        else:
            return None
        if not any(p.name == "verbose" for p in command.params):
            command.params += common_options()
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # Plugins load after the command's own options are read: -v and --no-plugins may be there.
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            _need_command(args[0], self.list_commands(context))
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, summary) for name, (*_, summary) in COMMANDS.items()]
        rows += [(name, p.component.summary) for name, p in sorted(_plugin_commands().items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _plugin_commands() -> dict[str, Provided]:
    """Plugins' commands by what to type: `distribution/name` where the name alone is taken."""
    from p2ptk.plugins import registry

    found = registry().of_kind("command")
    return {p.qualified if p.component.name in COMMANDS else p.name: p for p in found}


def _need_command(name: str, known: Sequence[str]) -> None:
    """Raises UsageError or UserError for a command that is not there, or that two plugins have."""
    if name in known:
        return
    if any(name == p.component.name for p in _plugin_commands().values()):
        from p2ptk.components import find

        find("command", name)
    from p2ptk.missing import unknown

    raise click.UsageError(unknown("command", name, known))


def _load(provided: Provided) -> click.Command:
    """A plugin's command. Raises P2ptkError where the plugin's code is at fault."""
    command = provided.load()
    if not isinstance(command, click.Command):
        name = provided.component.name
        raise P2ptkError(
            f"the command {name!r} of {provided.provider} is no click command, but {command!r}."
        )
    return command


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
        # Without a handler nothing below a warning would show.
        logging.basicConfig(format="%(message)s")
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
    given = list(arguments) if arguments is not None else sys.argv[1:]
    state: dict[str, Any] = {"verbose": False, "arguments": given}
    try:
        code = cli.main(
            args=given,
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
        if not isinstance(error, Elsewhere):
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
