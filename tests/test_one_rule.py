"""One rule at test time: samples, load_generator, Translator and evaluate give the same picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from p2ptk import Translator, create, load_generator
from p2ptk.contracts import Side
from p2ptk.evaluate import evaluate
from p2ptk.pairs.pixels import denormalise, normalise
from p2ptk.report.sheets import sample_sheet


@pytest.mark.parametrize("norm", ["running", "image"])
@pytest.mark.parametrize("dropout", [False, True])
def test_all_paths_agree(
    tiny: Callable[..., Any], pairs: Path, tmp_path: Path, norm: str, dropout: bool
) -> None:
    layer = {
        "size": 64,
        "generator": "unet:depth=6,width=4",
        "inference": {"norm": norm, "dropout": dropout},
        "train": {"ema": 0.5, "init_gain": 0.1},
    }
    tiny("run", layer)
    run = tmp_path / "run"
    data = create("dataset", f"side-by-side:path={pairs}")
    split = data.split("val")
    translator = Translator.load(run, "cpu", "fp32", size=(64, 64))
    bare = load_generator(run)

    outputs, l1 = [], 0.0
    for pair in split:
        source = torch.nn.functional.interpolate(
            normalise(pair.source[None], Side()), (64, 64), mode="bicubic", antialias=True
        ).clamp(-1, 1)
        target = torch.nn.functional.interpolate(
            normalise(pair.target[None], Side()), (64, 64), mode="bicubic", antialias=True
        ).clamp(-1, 1)
        with torch.no_grad():
            fake = translator.network()(source)
        if not dropout:
            with torch.no_grad():
                assert torch.allclose(bare(source), fake, atol=1e-5)
        picture = denormalise(fake, Side(), torch.uint8)[0]
        # Rounding a value that lies on the border of two greys may go either way.
        assert (translator(pair.source).int() - picture.int()).abs().max() <= 1
        outputs.append((source[0], fake[0], target[0]))
        l1 += (fake.clamp(-1, 1) - target).abs().mean().item() / 2 / len(split)

    assert evaluate(translator, data, split, ["l1"])["l1"] == pytest.approx(l1, abs=1e-4)
    drawn = np.asarray(Image.open(run / "samples" / "000006.png")).astype(int)
    expected = sample_sheet(outputs, Side(), Side()).astype(int)
    assert np.abs(drawn - expected).max() <= 1
