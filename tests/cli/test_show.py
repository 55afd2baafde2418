from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import p2ptk
from p2ptk.cli.show_component import (
    example,
    first_paragraph,
    network_facts,
    parameter_notes,
    recipe_facts,
)
from p2ptk.cli.show_model import provider_state
from p2ptk.components import create, find, list_components, register
from p2ptk.contracts import KINDS, Side
from p2ptk.specs import Spec
from p2ptk.weights import ModelHeader, save_generator

Command = Callable[..., Any]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A run folder with the weights of a small U-Net."""
    spec = Spec("unet", {"depth": 3, "width": 4, "dropout": 0.0})
    generator = create("generator", spec, source_channels=5, target_channels=1)
    header = ModelHeader(
        generator=spec.table(),
        source_channels=5,
        target_channels=1,
        size=(64, 128),
        size_multiple=(8, 8),
        direction="BtoA",
        source=Side(kind="labels", classes=5),
        target=Side(kind="values", range=(0.0, 9000.0)),
        target_dtype="uint16",
        providers={
            "generator/unet": f"p2ptk {p2ptk.__version__}",
            "loss/far": "p2ptk-nowhere 3.1",
            "metric/old": "pydantic 0.1",
        },
        step=1234,
        parent="runs/older/generator.safetensors sha256:ab",
        inference_norm="image",
        inference_dropout=True,
        trained_on="facades",
        pairs=400,
        aspect=3.0,
    )
    folder = tmp_path / "run"
    folder.mkdir()
    save_generator(folder / "generator.safetensors", generator, header)
    return folder


def test_a_generator(command: Command) -> None:
    done = command("show", "generator", "unet")
    assert done.code == 0
    for words in (
        "generator unet: encoder and decoder with skips",
        "Encoder, decoder, and skips between features of one size (Isola et al. 2017, 6.1.1).",
        "weights 54,413,955, for pictures of 3 channels",
        "size height and width in multiples of 256",
        f"provider p2ptk {p2ptk.__version__}",
        "generators/unet.py:",
        "paper Isola et al., CVPR 2017, arXiv 1611.07004",
        "depth 8 int, >= 2, <= 16 halvings of the size",
        "norm batch batch | instance | none",
        "dropout 0.5 float, >= 0, < 1",
        "encoder none component, of kind encoder | none",
        "p2ptk run -d DATA -G unet:depth=8,width=64",
    ):
        assert words in done.words, words
    assert "source_channels" not in done.out


@pytest.mark.parametrize(
    ("spec", "key", "value"),
    [
        ("unet", "parameters", 54_413_955),
        ("unet:depth=7", "size_multiple", 128),
        ("unet:width=32", "parameters", 13_608_259),
        ("unet:encoder=conv(depth=5)", "size_multiple", 32),
        ("resnet", "size_multiple", 4),
    ],
)
def test_counts_are_for_the_spec(command: Command, spec: str, key: str, value: int) -> None:
    facts = command("show", "generators", spec, "--json").json
    assert facts["network"][key] == value
    if key == "parameters":
        built = create("generator", spec, source_channels=3, target_channels=3)
        assert sum(p.numel() for p in built.parameters()) == value


def test_given_parameters_are_marked(command: Command) -> None:
    facts = command("show", "generator", "unet:width=32", "--json").json
    by_name = {p["name"]: p for p in facts["parameters"]}
    assert by_name["width"]["value"] == 32
    assert by_name["width"]["default"] == 64
    assert "value" not in by_name["depth"]
    assert by_name["encoder"]["default"] == "none"
    assert facts["example"] == "p2ptk run -d DATA -G unet:width=32"
    assert "width 32 int, > 0" in command("show", "generator", "unet:width=32").words


@pytest.mark.parametrize(
    ("layers", "field"), [(0, 1), (1, 16), (2, 34), (3, 70), (4, 142), (5, 286), (6, 574)]
)
def test_a_discriminator_has_its_receptive_field(command: Command, layers: int, field: int) -> None:
    done = command("show", "discriminator", f"patchgan:layers={layers},width=4")
    assert f"judges patches of {field} pixels a side" in done.words
    assert f"-D patchgan:layers={layers},width=4" in done.out


def test_an_encoder_is_shown_inside_a_unet(command: Command) -> None:
    facts = command("show", "encoder", "conv:depth=2,width=4", "--json").json
    assert facts["network"]["strides"] == [2, 4]
    assert facts["network"]["channels"] == [4, 8]
    assert facts["example"].endswith("-G 'unet:encoder=conv(depth=2,width=4)'")


def test_every_built_in_component_can_be_shown(command: Command) -> None:
    command("components", "--no-plugins")
    for provided in list_components():
        done = command("show", provided.kind, provided.name)
        assert done.code == 0, done.err
        facts = command("show", provided.kind, provided.name, "--json").json
        assert facts["provider"] == f"p2ptk {p2ptk.__version__}"
        assert "error" not in facts.get("network", {})
        if provided.kind != "recipe":
            assert facts["doc"]
            assert Path(facts["source"].rpartition(":")[0]).is_file()
            assert f"p2ptk {facts['example'].split()[1]}" in done.words


def test_examples_can_be_read_back() -> None:
    from p2ptk.components import resolve
    from p2ptk.contracts import SUPPLIED
    from p2ptk.schema import parameters, plain

    for provided in list_components():
        if provided.kind in ("recipe", "command", "dataset", "encoder"):
            continue
        fields = parameters(provided.component.load(), SUPPLIED.get(provided.kind, ()))
        if any(field.required for field in fields):
            continue
        defaults = plain(fields, {f.name: f.default for f in fields if not f.required})
        text = example(provided, Spec(provided.name), fields, defaults)
        assert resolve(provided.kind, text).spec == resolve(provided.kind, provided.name).spec
    dataset = find("dataset", "side-by-side")
    fields = parameters(dataset.component.load())
    assert example(dataset, Spec("side-by-side"), fields, {}) == "side-by-side:path=PATH"


def test_required_parameters_are_said(command: Command) -> None:
    done = command("show", "dataset", "side-by-side")
    assert "path required Path" in done.words
    assert "side-by-side:path=PATH" in done.words


def test_a_network_that_cannot_be_built_here_is_explained() -> None:
    def build() -> torch.nn.Module:
        raise OSError("the weights are not on this machine")

    assert network_facts(build) == {"error": "OSError: the weights are not on this machine"}


def test_a_network_that_looks_at_its_weights_is_built_for_real() -> None:
    class Looks(torch.nn.Module):
        receptive_field = 3

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(4))
            self.fixed = torch.nn.Parameter(torch.ones(2), requires_grad=False)
            assert float(self.weight.detach().sum()) == 4

    facts = network_facts(Looks)
    assert facts == {"inputs": 3, "parameters": 6, "trainable": 4, "receptive_field": 3}


def test_docstrings_are_taken_apart() -> None:
    doc = "A thing\nof two lines.\n\na, b: both\n    of them.\nc: one.\n\nRaises: never."
    assert first_paragraph(doc) == "A thing of two lines."
    assert parameter_notes(doc, ["a", "b", "c"]) == {
        "a": "both of them.",
        "b": "both of them.",
        "c": "one.",
    }
    assert first_paragraph("") == ""


def test_a_recipe_is_printed_as_toml_with_its_comments(command: Command) -> None:
    done = command("show", "recipe", "quick")
    assert done.code == 0
    head, _, rest = done.out.partition("\n")
    assert head.startswith(f"# quick, of p2ptk {p2ptk.__version__}: ")
    place = Path(head.rpartition(": ")[2])
    assert rest == place.read_text("utf-8")
    assert tomllib.loads(done.out)["recipe"] == "pix2pix"
    facts = command("show", "recipes", "quick", "--json").json
    assert facts["toml"] == rest
    assert facts["settings"]["train"]["lr"] == 2e-4  # of the recipe that it builds on
    assert recipe_facts("pix2pix")["settings"]["size"] == 256


def test_a_model_file_in_words(command: Command, model: Path) -> None:
    done = command("show", model)
    assert done.code == 0, done.err
    for words in (
        f"file {model / 'generator.safetensors'} (0.0 MiB)",
        "generator unet:depth=3, width=4, dropout=0.0",
        "source B: labels of 5 classes, uint8",
        "target A: values, 1 channel, uint16, 0 to 9000",
        "size 64x128 pixels; others are padded to multiples of 8",
        "shape its sources were 3 times as wide as high",
        "trained step 1,234 on facades (400 pairs)",
        "at test time batch norm by each picture's own statistics, dropout on",
        "started from runs/older/generator.safetensors sha256:ab",
        f"written by p2ptk {p2ptk.__version__}, format 1",
        f"needs generator unet of p2ptk {p2ptk.__version__}: installed",
        "trained with loss far of p2ptk-nowhere 3.1: missing; the loss 'far' of p2ptk-nowhere 3.1",
        "metric old of pydantic 0.1: other version;",
    ):
        assert words in done.words, words


def test_a_model_file_as_json(command: Command, model: Path) -> None:
    facts = command("show", model / "generator.safetensors", "--json").json
    spec = "unet:depth=3,width=4,dropout=0.0"
    assert facts["spec"] == spec
    built = create("generator", spec, source_channels=5, target_channels=1)
    assert facts["parameters"] == sum(p.numel() for p in built.parameters())
    assert facts["statistics"] == sum(b.numel() for b in built.buffers())
    assert facts["tensors"] == len(built.state_dict())
    assert facts["size"] == [64, 128]
    assert facts["step"] == 1234
    assert [p["state"] for p in facts["providers"]] == ["installed", "missing", "other version"]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("generator", "type `p2ptk components generator` for the list, or `p2ptk show generator N"),
        ("losses", "`p2ptk show loss NAME` for one of them."),
        ("resnet", "'resnet' is a generator; type `p2ptk show generator resnet`."),
        ("resnet:width=32", "type `p2ptk show generator resnet`."),
        ("l1", "type `p2ptk show loss l1` or `p2ptk show metric l1`."),
        ("unett", "there is no model, and no component, 'unett': did you mean 'unet'?"),
        ("runs/nowhere", "there is no model 'runs/nowhere'"),
        ("nowhere.safetensors", "there is no model 'nowhere.safetensors'"),
    ],
)
def test_one_word_that_is_no_model(
    command: Command, word: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("show", word)
    assert done.code == 2
    assert sentence in done.err


def test_a_folder_called_like_a_component_is_a_model(
    command: Command, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.rename(model.parent / "unet")
    monkeypatch.chdir(model.parent)
    assert "trained step 1,234" in command("show", "unet").words


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("generator", "unett"), "there is no generator 'unett': did you mean 'unet'?"),
        (("generatr", "unet"), "there is no kind 'generatr': did you mean 'generator'?"),
        (("generator", "unet:widht=3"), "did you mean 'width'?"),
        (("generator", "unet:width=0"), "width should be greater than 0"),
        (("recipe", "quik"), "did you mean 'quick'?"),
    ],
)
def test_wrong_names(command: Command, arguments: tuple[str, str], sentence: str) -> None:
    done = command("show", *arguments)
    assert done.code == 2
    assert sentence in done.err


def test_files_that_are_no_models(command: Command, tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "bare.safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is text")
    for name, sentence in (("bare", "no p2ptk header"), ("text", "not a safetensors file")):
        done = command("show", tmp_path / f"{name}.safetensors")
        assert done.code == 2
        assert sentence in done.err


@pytest.mark.usefixtures("two_plugins")
def test_components_of_plugins(command: Command) -> None:
    done = command("show", "generator", "oasis")
    assert done.code == 1
    assert "the generator 'oasis' of p2ptk-good 1.2 can't be imported: ModuleNotFound" in done.err
    assert command("show", "generator", "p2ptk-good/unet").code == 1
    assert command("show", "generator", "unet").code == 0
    assert provider_state("generator/x", "p2ptk-good 1.2")["state"] == "installed"
    assert provider_state("generator/x", "p2ptk-good 1.1") == {
        "state": "other version",
        "note": "1.2 is installed here",
    }
    assert provider_state("generator/x", "p2ptk-bad 0.3")["state"] == "not active"


def test_a_local_plugin(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    '''One convolution.\n\n    width: of it.'''\n"
        "    size_multiple = 1\n"
        "    def __init__(self, *, source_channels, target_channels, width: int = 3):\n"
        "        super().__init__()\n"
        "        self.conv = nn.Conv2d(source_channels, target_channels, width)\n"
    )
    words = command("show", "generator", "Net", "--plugin", f"generator={file}:Net").words
    assert "weights 84, for pictures of 3 channels" in words
    assert f"source {file}:2" in words
    assert "width 3 int of it." in words
    state = provider_state("generator/Net", find("generator", "Net").provider)
    assert state == {"state": "installed", "note": ""}
    command("components")  # without the file
    state = provider_state("generator/Net", "local/net sha256:ab")
    assert state["state"] == "missing"
    assert "--plugin net.py" in state["note"]


@pytest.fixture
def many_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local plugin whose encoder takes one of many names."""
    (tmp_path / "names_for_show.py").write_text(
        "def models():\n    return ['resnet18', 'resnet34', 'resnet34.a1', 'resnet50', 'vgg']\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "pyramid.py"
    file.write_text(
        "from typing import Annotated\n"
        "from p2ptk import Choices\n"
        "class Pyramid:\n"
        "    def __init__(self, *, source_channels: int,\n"
        "        model: Annotated[str, Choices('names_for_show:models')] = 'vgg'): ...\n"
    )
    return file


def test_a_wildcard_lists_the_names_that_a_parameter_takes(
    command: Command, many_names: Path
) -> None:
    local = ("--plugin", f"encoder={many_names}:Pyramid")
    listed = command("show", "encoder", "Pyramid:model=resnet*", *local)
    assert listed.out.split() == ["resnet18", "resnet34", "resnet50"]
    nested = command("show", "generator", "unet:encoder=Pyramid(model=*.a?)", "--json", *local)
    assert nested.json == {
        "kind": "encoder",
        "name": "Pyramid",
        "parameter": "model",
        "pattern": "*.a?",
        "matches": ["resnet34.a1"],
    }
    for spec, sentence in (
        ("Pyramid:model=swin*", "no model of encoder 'Pyramid' matches 'swin*': choose from"),
        ("Pyramid:model=resnet3", "encoder 'Pyramid' knows no model 'resnet3': did you mean"),
    ):
        done = command("show", "encoder", spec, *local)
        assert done.code == 2
        assert sentence in done.err


def test_what_a_script_registered_is_told_apart() -> None:
    register("generator", "mine-test", torch.nn.Identity)
    assert provider_state("generator/mine-test", "here 0")["state"] == "missing"


def test_every_kind_says_how_it_is_used() -> None:
    from p2ptk.cli.show_component import USES

    assert set(USES) == set(KINDS)
