"""`p2ptk import`: weights and option files of other programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from p2ptk.cli.options import ComponentSpec, local_class


@click.command(
    name="import",
    epilog="""
\b
Examples:
  p2ptk import latest_net_G.pth -o facades.safetensors --direction BtoA
  p2ptk import gen.pth.tar -G unet:width=32 -o model.safetensors
  p2ptk import latest_net_G.pth -o start/
  p2ptk import latest_net_D.pth -o start/
  p2ptk run -d facades/ --init start/
  p2ptk import --options train_opt.txt -o run.toml

No code in a file is ever run: a file that holds more than tensors is refused.
""",
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("-G", "--generator", type=ComponentSpec("generator"),
              help="What FILE holds; told from its tensors if left out.")  # fmt: skip
@click.option("-D", "--discriminator", type=ComponentSpec("discriminator"),
              help="FILE holds this discriminator.")  # fmt: skip
@click.option("--options", "option_file", type=click.Path(path_type=Path),
              help="An option file of the PyTorch port instead (train_opt.txt).")  # fmt: skip
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path),
              help="Model file or folder to write; a TOML file with --options.")  # fmt: skip
@click.option("--key", help="Which state dict, where FILE holds several.")
@click.option("--size", metavar="N", help="Trained for pictures of N, or HEIGHTxWIDTH.")
@click.option("--direction", type=click.Choice(["AtoB", "BtoA"]), default="AtoB", show_default=True,
              help="Which side of a pair was the source.")  # fmt: skip
@click.option("--norm", type=click.Choice(["running", "image"]), default="running",
              show_default=True, help="Batch norm at test time.")  # fmt: skip
@click.option("--noise", is_flag=True, help="Dropout stays on at test time.")
@click.option("--source-channels", type=click.IntRange(min=1), help="Where it can't be told.")
@click.option("--target-channels", type=click.IntRange(min=1), help="Where it can't be told.")
@click.option("--plugin", "files", metavar="FILE.py", multiple=True, help="Load a local plugin.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def import_model(
    file: Path | None,
    generator: str | None,
    discriminator: str | None,
    option_file: Path | None,
    output: Path,
    key: str | None,
    size: str | None,
    direction: Any,
    norm: Any,
    noise: bool,
    source_channels: int | None,
    target_channels: int | None,
    files: Sequence[str],
    as_json: bool,
) -> None:
    """Make a model of p2ptk from the weights in FILE, a state dict of torch.save or safetensors.

    U-Nets, ResNets and PatchGANs of the PyTorch port of pix2pix are recognised. With --norm image
    --noise the model translates as that port does by default.
    """
    from p2ptk.errors import UserError

    if (file is None) == (option_file is None):
        raise UserError("give a file with weights, or an option file with --options.")
    if option_file is not None:
        _options(option_file, output, as_json)
        return
    assert file is not None
    if generator is not None and discriminator is not None:
        raise UserError("one file holds one network: give -G or -D, not both.")

    from p2ptk.config import RunConfig
    from p2ptk.manifest import count
    from p2ptk.plugins import configure
    from p2ptk.port.importing import read_network, save_imported

    entries = list(files)
    if generator is not None:
        generator, entry = local_class(generator, "generator")
        entries += [entry] if entry else []
    if discriminator is not None:
        discriminator, entry = local_class(discriminator, "discriminator")
        entries += [entry] if entry else []
    if entries:
        configure(files=entries)
    made = read_network(
        file,
        generator=generator,
        discriminator=discriminator,
        source_channels=source_channels,
        target_channels=target_channels,
        key=key,
    )
    place = save_imported(
        made,
        output,
        size=RunConfig.of({"size": size}).size if size else None,
        direction=direction,
        norm=norm,
        dropout=noise,
    )
    if as_json:
        shown = {"written": str(place), made.kind: made.spec.table(), "notes": made.notes}
        click.echo(json.dumps(shown))
        return
    for note in made.notes:
        click.echo(note, err=True)
    word = "to" if made.kind == "generator" else "and"
    channels = f"{made.source_channels} {word} {made.target_channels} channels"
    click.echo(f"{made.kind}: {made.short} ({count(made.network)}, {channels})")
    click.echo(f"{place} written")
    if made.kind == "generator":
        click.echo(f"next: p2ptk translate {place} IMAGES -o FOLDER")


def _options(option_file: Path, output: Path, as_json: bool) -> None:
    from p2ptk.port.config import import_options

    notes = import_options(option_file, output)
    if as_json:
        click.echo(json.dumps({"written": str(output), "notes": notes}))
        return
    for note in notes:
        click.echo(note, err=True)
    click.echo(f"{output} written")
    click.echo(f"next: p2ptk run --config {output} --dry-run")
