"""Whole runs: trained, resumed and used where the pretrained weights are gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from p2ptk import Translator, fit, load_generator
from p2ptk_timm.weights import read_weights

TINY: dict[str, Any] = {
    "size": 64,
    "discriminator": "patchgan:layers=1,width=4",
    "train__batch_size": 2,
    "train__steps": 2,
    "precision": "fp32",
    "device": "cpu",
    "output__samples": 1,
    "quiet": True,
}


@pytest.fixture
def weights(lite: str, tmp_path: Path) -> Path:
    """Pretrained weights of tf_efficientnet_lite0 in a file that can go away."""
    tensors = read_weights(lite, "tf_efficientnet_lite0")
    path = tmp_path / "lite.safetensors"
    save_file({name: x.contiguous() for name, x in tensors.items()}, path)
    return path


def test_a_model_needs_no_weights_but_its_own(pairs: Path, weights: Path, tmp_path: Path) -> None:
    encoder = f"timm(model=tf_efficientnet_lite0,weights={weights},freeze=true)"
    fit(
        dataset=f"side-by-side:path={pairs}",
        generator=f"unet:width=4,encoder={encoder}",
        losses=["gan", "l1:weight=100"],
        output=tmp_path / "run",
        **TINY,
    )
    pretrained = load_file(weights)
    weights.unlink()
    net = load_generator(tmp_path / "run")
    found = net.state_dict()
    # Neither p2ptk's own initialisation nor training changed what is pretrained and frozen.
    for mine, theirs in (
        ("conv_stem.weight", "conv_stem.weight"),
        ("blocks.3.1.bn2.running_var", "blocks.3.1.bn2.running_var"),
    ):
        assert torch.equal(found[f"encoder.backbone.net.{mine}"], pretrained[theirs])
    source = torch.rand(1, 3, 64, 96) * 2 - 1
    with torch.no_grad():
        assert net(source).shape == (1, 3, 64, 96)
        # A rule for batch norm at test time has no hold of a frozen encoder.
        image = load_generator(tmp_path / "run", norm="image")
        for x, y in zip(net.encoder(source), image.encoder(source), strict=True):  # type: ignore[operator]
            assert torch.equal(x, y)
    assert Translator.load(tmp_path / "run").header.size == (64, 64)


def test_pretrained_weights_train_on_from_where_they_are(
    pairs: Path, lite: str, tmp_path: Path
) -> None:
    fit(
        dataset=f"side-by-side:path={pairs}",
        generator=f"timm-unet:model=tf_efficientnet_lite0,weights={lite},width=4",
        losses=["l1:weight=100", f"perceptual:model=tf_efficientnet_lite0,weights={lite}"],
        output=tmp_path / "run",
        **{**TINY, "discriminator": "none"},
    )
    found = load_generator(tmp_path / "run").state_dict()["encoder.backbone.net.conv_stem.weight"]
    moved = (found - read_weights(lite, "tf_efficientnet_lite0")["conv_stem.weight"]).abs().max()
    assert 0 < moved < 1e-3


@pytest.mark.slow
def test_a_run_resumes_without_the_files_it_began_with(
    pairs: Path, weights: Path, tmp_path: Path
) -> None:
    model = f"model=tf_efficientnet_lite0,weights={weights}"
    parts = {
        "generator": f"unet:width=4,encoder=timm({model})",
        "discriminator": f"projected:{model},width=4",
        "losses": [
            "gan:mode=hinge",
            f"contrastive-features:{model},patches=16,project=8",
            f"perceptual:{model},weight=2",
        ],
    }
    options = {**TINY, "train__steps": 4, "dataset": f"side-by-side:path={pairs}", **parts}
    fit(output=tmp_path / "whole", **options)

    config = (tmp_path / "whole" / "run.toml").resolve()
    half = tmp_path / "half"
    command("run", "--config", config, "--stop-at", 2, "-o", half)
    weights.unlink()
    command("resume", half)
    for name in ("generator", "discriminator", "extras"):
        whole, resumed = (
            load_file(tmp_path / run / "checkpoints" / "000004" / f"{name}.safetensors")
            for run in ("whole", "half")
        )
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(whole[key], resumed[key]) for key in whole), name


def command(*arguments: object) -> None:
    """`p2ptk ARGUMENTS` in a process of its own, with this plugin alone."""
    done = subprocess.run(
        [sys.executable, "-m", "p2ptk", *map(str, arguments)],
        env={**os.environ, "P2PTK_PLUGINS": "p2ptk-timm"},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 3), done.stderr
