"""Every built-in component passes the kit that plugins are asked to pass."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from p2ptk.components import list_components
from p2ptk.testing import conformance

# Small ones of what is large by default.
SMALL = {
    ("generator", "unet"): "unet:depth=3,width=4",
    ("generator", "encoder-decoder"): "encoder-decoder:depth=3,width=4",
    ("generator", "resnet"): "resnet:blocks=1,width=4",
    ("generator", "pix2pixhd"): "pix2pixhd:blocks=1,width=2",
    ("generator", "spade"): "spade:depth=2,width=4,hidden=4",
    ("generator", "unet-attention"): "unet-attention:depth=3,width=4,attention=[4]",
    ("encoder", "conv"): "conv:depth=3,width=4",
    ("discriminator", "patchgan"): "patchgan:width=4",
    ("discriminator", "multiscale"): "multiscale:width=4,scales=2",
    ("discriminator", "unet"): "unet:width=4,layers=3",
    ("loss", "ms-ssim"): "ms-ssim:scales=2",
    ("launcher", "submitit"): "submitit:cluster=debug",
}
# What needs files: made by the fixture `material`.
WITH_FILES = {
    ("dataset", "side-by-side"): "side-by-side:path={pairs}",
    ("dataset", "two-folders"): "two-folders:path={folders}",
    ("dataset", "photos"): "photos:path={folders}/train/A",
    ("dataset", "list"): "list:path={folders}/pairs.csv",
    ("tracker", "jsonl"): "jsonl:path={folders}/log.jsonl",
}
NOT_HERE = {
    ("metric", "fcn-score"): "needs a scorer that was trained",
    **dict.fromkeys(
        [("metric", name) for name in ("fid", "kid", "precision-recall", "lpips")],
        "needs weights that a network brings",
    ),
}

ALL = [(p.kind, p.name) for p in list_components()]


@pytest.fixture(scope="module")
def material(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of pairs, of which the two sides differ in channels."""
    folder = tmp_path_factory.mktemp("two")
    lines = ["source,target"]
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            for side, mode in (("A", "RGB"), ("B", "L")):
                place = folder / split / side
                place.mkdir(parents=True, exist_ok=True)
                Image.new(mode, (24, 16), 40 * i).save(place / f"{i}.png")
            lines.append(f"{split}/A/{i}.png,{split}/B/{i}.png")
    (folder / "pairs.csv").write_text("\n".join(lines), "utf-8")
    return {"pairs": pairs, "folders": folder}


@pytest.mark.parametrize(("kind", "name"), ALL, ids=[f"{kind}-{name}" for kind, name in ALL])
def test_conforms(kind: str, name: str, request: pytest.FixtureRequest) -> None:
    if (kind, name) in NOT_HERE:
        pytest.skip(NOT_HERE[kind, name])
    spec = SMALL.get((kind, name), name)
    if (kind, name) in WITH_FILES:
        spec = WITH_FILES[kind, name].format(**request.getfixturevalue("material"))
    conformance(kind, spec)


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("generator", "unet:depth=3,width=4,output=linear,norm=instance,upsample=resize"),
        ("generator", "resnet:blocks=1,width=4,norm=instance,downsamplings=3"),
        ("generator", "unet:width=4,encoder=conv(depth=2,width=4)"),
        ("discriminator", "patchgan:width=4,layers=0"),
        ("discriminator", "patchgan:width=4,layers=2,norm=instance,spectral=true"),
        ("discriminator", "patchgan:width=4,layers=1,conditional=false"),
        ("discriminator", "multiscale:width=4,scales=3,layers=2,conditional=false"),
        ("loss", "gan:mode=rpgan"),
        ("loss", "gan:mode=wgan"),
        ("augmentation", "jitter:load=1,mirror=false"),
    ],
)
def test_variants_conform(kind: str, spec: str) -> None:
    conformance(kind, spec)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "resnet", "unet-attention"])
def test_generators_conform_at_their_full_depth(name: str) -> None:
    """Narrow: what width decides is that they build with their defaults, which `defaults` asks."""
    conformance("generator", f"{name}:width=8")


@pytest.mark.parametrize("layers", [3, 4, 5])
def test_the_receptive_fields_of_deep_discriminators(layers: int) -> None:
    conformance("discriminator", f"patchgan:layers={layers},width=4")


@pytest.mark.gpu
@pytest.mark.parametrize(("kind", "name"), [x for x in ALL if x in SMALL and x[0] != "loss"])
def test_networks_are_captured_on_cuda(kind: str, name: str) -> None:
    results = conformance(kind, SMALL[kind, name])
    said = {r.check: r.sentence for r in results}
    assert said["capturable"] == "captured and replayed on CUDA."
    assert "float16 on CUDA" in said["half-precision"]
    assert torch.cuda.is_initialized()
