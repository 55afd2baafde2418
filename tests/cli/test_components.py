from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from p2ptk.cli import cli
from p2ptk.cli.components import PLURALS, kind_of
from p2ptk.components import list_components
from p2ptk.contracts import KINDS

Command = Callable[..., Any]


def test_lists_every_kind_that_has_something(command: Command) -> None:
    done = command("components", "--no-plugins")
    assert done.code == 0
    lines = [line.rstrip() for line in done.out.splitlines()]
    headings = [line for line in lines if line and not line.startswith(" ")]
    assert headings == [
        "generators",
        "encoders",
        "discriminators",
        "losses",
        "datasets",
        "augmentations",
        "metrics",
        "launchers",
        "trackers",
        "recipes",
    ]
    unet = next(line for line in lines if line.startswith("  unet "))
    assert " ".join(unet.split()) == "unet encoder and decoder with skips p2ptk 0.1.0"
    assert len([line for line in lines if line.startswith("  ")]) == len(list_components())


@pytest.mark.parametrize("word", ["loss", "losses"])
def test_one_kind_in_singular_and_plural(command: Command, word: str) -> None:
    names = [row["name"] for row in command("components", word, "--json").json]
    assert {"gan", "l1", "l2", "charbonnier"} <= set(names)
    assert names == sorted(names)
    assert command("components", word).words.startswith("losses charbonnier a smooth L1")


def test_plurals_are_those_of_the_hooks() -> None:
    assert set(PLURALS.values()) == set(KINDS)
    assert PLURALS["losses"] == "loss"
    assert kind_of("metrics") == kind_of("metric") == "metric"
    assert kind_of("unet") is None


def test_globs(command: Command) -> None:
    assert [r["name"] for r in command("components", "losses", "l?", "--json").json] == ["l1", "l2"]
    everywhere = command("components", "l1*", "--json").json
    assert [(r["kind"], r["name"]) for r in everywhere] == [("loss", "l1"), ("metric", "l1")]
    done = command("components", "generators", "nothing*")
    assert (done.code, done.out) == (0, "no generator is called 'nothing*'\n")
    assert command("components", "commands").out == "no command here\n"


def test_json_says_where_each_comes_from(command: Command) -> None:
    (row,) = command("components", "generator", "unet", "--json").json
    assert row == {
        "kind": "generator",
        "name": "unet",
        "summary": "encoder and decoder with skips",
        "paper": "Isola et al., CVPR 2017, arXiv 1611.07004",
        "distribution": "p2ptk",
        "version": "0.1.0",
    }


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("lossess", "there is no kind 'lossess': did you mean 'losses'?"),
        ("generatr", "did you mean 'generator'?"),
        ("xyz", "choose from augmentation, command, dataset,"),
        ("resnet", "'resnet' is a generator; type `p2ptk show generator resnet`."),
        ("l1", "'l1' is a loss and a metric; type `p2ptk show loss l1` or `p2ptk show metric l1`."),
    ],
)
def test_an_unknown_kind_is_explained(command: Command, word: str, sentence: str) -> None:
    done = command("components", word)
    assert done.code == 2
    assert sentence in done.err
    assert done.out == ""


@pytest.mark.usefixtures("two_plugins")
def test_plugins_stand_beside_the_built_in(
    command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    done = command("components", "generators")
    rows = {line.split()[0]: line.rstrip() for line in done.out.splitlines()[1:]}
    assert rows["oasis"].endswith("p2ptk-good 1.2")
    assert "OASIS [Sushko 2021]" in rows["oasis"]  # no markup is read into a summary
    assert rows["unet"].endswith("p2ptk 0.1.0")
    assert rows["p2ptk-good/unet"].endswith("p2ptk-good 1.2")
    assert "plugin p2ptk-bad 0.3 did not load" in caplog.text
    assert "launchers" in command("components").out
    assert "oasis" not in command("components", "--no-plugins").out


def test_a_local_file_shows_its_components(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "class Net:\n    def __init__(self, *, source_channels, target_channels): ...\n"
    )
    done = command("components", "generators", "--plugin", f"generator={file}:Net")
    line = next(x for x in done.out.splitlines() if x.split()[:1] == ["Net"])
    assert "local/mine sha256:" in line
    assert len(line.split()[-1]) == 15


def test_the_runner_of_click_works_too() -> None:
    result = CliRunner().invoke(cli, ["components", "recipes", "--json"], obj={"verbose": False})
    assert result.exit_code == 0
    assert '"pix2pix-paper"' in result.output


def test_the_shell_completes_kinds() -> None:
    from click.shell_completion import ShellComplete

    completion = ShellComplete(cli, {"obj": {"verbose": False}}, "p2ptk", "_P2PTK_COMPLETE")
    assert [c.value for c in completion.get_completions(["components"], "di")] == ["discriminator"]
    assert "unet" in [c.value for c in completion.get_completions(["show", "generators"], "u")]
