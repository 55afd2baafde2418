"""`p2ptk evaluate`: score a model, or pictures, over a split of pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from p2ptk.cli.options import ComponentSpec

if TYPE_CHECKING:
    from p2ptk.contracts import Dataset, Split
    from p2ptk.metrics.results import Evaluation


@click.command(
    epilog="""
\b
Examples:
  p2ptk evaluate runs/facades -d facades/ --split val
  p2ptk evaluate runs/facades -d facades/ --split test -m lpips -m fid --json
  p2ptk evaluate runs/mine -d pairs/ -m psnr -m lpips:weights=alexnet.pth --save-images out/
  p2ptk evaluate --images out/ -d pairs/ --size 256 -m psnr
  p2ptk evaluate --images 'results/*_fake_B.png' -d facades/ --direction BtoA --size 256
"""
)
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("-d", "--data", required=True, type=ComponentSpec("dataset"), help="Pairs.")
@click.option("--split", default="val", show_default=True, help="Which split of the pairs.")
@click.option("-m", "--metric", "metrics", type=ComponentSpec("metric"), multiple=True,
              help="Metrics; default: psnr, ssim, l1, or palette-accuracy for labels.")  # fmt: skip
@click.option("--images", metavar="FOLDER", help="Score these pictures instead of a model's; or a "
              "path with a * for the pairs' names.")  # fmt: skip
@click.option("--direction", type=click.Choice(["AtoB", "BtoA"]), help="With --images: which side "
              "was translated to which.  [default: AtoB]")  # fmt: skip
@click.option("--size", metavar="N", help="With --images: scale the pairs to N, or HEIGHTxWIDTH.")
@click.option("--save-images", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
              help="Write the translations there.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
              help="Write the results there; default: MODEL, if it is a run folder.")  # fmt: skip
@click.option("--per-image", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.csv",
              help="Write the scores of each pair there.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(min=1), default=4, show_default=True,
              help="Pictures that run together; values don't depend on it.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="fp32",
              show_default=True, help="Of the model's numbers.")  # fmt: skip
@click.option("--skip-bad", is_flag=True, help="Leave out pairs that can't be read.")
@click.option("--plugin", "files", metavar="FILE.py", multiple=True, help="Load a local plugin.")
@click.option("--json", "as_json", is_flag=True, help="Print the values as JSON.")
def evaluate(
    model: Path | None,
    data: str,
    split: str,
    metrics: Sequence[str],
    images: str | None,
    direction: Any,
    size: str | None,
    save_images: Path | None,
    output: Path | None,
    per_image: Path | None,
    batch_size: int,
    device: str,
    precision: Any,
    skip_bad: bool,
    files: Sequence[str],
    as_json: bool,
) -> int:
    """Score MODEL (a run folder or one .safetensors) on the pairs of a split.

    Pairs are resized to the size that the model was trained at, and translated by its own rule.
    Exits with 1 where a metric could not be had, after the others; with 2 where one did not suit.
    """
    from p2ptk.cli.options import open_data
    from p2ptk.data import need_split
    from p2ptk.errors import UserError
    from p2ptk.plugins import configure

    if files:
        configure(files=files)
    if (model is None) == (images is None):
        raise UserError("give a model to score, or pictures with --images FOLDER.")
    if model is not None and (direction or size):
        raise UserError("--direction and --size go with --images: a model knows its own.")
    if images is not None and save_images:
        raise UserError("--save-images writes a model's translations; --images are there already.")
    dataset = open_data(data, skip_bad)
    pairs = need_split(dataset, split)
    if model is not None:
        done = _of_model(
            model, dataset, pairs, metrics, save_images, batch_size, device, precision, as_json
        )
    else:
        done = _of_images(
            images or "", dataset, pairs, metrics, direction, size, batch_size, device, as_json
        )
    done.about = {"split": split, "data": data, **done.about}
    written = _write(done, model, output, per_image, split)
    if as_json:
        click.echo(json.dumps(done.table(), allow_nan=False))
    else:
        tell(done, written)
    for spec, error in done.failed.items():
        click.echo(f"left out: {spec}: {error}", err=True)
    return done.exit_code


def _of_model(
    model: Path,
    dataset: Dataset,
    pairs: Split,
    metrics: Sequence[str],
    save: Path | None,
    batch_size: int,
    device: str,
    precision: Any,
    quiet: bool,
) -> Evaluation:
    from p2ptk.cli.live import progress_bar
    from p2ptk.evaluate import score_model
    from p2ptk.metrics.scoring import usual_metrics
    from p2ptk.translate import Translator

    translator = Translator.load(model, device, precision)
    header = translator.header
    names = metrics or usual_metrics(header.target)
    with progress_bar("evaluate", quiet=quiet) as tell:
        done = score_model(
            translator, dataset, pairs, names, batch_size=batch_size, save=save, on_progress=tell
        )
    done.about = {
        "model": str(model),
        "step": header.step,
        "direction": header.direction,
        "size": list(header.size),
        "inference": {"norm": header.inference_norm, "dropout": header.inference_dropout},
        "precision": translator.precision.name,
        "device": translator.device.type,
    }
    return done


def _of_images(
    images: str,
    dataset: Dataset,
    pairs: Split,
    metrics: Sequence[str],
    direction: Any,
    size: str | None,
    batch_size: int,
    device: str,
    quiet: bool,
) -> Evaluation:
    from p2ptk.cli.live import progress_bar
    from p2ptk.cli.options import read_size
    from p2ptk.device import choose_device
    from p2ptk.evaluate import score_images
    from p2ptk.metrics.scoring import usual_metrics

    scaled = read_size(size)
    side = dataset.a if direction == "BtoA" else dataset.b
    with progress_bar("evaluate", quiet=quiet) as tell:
        done = score_images(
            images,
            dataset,
            pairs,
            metrics or usual_metrics(side),
            direction=direction or "AtoB",
            size=scaled,
            device=choose_device(device),
            batch_size=batch_size,
            on_progress=tell,
        )
    done.about = {
        "images": images,
        "direction": direction or "AtoB",
        "size": list(scaled) if scaled else None,
    }
    return done


def _write(
    done: Evaluation, model: Path | None, output: Path | None, per_image: Path | None, split: str
) -> list[Path]:
    """Results into the output folder, else the run folder; gives what was written."""
    from p2ptk.files import explained
    from p2ptk.runfolder import RunFolder

    folder = output
    if folder is None and model is not None and RunFolder(model).holds_run:
        folder = model
    written = []
    if folder is not None:
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        done.write_json(folder / f"evaluation-{split}.json")
        written.append(folder / f"evaluation-{split}.json")
        per_image = per_image or folder / f"per_image-{split}.csv"
    if per_image is not None:
        with explained(per_image):
            per_image.parent.mkdir(parents=True, exist_ok=True)
        done.write_per_image(per_image)
        written.append(per_image)
    return written


def tell(done: Evaluation, written: Sequence[Path]) -> None:
    """The table, then what a reader should know of it."""
    from rich.console import Console
    from rich.table import Table

    from p2ptk.metrics.results import INTERVALS, shown

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95 % interval", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    better = {True: " ↑", False: " ↓", None: ""}
    for score in done.scores:
        value, interval = shown(score)
        name = score.name + better[score.higher_is_better]
        table.add_row(name, value, interval or "-", str(score.n))
    Console(soft_wrap=True).print(table, highlight=False, markup=False)
    about = done.about
    where = f"over {len(done.names)} pairs of {about['split']}"
    size = about.get("size")
    click.echo(f"{where}, {size[0]}x{size[1]} pixels" if size else where)
    for spec, protocol in dict.fromkeys((score.metric, score.protocol) for score in done.scores):
        click.echo(f"{spec}  {protocol}")
    if any(score.low is not None for score in done.scores):
        click.echo(f"intervals  {INTERVALS}")
    for note in done.notes:
        click.echo(f"note: {note}")
    for path in written:
        click.echo(f"written: {path}")
