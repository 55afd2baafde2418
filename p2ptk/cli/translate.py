"""`p2ptk translate`: images, folders, or the sources of a paired set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from p2ptk.cli.options import ComponentSpec


@click.command(
    epilog="""
\b
Examples:
  p2ptk translate runs/facades labels/*.png -o photos/
  p2ptk translate generator.safetensors map.png -o satellite.png
  p2ptk translate runs/facades -d facades/ --split val --compare -o out/
  p2ptk translate runs/facades labels/ -o out/ --noise --samples 4
"""
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, type=click.Path(path_type=Path))
@click.option("-d", "--data", type=ComponentSpec("dataset"), help="Translate a paired set instead.")
@click.option("--split", default="val", show_default=True, help="Which split of -d.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder.")
@click.option("--compare", is_flag=True, help="Also write source | output (| target) sheets.")
@click.option("--as-is", is_flag=True, help="Translate pictures that look like a pair, too.")
@click.option("--derive/--no-derive", default=True,
              help="Make the source from photos, if the model was trained so, or take INPUTs as "
              "sources: drawings for a model of edges.")  # fmt: skip
@click.option("--size", metavar="N", help="Scale pictures first: N, or HEIGHTxWIDTH.")
@click.option("--tile", type=click.IntRange(min=16), default=1024, show_default=True,
              help="Cut larger pictures in tiles of this size.")  # fmt: skip
@click.option("--overlap", type=click.IntRange(min=0), help="Pixels that tiles share.")
@click.option("--batch-size", type=click.IntRange(min=1), default=4, show_default=True,
              help="Pictures or tiles that run together.")  # fmt: skip
@click.option("--norm", type=click.Choice(["running", "image"]), help="Override the model's rule.")
@click.option("--noise/--no-noise", default=None, help="Dropout on or off: override the rule.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Of the noise.")  # fmt: skip
@click.option("--samples", type=click.IntRange(min=1), default=1, show_default=True,
              help="Translate with this many seeds, each into a folder of its own.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto",
              show_default=True, help="Of the network's numbers.")  # fmt: skip
@click.option("--skip-bad", is_flag=True, help="With -d: leave out pairs that can't be read.")
@click.option("--plugin", "files", metavar="FILE.py", multiple=True, help="Load a local plugin.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def translate(
    model: Path,
    inputs: Sequence[Path],
    data: str | None,
    split: str,
    output: Path,
    compare: bool,
    as_is: bool,
    derive: bool,
    size: str | None,
    tile: int,
    overlap: int | None,
    batch_size: int,
    norm: Any,
    noise: bool | None,
    seed: int,
    samples: int,
    device: str,
    precision: Any,
    skip_bad: bool,
    files: Sequence[str],
    as_json: bool,
) -> int:
    """Translate INPUTs (images or folders) with MODEL (a run folder or one .safetensors).

    Any size will do: pictures are padded, and cut in overlapping tiles when they are large.
    """
    from p2ptk.cli.live import progress_bar
    from p2ptk.cli.options import open_data, read_size
    from p2ptk.data import need_split
    from p2ptk.errors import UserError
    from p2ptk.inference import has_noise
    from p2ptk.plugins import configure
    from p2ptk.translate import Translator
    from p2ptk.translation.files import Summary, translate_files, translate_pairs

    if files:
        configure(files=files)
    if bool(inputs) == bool(data):
        raise UserError("give images or folders to translate, or a paired set with -d.")
    translator = Translator.load(
        model,
        device,
        precision,
        norm=norm,
        dropout=noise,
        tile=tile,
        overlap=overlap,
        batch_size=batch_size,
        seed=seed,
        size=read_size(size),
        derive=derive,
    )
    scale = translator.header.scale
    if scale and not 0.8 < scale < 1.25 and not size:
        height, width = translator.header.size
        click.echo(
            f"note: the model was trained on pictures scaled to {scale:.2g} of their size; "
            f"--size {height}x{width} scales these alike, if they are as large as those were.",
            err=True,
        )
    if samples > 1 and not has_noise(translator.generator):
        raise UserError(
            "this model draws no noise, so its samples would be alike: add --noise, "
            "if it was trained with dropout."
        )
    dataset = open_data(data, skip_bad) if data else None
    done = Summary()
    with progress_bar("translate", quiet=as_json) as tell:
        for each in range(seed, seed + samples):
            place = output if samples == 1 else _place(output, each)
            if dataset is not None:
                pairs, sides = need_split(dataset, split), (dataset.a, dataset.b)
                part = translate_pairs(
                    translator, pairs, sides, place, compare=compare, seed=each, on_progress=tell
                )
            else:
                part = translate_files(
                    translator, inputs, place, compare=compare, as_is=as_is, seed=each,
                    on_progress=tell,
                )  # fmt: skip
            done.written += part.written
            done.failed |= part.failed
            done.notes = part.notes
            done.seconds += part.seconds
    if as_json:
        written = [str(path) for path in done.written]
        click.echo(json.dumps({"written": written, "failed": done.failed, "notes": done.notes}))
        return done.exit_code
    for note in done.notes:
        click.echo(note, err=True)
    for name, reason in done.failed.items():
        click.echo(f"left out: {name}: {reason}", err=True)
    rate = len(done.written) / done.seconds if done.seconds else 0.0
    click.echo(f"{len(done.written)} written to {output} ({rate:.1f} images/s)")
    return done.exit_code


def _place(output: Path, seed: int) -> Path:
    """Where one of several samples goes: `OUT/seed-3/`, or `NAME-seed-3.png` for a file."""
    if output.suffix:
        return output.with_name(f"{output.stem}-seed-{seed}{output.suffix}")
    return output / f"seed-{seed}"
