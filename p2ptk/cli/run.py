"""`p2ptk run`: train a model on pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from p2ptk.cli.options import (
    ComponentSpec,
    config_options,
    data_spec,
    given_layer,
    local_class,
    parts_after,
)

EXAMPLES = """
\b
Examples:
  p2ptk run -d facades/ --direction BtoA -o runs/facades
  p2ptk run -d pairs/ --recipe quick --size 128 --epochs 20
  p2ptk run -d pairs/ -G unet:width=32,upsample=resize -L gan:mode=lsgan -L l1:weight=50
  p2ptk run --config runs/facades/run.toml --set train.lr=1e-4 -o runs/slower
  p2ptk run -d pairs/ -G ./mynet.py:MyGenerator
  p2ptk run -d pairs/ --batch-size 16 --gpus 4

Options not given here come from the recipe; `p2ptk show recipe pix2pix` prints one. Keys for --set
are those of a run's run.toml. Exit codes: 0 done, 1 fault, 2 bad input, 3 stopped and resumable,
4 diverged.
"""


@click.command(epilog=EXAMPLES)
@click.option("-d", "--data", type=ComponentSpec("dataset"), help="Pairs: a folder, or a spec.")
@click.option("-G", "--generator", type=ComponentSpec("generator"), help="Generator.")
@click.option("-D", "--discriminator", type=ComponentSpec("discriminator"), help="Or none.")
@click.option(
    "-L",
    "--loss",
    "losses",
    type=ComponentSpec("loss"),
    multiple=True,
    help="A term of the objective; +SPEC adds to the recipe's, -NAME takes away.",
)
@click.option(
    "-A",
    "--augmentation",
    "augmentations",
    type=ComponentSpec("augmentation"),
    multiple=True,
    help="A random change to the pairs; as -L.",
)
@click.option(
    "--recipe",
    type=ComponentSpec("recipe"),
    metavar="RECIPE",
    help="Named set of options to begin from.",
)
@click.option("--config", type=click.Path(path_type=Path), help="TOML file, as run.toml.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="Any config key.")
@config_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Run folder.")
@click.option("--stop-at", type=click.IntRange(min=1), help="End early at this step, resumable.")
@click.option("--max-time", metavar="TIME", help="End after 3h50m, resumable.")
@click.option("--gpus", type=click.IntRange(min=1), help="Train in so many processes, a GPU each.")
@click.option("--resume-if-exists", is_flag=True, help="Resume where the run folder holds a run.")
@click.option("--skip-bad", is_flag=True, help="Leave out pairs that can't be read, and say which.")
@click.option(
    "--dry-run", is_flag=True, help="Build all, try a step, tell the cost; write nothing."
)
@click.option("--plugin", "files", metavar="FILE.py", multiple=True, help="Load a local plugin.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def run(
    data: str | None,
    generator: str | None,
    discriminator: str | None,
    losses: Sequence[str],
    augmentations: Sequence[str],
    recipe: str | None,
    config: Path | None,
    settings: Sequence[str],
    output: Path | None,
    stop_at: int | None,
    max_time: str | None,
    gpus: int | None,
    resume_if_exists: bool,
    skip_bad: bool,
    dry_run: bool,
    files: Sequence[str],
    as_json: bool,
    **flags: Any,
) -> int:
    """Train a model that translates source images to target images.

    Without options the reference recipe trains on the embedded demo pairs.
    """
    from p2ptk.cli.live import in_processes, observer_for, tell
    from p2ptk.config import RunConfig
    from p2ptk.errors import UserError
    from p2ptk.interrupts import seconds
    from p2ptk.layers import layers_of, merge, parse_setting, read_toml
    from p2ptk.plugins import configure, registry

    # Local files come first: the names that follow may be theirs.
    entries = list(files)
    table = read_toml(config) if config else {}
    entries += [str(config.parent / f) for f in table.pop("plugins", [])] if config else []
    flagged: dict[str, Any] = {}
    for kind, text in (("generator", generator), ("discriminator", discriminator)):
        if text is not None:
            flagged[kind], entry = local_class(text, kind)
            entries += [entry] if entry else []
    lists: dict[str, list[str]] = {"loss": [], "augmentation": []}
    for kind, texts in (("loss", losses), ("augmentation", augmentations)):
        for text in texts:
            sign = text[:1] if text[:1] in "+-" else ""
            spec, entry = local_class(text.removeprefix(sign), kind)
            lists[kind].append(sign + spec)
            entries += [entry] if entry else []
    if entries:
        configure(files=entries)
        registry()

    # Layers: recipe < config < --set < flags.
    said = None
    layers: list[Any] = [*layers_of(table, recipe), *(parse_setting(s) for s in settings)]
    layers.append({**given_layer(flags), **flagged})
    if data is not None:
        pairs, said = data_spec(data)
        layers.append({"data": pairs.table()})
    if skip_bad:
        layers.append({"data": {"skip_bad": True}})
    so_far: dict[str, Any] = {}
    for layer in layers:
        so_far = merge(so_far, layer)
    for name, given in (("losses", lists["loss"]), ("augmentations", lists["augmentation"])):
        if given:
            so_far = merge(so_far, {name: parts_after(given, so_far.get(name, {}))})
    resolved = RunConfig.of(so_far)

    observer = observer_for(as_json)
    if said:
        observer.note(said)
    if dry_run:
        from p2ptk.trial import dry_run as try_out
        from p2ptk.trial import in_words

        found = try_out(resolved)
        click.echo(json.dumps(found) if as_json else "\n".join(in_words(found)))
        return 0

    from p2ptk.parallel.launch import need_name_for_restarts, restarted
    from p2ptk.parallel.ranks import joined
    from p2ptk.run import default_folder, resume, start
    from p2ptk.runfolder import RunFolder

    limit = seconds(max_time) if max_time else None
    if resume_if_exists and output is None:
        raise UserError("--resume-if-exists needs the run folder: give it with -o.")
    need_name_for_restarts(output)
    folder = RunFolder(output or default_folder(resolved))
    if gpus and not resume_if_exists:
        folder.need_free()
    code = in_processes(gpus, resolved, folder.path, [] if output else ["-o", str(folder.path)])
    if code is not None:
        return code
    with joined(resolved.device) as ranks:
        again = folder.holds_run and (resume_if_exists or restarted(folder))
        if ranks.told(again):
            outcome = resume(folder, observer, stop_at=stop_at, max_seconds=limit)
        else:
            outcome = start(resolved, folder, observer, stop_at=stop_at, max_seconds=limit)
    return tell(outcome, as_json)
