"""`p2ptk run`, `resume`, `translate`, `evaluate`: the real commands, good input and bad."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from p2ptk import cli as command_line
from p2ptk.components import list_components
from p2ptk.plugins import configure

TINY = [
    "--size", "32", "-G", "unet:depth=3,width=4", "-D", "patchgan:layers=1,width=4",
    "--batch-size", "2", "--steps", "4", "--device", "cpu",
]  # fmt: skip


@pytest.fixture
def p2ptk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command line in this process, as main() does; gives click's Result."""

    def call(*arguments: object) -> Result:
        import click

        @click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
        @click.argument("given", nargs=-1, type=click.UNPROCESSED)
        def whole(given: tuple[str, ...]) -> None:
            command_line.main(given)

        return CliRunner().invoke(whole, [str(a) for a in arguments], standalone_mode=False)

    yield call
    configure(enabled=True, files=[])


@pytest.fixture(scope="module")
def trained(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a tiny finished run."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    command = [sys.executable, "-m", "p2ptk", "run", "-d", str(pairs), *TINY, "-o", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "source: A (image, 3 channels, uint8), target: B" in done.stderr
    assert "read as side-by-side" in done.stderr
    assert f"p2ptk translate {folder}" in done.stdout
    return folder


def test_flags_win_over_set_over_config_over_recipe(
    p2ptk: Any, pairs: Path, tmp_path: Path
) -> None:
    config = tmp_path / "mine.toml"
    config.write_text("seed = 1\nsize = 64\n[train]\nlr = 1e-3\nbatch_size = 3\nsteps = 1\n")
    result = p2ptk(
        "run", "-d", pairs, "--config", config, "--set", "train.lr=5e-4", "--set", "seed=2",
        "--seed", "3", *TINY, "--steps", "1", "-L", "+l2:weight=2", "-L", "-gan",
        "-D", "none", "-o", tmp_path / "run",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    table = tomllib.loads((tmp_path / "run" / "run.toml").read_text())
    assert (table["seed"], table["size"]) == (3, [32, 32])
    assert (table["train"]["lr"], table["train"]["batch_size"]) == (5e-4, 2)
    assert [(item["name"], item["weight"]) for item in table["losses"]] == [("l1", 100), ("l2", 2)]
    assert table["discriminator"] == "none"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-G", "unett"], "there is no generator 'unett': did you mean 'unet'?"),
        (["-G", "unet:widht=3"], "did you mean 'width'?"),
        (["--size", "33"], "multiples of 8, and 33 is not: --size 32 would do."),
        (["--size", "36"], "--size 32 would do, or -G unet:depth=2."),
        (["-L", "-l2"], "'l2' is not in the list"),
        (["-L", "+gan"], "give the new one another key"),
        (["--set", "train.lrr=1"], "did you mean 'train.lr'?"),
        (["--set", "train.lr"], "KEY=VALUE"),
        (["--recipe", "pix2pixx"], "did you mean 'pix2pix'?"),
        (["--config", "none.toml"], "no config file"),
        (["--device", "cuda:77"], "not available"),
        (["--precision", "fp16"], "fp16 does not train on a CPU"),
        (["-D", "none"], "the loss 'gan' needs a discriminator"),
        (["--max-time", "soon"], "no duration"),
        (["--resume-if-exists"], "give it with -o"),
        (["--plugin", "none.py"], "no plugin file"),
        (["--init", "none.safetensors"], "none.safetensors"),
        (["--val-size", "20"], "--val-size"),
    ],
)
def test_bad_input_gets_one_sentence(
    p2ptk: Any, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], sentence: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    result = p2ptk("run", "-d", pairs, *TINY, *arguments)
    assert result.exit_code == 2
    assert sentence in result.output
    assert result.output.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: None, "no folder"),
        (lambda p: p.mkdir(), "no images"),
    ],
)
def test_bad_folders(p2ptk: Any, tmp_path: Path, make: Any, sentence: str) -> None:
    make(tmp_path / "data")
    result = p2ptk("run", "-d", tmp_path / "data", *TINY, "-o", tmp_path / "run")
    assert result.exit_code == 2
    assert sentence in result.output
    assert not (tmp_path / "run").exists()


def test_a_broken_pair_is_listed_and_left_out_only_when_asked(
    p2ptk: Any, pairs: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(pairs, data)
    (data / "train" / "03.png").write_bytes(b"no image")
    result = p2ptk("run", "-d", data, *TINY, "-o", tmp_path / "run")
    assert result.exit_code == 2
    assert "03.png" in result.output
    assert "--skip-bad" in result.output
    result = p2ptk("run", "-d", data, *TINY, "--skip-bad", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "03.png" in result.output


def test_dry_run_writes_nothing(
    p2ptk: Any, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = p2ptk("run", "-d", pairs, *TINY, "--dry-run")
    assert result.exit_code == 0
    for word in ("generator: unet", "memory:", "time: 4 steps", "nothing was written"):
        assert word in result.output
    assert list(tmp_path.iterdir()) == []


def test_stop_resume_and_longer(p2ptk: Any, pairs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = p2ptk("run", "-d", pairs, *TINY, "--stop-at", "2", "-o", run)
    assert result.exit_code == 3
    assert f"p2ptk resume {run}" in result.output
    assert p2ptk("run", "-d", pairs, *TINY, "-o", run).exit_code == 2
    assert p2ptk("resume", run).exit_code == 0
    again = p2ptk("run", "-d", pairs, *TINY, "-o", run, "--resume-if-exists", "--json")
    assert again.exit_code == 0
    assert json.loads(again.output.splitlines()[-1])["finished"] is True
    assert p2ptk("resume", run, "--steps", "5").exit_code == 0
    assert p2ptk("resume", tmp_path / "none").exit_code == 2


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT")
def test_ctrl_c_finishes_the_step_and_says_how_to_go_on(pairs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "p2ptk", "run", "-d", str(pairs), *TINY,
               "--steps", "100000", "-o", str(run)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (run / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "Ctrl-C" in said
    assert f"go on with: p2ptk resume {run}" in said
    assert list((run / "checkpoints").glob("*/state.json"))


def test_a_class_in_a_file_is_a_component(p2ptk: Any, pairs: Path, tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text(
        "import torch\n"
        "class Mine(torch.nn.Module):\n"
        "    'One convolution.'\n"
        "    size_multiple = 1\n"
        "    def __init__(self, *, source_channels: int, target_channels: int, width: int = 3):\n"
        "        super().__init__()\n"
        "        self.net = torch.nn.Conv2d(source_channels, target_channels, width,\n"
        "                                   padding=width // 2)\n"
        "    def forward(self, source):\n"
        "        return torch.tanh(self.net(source))\n"
    )
    run = tmp_path / "run"
    result = p2ptk("run", "-d", pairs, *TINY, "-G", f"{net}:Mine:width=5", "-o", run)
    assert result.exit_code == 0, result.output
    assert (run / "plugins" / "net.py").read_text() == net.read_text()
    providers = tomllib.loads((run / "run.toml").read_text())["providers"]
    assert providers["generator/Mine"].startswith("local/net sha256:")
    configure(enabled=True, files=[])
    refused = p2ptk("translate", run, pairs / "val", "--as-is", "-o", tmp_path / "out")
    assert refused.exit_code == 2
    assert "--plugin net.py" in refused.output
    done = p2ptk("translate", run, pairs / "val", "--as-is", "-o", tmp_path / "out",
                 "--plugin", f"generator={net}:Mine")  # fmt: skip
    assert done.exit_code == 0, done.output


def test_translate(p2ptk: Any, trained: Path, pairs: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.new("RGB", (45, 50), "red").save(picture)
    result = p2ptk("translate", trained, picture, "-o", tmp_path / "out", "--compare")
    assert result.exit_code == 0, result.output
    assert Image.open(tmp_path / "out" / "a.png").size == (45, 50)
    assert (tmp_path / "out" / "compare" / "a.png").exists()
    result = p2ptk("translate", trained / "generator.safetensors", "-d", pairs, "--split", "val",
                   "-o", tmp_path / "pairs", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.output.splitlines()[-1])["written"]) == 3


def test_several_samples_of_one_input(p2ptk: Any, pairs: Path, tmp_path: Path) -> None:
    run, picture = tmp_path / "run", tmp_path / "a.png"
    Image.effect_noise((64, 64), 50).convert("RGB").save(picture)
    train = [*TINY, "--size", "64", "-G", "unet:depth=6,width=4", "--set", "train.init_gain=0.5"]
    assert p2ptk("run", "-d", pairs, *train, "-o", run).exit_code == 0
    refused = p2ptk("translate", run, picture, "-o", tmp_path / "out", "--samples", "2")
    assert refused.exit_code == 2
    assert "--noise" in refused.output
    for out in ("one", "two"):
        done = p2ptk("translate", run, picture, "-o", tmp_path / out, "--noise", "--samples", "2")
        assert done.exit_code == 0, done.output
    pictures = [
        (tmp_path / out / f"seed-{seed}" / "a.png").read_bytes()
        for out in ("one", "two")
        for seed in (0, 1)
    ]
    assert pictures[:2] == pictures[2:]
    assert pictures[0] != pictures[1]


def test_a_model_of_shrunken_pictures_says_so(p2ptk: Any, pairs: Path, tmp_path: Path) -> None:
    small = [*TINY, "--size", "16", "--steps", "1"]
    assert p2ptk("run", "-d", pairs, *small, "-o", tmp_path / "run").exit_code == 0
    picture = tmp_path / "a.png"
    Image.new("RGB", (32, 32)).save(picture)
    said = p2ptk("translate", tmp_path / "run", picture, "-o", tmp_path / "out").output
    assert "scaled to 0.5 of their size; --size 16x16" in said
    done = p2ptk("translate", tmp_path / "run", picture, "-o", tmp_path / "o", "--size", "16")
    assert "scaled to" not in done.output
    assert Image.open(tmp_path / "o" / "a.png").size == (16, 16)


def test_translate_refuses_what_looks_like_a_pair(
    p2ptk: Any, trained: Path, pairs: Path, tmp_path: Path
) -> None:
    result = p2ptk("translate", trained, pairs / "val", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "--split val" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: data[:1000], "truncated"),
        (lambda data: b"PK\x03\x04" + data, "p2ptk import"),
        (lambda data: b"hello", "not a safetensors file"),
        (lambda data: b"", "empty"),
    ],
)
def test_bad_model_files(
    p2ptk: Any, trained: Path, tmp_path: Path, change: Any, sentence: str
) -> None:
    model = tmp_path / "model.safetensors"
    model.write_bytes(change((trained / "generator.safetensors").read_bytes()))
    for command in (["translate", model, tmp_path, "-o", tmp_path / "o"], ["show", model]):
        result = p2ptk(*command)
        assert result.exit_code == 2
        assert sentence in result.output


def test_evaluate(p2ptk: Any, trained: Path, pairs: Path) -> None:
    values = []
    for size in (1, 3):
        result = p2ptk("evaluate", trained, "-d", pairs, "--batch-size", size, "--json")
        assert result.exit_code == 0, result.output
        values.append(json.loads(result.output.splitlines()[-1])["metrics"])
    assert set(values[0]) == {"psnr", "ssim", "l1"}
    assert values[0] == pytest.approx(values[1], rel=1e-4)
    missing = p2ptk("evaluate", trained, "-d", pairs, "--split", "test")
    assert missing.exit_code == 2
    assert "no split 'test'" in missing.output


def test_shell_completion_knows_components() -> None:
    from p2ptk.cli.options import ComponentSpec

    kind: Any = ComponentSpec("loss")
    names = [item.value for item in kind.shell_complete(None, None, "+l")]
    assert names == [f"+{p.name}" for p in list_components("loss", "l*")]
    script = subprocess.run(
        [sys.executable, "-m", "p2ptk"],
        env={**os.environ, "_P2PTK_COMPLETE": "bash_source"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "_p2ptk_completion" in script.stdout


@pytest.mark.parametrize("words", [["-v", "run"], ["run", "-v"], ["--debug", "run"]])
def test_a_traceback_comes_only_when_asked_for(p2ptk: Any, words: list[str]) -> None:
    done = p2ptk(*words, "-G", "unett")
    assert done.exit_code == 2
    assert "Traceback" in done.output
    assert "did you mean 'unet'?" in done.output


def test_no_command_is_close_to_a_command(p2ptk: Any) -> None:
    result = p2ptk("rnu")
    assert result.exit_code == 2
    assert "did you mean 'run'?" in result.output
