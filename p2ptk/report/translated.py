"""The pictures of an evaluation's best and worst pairs, translated anew: scores keep none."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from p2ptk.contracts import Dataset, Side
from p2ptk.data import need_split
from p2ptk.errors import UserError
from p2ptk.pairs.batch import fixed_batch
from p2ptk.report.evaluations import SHOWN, ranked
from p2ptk.report.looks import Pixels
from p2ptk.report.sheets import show
from p2ptk.translate import Translator
from p2ptk.weights import read_header


def evaluated_data(run: Path) -> str | None:
    """The `-d` of the evaluation whose pairs the report ranks; None where there is none."""
    found = ranked(run)
    if found is None:
        return None
    table = json.loads((run / f"evaluation-{found[1]}.json").read_text("utf-8"))
    return str(table.get("data") or "") or None


@torch.no_grad()
def end_pictures(run: Path, dataset: Dataset) -> dict[str, tuple[Pixels, ...]]:
    """Source, output and target, uint8 H W 3, of the best and the worst pairs by their names.

    Raises UserError where the pairs are not there any more, or the run holds other weights than
    those that were scored.
    """
    found = ranked(run)
    if found is None:
        return {}
    _, name, scores = found
    table = json.loads((run / f"evaluation-{name}.json").read_text("utf-8"))
    split = need_split(dataset, name)
    numbers = {each: i for i, each in enumerate(getattr(split, "names", ()))}
    wanted = dict.fromkeys(pair for pair, _ in (*scores[:SHOWN], *scores[-SHOWN:]))
    missing = [pair for pair in wanted if pair not in numbers]
    if missing:
        raise UserError(f"the evaluated pair {missing[0]!r} is not in the split {name!r} any more.")
    translator = Translator.load(_weights(run, table.get("step")), precision="fp32")
    header, codec = translator.header, translator.codec
    made = {}
    for pair in wanted:
        batch = fixed_batch(
            split,
            [numbers[pair]],
            dataset.a,
            dataset.b,
            direction=header.direction,
            size=header.size,
            augmentations=codec.augmentations,
            device=translator.device,
        )
        fake = translator.network(None)(batch.source).float()
        fake, target = (codec.restore(batch.source, x) for x in (fake, batch.target))
        sides: tuple[Side, ...] = (header.source, header.target, header.target)
        pictures = (batch.source, fake, target)
        made[pair] = tuple(show(x[0], side) for x, side in zip(pictures, sides, strict=True))
    return made


def _weights(run: Path, step: int | None) -> Path:
    """The model file of that step. Raises UserError where the run has gone on since."""
    for name in ("generator.safetensors", "best.safetensors"):
        path = run / name
        if path.is_file() and (step is None or read_header(path).step == step):
            return path
    raise UserError(f"the weights that were scored, of step {step}, are not in {run} any more.")
