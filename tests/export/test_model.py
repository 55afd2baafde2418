"""Exported files give what `load_generator` gives, in every format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from packaging.version import Version
from PIL import Image
from torch import Tensor, nn

from p2ptk.cli.export import export
from p2ptk.components import register
from p2ptk.contracts import Side
from p2ptk.errors import P2ptkError, UserError
from p2ptk.export import check
from p2ptk.export.model import export_model
from p2ptk.translate import Translator
from p2ptk.weights import load_generator

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

Make = Callable[..., Path]
PALETTE = ((0, 0, 0), (255, 0, 0), (0, 255, 0))
TOLERANCE = 1e-4  # of pictures in 0..1
OLD_TORCH = pytest.mark.skipif(
    Version(torch.__version__).release < (2, 8),
    reason="torch 2.6 writes no ONNX of resizing to a size that is free; 2.7 is untried",
)


class Awkward(nn.Module):
    """A generator whose forward no tracer can follow: it looks at the picture."""

    size_multiple = 1

    def __init__(self, *, source_channels: int, target_channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(source_channels, target_channels, 1)

    def forward(self, source: Tensor) -> Tensor:
        return self.layer(source) if float(source.mean()) > 0 else -self.layer(source)


class OneByOne(nn.Module):
    """A generator that goes through its batch, so that its number of pictures is fixed."""

    size_multiple = 1

    def __init__(self, *, source_channels: int, target_channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(source_channels, target_channels, 1)

    def forward(self, source: Tensor) -> Tensor:
        return torch.cat([self.layer(picture[None]) for picture in source])


def session(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_all_formats_agree_with_load_generator(make: Make, tmp_path: Path) -> None:
    """One picture, through PyTorch, onnxruntime and torch.export."""
    model = make("unet:depth=3,width=4", inference_norm="image")
    pictures = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = (load_generator(model)(pictures * 2 - 1) + 1) / 2
    made = export_model(model, tmp_path / "a.onnx", "onnx")
    (found,) = session(made.path).run(None, {"source": pictures.numpy()})
    assert np.abs(found - expected.numpy()).max() < TOLERANCE
    export_model(model, tmp_path / "a.pt2", "torch")
    program = torch.export.load(tmp_path / "a.pt2").module()
    assert torch.allclose(program(pictures), expected, atol=TOLERANCE)
    assert made.checked.difference < made.checked.tolerance == TOLERANCE
    # And with the pictures that a Translator makes.
    array = (pictures[0].permute(1, 2, 0).numpy() * 255).round().astype("uint8")
    picture = array.transpose(2, 0, 1)[None].astype("float32") / 255
    (found,) = session(made.path).run(None, {"source": picture})
    shown = Translator.load(model, "cpu", "fp32")(array).astype(int)
    assert np.abs((found[0].transpose(1, 2, 0) * 255).round() - shown).max() <= 1


@pytest.mark.parametrize(
    ("spec", "norm"),
    [("resnet:width=4,blocks=1", "image"),
     ("unet:depth=2,width=4,upsample=resize,norm=instance", "running")],
)  # fmt: skip
def test_any_size_and_number(make: Make, tmp_path: Path, spec: str, norm: str) -> None:
    made = export_model(make(spec, inference_norm=norm), tmp_path / "a.onnx", "onnx")
    assert made.facts["any_size"]
    assert made.facts["any_batch"]
    assert made.notes == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        pytest.param("spade:depth=2,width=4,hidden=4", marks=OLD_TORCH),
        "pix2pixhd:width=2,blocks=1",
        "unet-attention:depth=4,width=4",
    ],
)
def test_the_larger_generators(make: Make, tmp_path: Path, spec: str) -> None:
    made = export_model(make(spec, inference_norm="image", size=32), tmp_path / "a.onnx", "onnx")
    assert made.facts["any_size"]


def test_labels_to_labels(make: Make, tmp_path: Path) -> None:
    side = Side("labels", palette=PALETTE)
    made = export_model(make("unet:depth=2,width=4", side, side), tmp_path / "a.onnx", "onnx")
    assert made.facts["source"]["palette"] == [list(colour) for colour in PALETTE]
    numbers = np.random.default_rng(0).integers(0, 3, (1, 1, 16, 16)).astype("uint8")
    (found,) = session(made.path).run(None, {"source": numbers})
    assert (found.dtype, found.shape) == (np.uint8, (1, 1, 16, 16))
    expected = Translator.load(tmp_path / "model.safetensors", "cpu", "fp32")(numbers[0, 0])
    assert (np.array(PALETTE, "uint8")[found[0, 0]] == expected).all()


def test_values_keep_their_units(make: Make, tmp_path: Path) -> None:
    target = Side("values", range=(-10.0, 30.0))
    model = make("unet:depth=2,width=4", target=target, target_dtype="float32")
    made = export_model(model, tmp_path / "a.onnx", "onnx")
    assert made.facts["image"]["range"] == [-10.0, 30.0]
    source = np.random.default_rng(0).random((1, 3, 16, 16), "float32")
    (found,) = session(made.path).run(None, {"source": source})
    expected = Translator.load(model, "cpu", "fp32")(torch.from_numpy(source[0]))
    assert np.abs(found[0] - expected.numpy()).max() < 40 * TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_noise_is_an_input(make: Make, tmp_path: Path, format: Any) -> None:
    """The same for one seed, another for another; without it, the mean rule."""
    model = make("unet:depth=4,width=8,dropout_at=paper", inference_dropout=True)
    made = export_model(model, tmp_path / "a", format)
    assert made.facts["seed"]
    x, seeds = torch.rand(1, 3, 32, 32), [torch.tensor([n]) for n in (1, 1, 2)]
    if format == "onnx":
        ready = session(made.path)
        results = [ready.run(None, {"source": x.numpy(), "seed": n.numpy()})[0] for n in seeds]
    else:
        program = torch.export.load(made.path).module()
        results = [program(x, n).detach().numpy() for n in seeds]
    assert np.array_equal(results[0], results[1])
    assert np.abs(results[0] - results[2]).max() > 1e-3
    off = export_model(model, tmp_path / "b", format, noise="off")
    assert not off.facts["seed"]


@pytest.mark.slow
def test_half_is_half_the_size(make: Make, tmp_path: Path) -> None:
    model = make("unet:depth=4,width=16")
    sizes = {}
    for half in (False, True):
        for format in ("onnx", "torch"):
            made = export_model(model, tmp_path / f"{half}.{format}", format, half=half)
            sizes[half, format] = made.path.stat().st_size
            assert made.checked.difference < (0.05 if half else TOLERANCE)
    for format in ("onnx", "torch"):
        assert sizes[True, format] < 0.65 * sizes[False, format]


def test_a_fixed_size_and_an_opset(make: Make, tmp_path: Path) -> None:
    made = export_model(
        make("unet:depth=2,width=4"), tmp_path / "a.onnx", "onnx", size=(16, 24), opset=18
    )
    proto = onnx.load(made.path)
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["batch", 3, 16, 24]
    assert {o.version for o in proto.opset_import if o.domain == ""} == {18}


@pytest.mark.slow
def test_the_files_say_what_they_hold(make: Make, tmp_path: Path) -> None:
    model = make("unet:depth=2,width=4", trained_on="facades")
    made = export_model(model, tmp_path / "a.onnx", "onnx")
    held = session(made.path).get_modelmeta().custom_metadata_map
    assert json.loads(held["p2ptk"])["trained_on"] == "facades"
    assert json.loads(held["p2ptk_export"]) == made.facts
    export_model(model, tmp_path / "a.pt2", "torch")
    extra = {"p2ptk.json": "", "p2ptk_export.json": ""}
    torch.export.load(tmp_path / "a.pt2", extra_files=extra)
    assert json.loads(extra["p2ptk.json"]) == json.loads(held["p2ptk"])


def test_a_generator_that_does_not_trace_is_named(make: Make, tmp_path: Path) -> None:
    register("generator", "awkward", Awkward)
    with pytest.raises(UserError, match="the generator 'awkward' can't be traced"):
        export_model(make("awkward"), tmp_path / "a.onnx", "onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_one_that_traces_in_part_says_so(make: Make, tmp_path: Path) -> None:
    register("generator", "one-by-one", OneByOne)
    made = export_model(make("one-by-one"), tmp_path / "a.onnx", "onnx")
    assert (made.facts["any_batch"], made.facts["any_size"]) == (False, True)
    assert made.notes[0].startswith("it takes one picture at a time")


def test_what_differs_is_not_written(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(check.TOLERANCE, False, -1.0)
    (tmp_path / "a.onnx").write_text("older")
    with pytest.raises(P2ptkError, match=r"differs from PyTorch by .* nothing was written"):
        export_model(make("unet:depth=2,width=4"), tmp_path / "a.onnx", "onnx")
    assert (tmp_path / "a.onnx").read_text() == "older"


def test_wrong_wishes(make: Make, tmp_path: Path) -> None:
    model = make("unet:depth=3,width=4")
    with pytest.raises(UserError, match="multiples of 8 pixels, and 20 is none: write 16"):
        export_model(model, tmp_path / "a.onnx", "onnx", size=(20, 16))
    with pytest.raises(UserError, match="there is no model"):
        export_model(tmp_path / "none.safetensors", tmp_path / "a.onnx", "onnx")
    resnet = make("resnet:width=4,blocks=1")
    with pytest.raises(UserError, match="no dropout"):
        export_model(resnet, tmp_path / "a.onnx", "onnx", noise="seed")


@pytest.mark.slow
def test_the_command_checks_on_the_runs_pairs(tiny: Callable[..., Any], tmp_path: Path) -> None:
    tiny("run")
    arguments = [str(tmp_path / "run"), "--format", "onnx", "-o", str(tmp_path / "to" / "a.onnx")]
    done = CliRunner().invoke(export, arguments)
    assert done.exit_code == 0, done.output
    assert "(validation pairs of its run): largest difference" in done.output
    assert "H and W any multiples of 8" in done.output
    picture = tmp_path / "own.png"
    Image.fromarray(np.full((50, 50, 3), 90, "uint8")).save(picture)
    done = CliRunner().invoke(export, [*arguments, "--check", str(picture), "--json"])
    assert json.loads(done.output)["on"] == "own.png"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--format", "torch", "--opset", "18"], "--opset goes with"),
        (["--format", "onnx", "--runtime", "x"], "--runtime goes with"),
        (["--format", "web"], "the plugin p2ptk-web provides it"),
    ],
)
def test_wrong_options(make: Make, tmp_path: Path, more: list[str], words: str) -> None:
    arguments = [str(make("unet:depth=2,width=4")), *more, "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(export, arguments)
    assert isinstance(done.exception, UserError)
    assert words in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_named(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2ptk.export.formats.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'the package onnx: pip install "p2ptk\[export\]"'):
        export_model(make("unet:depth=2,width=4"), tmp_path / "a.onnx", "onnx")
