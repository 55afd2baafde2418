"""`p2ptk train-scorer`: a segmenter of real photos, for the metric fcn-score."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from p2ptk.cli.options import ComponentSpec, config_options, data_spec, given_layer

if TYPE_CHECKING:
    from p2ptk.config import RunConfig
    from p2ptk.metrics.scorer import Letter
    from p2ptk.observe import Observer


@click.command(
    epilog="""
\b
Examples:
  p2ptk train-scorer -d facades/ -o runs/scorer
  p2ptk train-scorer -d cityscapes/ --labels B --size 256 --epochs 100 -o runs/scorer
  p2ptk evaluate runs/facades -d facades/ -m fcn-score:scorer=runs/scorer
"""
)
@click.option("-d", "--data", required=True, type=ComponentSpec("dataset"), help="Pairs.")
@click.option("--labels", type=click.Choice(["A", "B"]), help="The side that holds label maps.  "
              "[default: found]")  # fmt: skip
@click.option("--palette", metavar="COLOURS", help="Colours of the classes, as '#0000ff,#ff0000'.  "
              "[default: found]")  # fmt: skip
@click.option("-G", "--generator", type=ComponentSpec("generator"),
              help="The network, with output=linear.")  # fmt: skip
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="Any config key.")
@config_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Run folder.")
@click.option("--plugin", "files", metavar="FILE.py", multiple=True, help="Load a local plugin.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def train_scorer(
    data: str,
    labels: Letter | None,
    palette: str | None,
    generator: str | None,
    settings: Sequence[str],
    output: Path | None,
    files: Sequence[str],
    as_json: bool,
    **flags: Any,
) -> int:
    """Train a network that labels real photos, on the label maps of a paired set.

    It is an ordinary run of the recipe `scorer`, from photos to labels: resume it, look at its
    samples, and translate photos to label maps with it. It learns on the split train.
    """
    from p2ptk.cli.live import observer_for, tell
    from p2ptk.files import free_name
    from p2ptk.manifest import data_name
    from p2ptk.plugins import configure
    from p2ptk.run import start
    from p2ptk.runfolder import RunFolder

    if files:
        configure(files=files)
    observer = observer_for(as_json)
    given = given_layer(flags)
    if generator is not None:
        given["generator"] = generator
    config = _config(data, labels, palette, settings, given, observer)
    folder = RunFolder(output or free_name(Path("runs", f"scorer-{data_name(config.data)}")))
    outcome = start(config, folder, observer)
    if not outcome.finished or as_json:
        return tell(outcome, as_json)
    click.echo(f"done: {outcome.step} steps")
    click.echo(f"  pictures  {folder.samples}")
    click.echo(f"  scorer    {folder.generator}")
    for name, value in _on_real_photos(config, folder.path).items():
        click.echo(f"  {name} of real photos in val: {value:.3f}")
    click.echo(f"next: p2ptk evaluate MODEL -d {data} -m fcn-score:scorer={folder.path}")
    return 0


def _config(
    data: str,
    labels: Letter | None,
    palette: str | None,
    settings: Sequence[str],
    given: dict[str, Any],
    observer: Observer,
) -> RunConfig:
    from p2ptk.components import create
    from p2ptk.config import RunConfig
    from p2ptk.data import need_split
    from p2ptk.errors import UserError
    from p2ptk.layers import layers_of, parse_setting
    from p2ptk.metrics.palette import read_colours, written
    from p2ptk.metrics.scorer import label_side, palette_of, with_labels

    if "direction" in given:
        raise UserError("a scorer goes from photos to labels: say with --labels which side is so.")
    spec, said = data_spec(data)
    if said:
        observer.note(said)
    dataset = create("dataset", spec)
    train = need_split(dataset, "train")
    letter = labels or label_side(dataset, train)
    side = dataset.a if letter == "A" else dataset.b
    if side.kind != "labels":
        if palette:
            colours = read_colours(palette.replace(" ", "").split(","))
        else:
            colours = palette_of(dataset, train, letter).colours
        if len(colours) < 2:
            raise UserError(f"side {letter} has no palette: name its colours with --palette.")
        spec = with_labels(spec, letter, colours)
        shown = json.dumps(written(colours)).replace('"', "")
        observer.note(f"side {letter} holds labels of {len(colours)} colours: {shown}")
    direction = "BtoA" if letter == "A" else "AtoB"
    layers = [*layers_of({}, "scorer"), *(parse_setting(setting) for setting in settings)]
    return RunConfig.of(*layers, given, {"data": spec.table(), "direction": direction})


def _on_real_photos(config: RunConfig, folder: Path) -> dict[str, float]:
    """How well the scorer labels photos that it did not learn on."""
    from p2ptk.components import create
    from p2ptk.evaluate import evaluate
    from p2ptk.translate import Translator

    dataset = create("dataset", config.data)
    translator = Translator.load(folder, config.device, "fp32")
    return evaluate(translator, dataset, dataset.split("val"), ["palette-accuracy"])
