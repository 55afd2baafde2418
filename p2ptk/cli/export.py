"""`p2ptk export`: a model for programs without p2ptk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from p2ptk.export.model import Exported


@click.command(
    epilog="""
\b
Examples:
  p2ptk export runs/facades --format onnx -o facades.onnx
  p2ptk export runs/facades --format onnx -o facades.onnx --half --size 512x768
  p2ptk export generator.safetensors --format torch -o facades.pt2 --check photos/
  p2ptk export runs/facades --format web --half -o page/

The file takes pictures N C H W, float32 in 0..1, and gives such; labels are class numbers.
"""
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--format", "format_", required=True, type=click.Choice(["onnx", "torch", "web"]),
              help="ONNX, a torch.export program, or a page that runs in the browser.")  # fmt: skip
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path),
              help="File; for web, a folder that is not there yet.")  # fmt: skip
@click.option("--half", is_flag=True, help="Keep weights as float16: half the size.")
@click.option("--size", metavar="N", help="Fix the size: N, or HEIGHTxWIDTH.  [default: any]")
@click.option("--opset", type=click.IntRange(min=18), help="Of ONNX's operators.  [default: 20]")
@click.option("--noise", type=click.Choice(["auto", "off", "seed"]), default="auto",
              show_default=True, help="Dropout's noise: left out, or made of an input `seed`. auto "
              "follows the model's rule.")  # fmt: skip
@click.option("--check", type=click.Path(path_type=Path), multiple=True, metavar="PATH",
              help="Compare on these images; default: the run's validation pairs.")  # fmt: skip
@click.option("--runtime", type=click.Path(path_type=Path), metavar="FOLDER",
              help="With web: an unpacked onnxruntime-web package.")  # fmt: skip
@click.option("--plugin", "files", metavar="FILE.py", multiple=True, help="Load a local plugin.")
@click.option("--json", "as_json", is_flag=True, help="Print the file's facts as JSON.")
def export(
    model: Path,
    format_: Any,
    output: Path,
    half: bool,
    size: str | None,
    opset: int | None,
    noise: Any,
    check: Sequence[Path],
    runtime: Path | None,
    files: Sequence[str],
    as_json: bool,
) -> None:
    """Write MODEL (a run folder or one .safetensors) in a form that needs no p2ptk.

    What was written is compared with PyTorch first; where they differ, nothing is written.
    """
    from p2ptk.cli.options import read_size
    from p2ptk.errors import UserError
    from p2ptk.export.model import export_model
    from p2ptk.plugins import configure

    if files:
        configure(files=files)
    if opset and format_ == "torch":
        raise UserError("--opset goes with --format onnx or web.")
    if runtime and format_ != "web":
        raise UserError("--runtime goes with --format web.")
    options = {
        "half": half,
        "size": read_size(size),
        "noise": noise,
        "check": tuple(check),
        **({"opset": opset} if opset else {}),
    }
    if format_ == "web":
        done = _web(model, output, runtime, options)
    else:
        done = export_model(model, output, format_, **options)
    if as_json:
        from p2ptk.export.check import facts_of

        click.echo(json.dumps({"path": str(done.path), **done.facts, **facts_of(done.checked)}))
        return
    for line in _lines(done, format_):
        click.echo(line)


def _web(model: Path, output: Path, runtime: Path | None, options: dict[str, Any]) -> Exported:
    """Through ONNX; the page is the work of the command `export-web` of the plugin p2ptk-web."""
    import tempfile
    from dataclasses import replace

    from p2ptk.components import find
    from p2ptk.errors import UserError
    from p2ptk.export.model import export_model

    if output.exists():
        raise UserError(f"{output} is there already: name a folder that is not.")
    command: Any = find("command", "export-web").load()
    with tempfile.TemporaryDirectory() as folder:
        done = export_model(model, Path(folder) / "model.onnx", "onnx", **options)
        command.callback(model=done.path, output=output, runtime=runtime)
    return replace(done, path=output)


def _lines(done: Exported, format_: str) -> list[str]:
    from p2ptk.export.check import words

    facts, path = done.facts, done.path
    size = sum(p.stat().st_size for p in path.rglob("*")) if path.is_dir() else path.stat().st_size
    made = {"onnx": f"ONNX opset {facts.get('opset')}", "torch": f"torch {facts.get('torch')}"}
    down, across = facts["multiple"]
    taken = f"H and W any multiples of {down}" if down == across else f"H of {down}, W of {across}"
    if facts["any_size"] and (down, across) == (1, 1):
        taken = "any H and W"
    if not facts["any_size"]:
        taken = "{}x{}".format(*facts["size"])
    count = "any number" if facts["any_batch"] else "one at a time"
    norm = {"running": "running statistics", "image": "each picture's own statistics"}
    noise = "noise by the input `seed`, int64 [1]" if facts["seed"] else "no noise"
    against = "PyTorch's own program" if format_ == "torch" else "onnxruntime"
    lines = [
        f"{path} ({size / 2**20:.1f} MiB), {made.get(format_, 'a page for the browser')}"
        + (", weights in float16" if facts["half"] else ""),
        f"input   source: {_picture(facts['source'])}; {taken}; {count}",
        f"output  image: {_picture(facts['image'])}",
        f"rule    batch norm by {norm[facts['norm']]}; {noise}",
        *(f"note: {note}" for note in done.notes),
        words(done.checked, against),
    ]
    if format_ == "web":
        lines.append(f"look at it: python -m http.server -d {path}")
    return lines


def _picture(side: dict[str, Any]) -> str:
    if side["kind"] == "labels":
        return f"N 1 H W {side['dtype']}, class numbers below {side['classes']}"
    low, high = side["range"]
    return f"N {side['channels']} H W {side['dtype']}, {low:g} to {high:g}"
