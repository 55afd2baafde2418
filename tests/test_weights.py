from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import p2ptk
from p2ptk.components import register
from p2ptk.contracts import Side
from p2ptk.errors import UserError
from p2ptk.weights import (
    ModelHeader,
    find_model,
    load_generator,
    load_matching,
    missing_providers,
    read_header,
    save_generator,
)


class Tiny(nn.Module):
    """A generator small enough for a test."""

    size_multiple = 4

    def __init__(
        self,
        *,
        source_channels: int,
        target_channels: int,
        width: Annotated[int, Field(gt=0)] = 4,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.down = nn.Conv2d(source_channels, width, 4, 2, 1)
        self.norm = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(dropout)
        self.up = nn.ConvTranspose2d(width, target_channels, 4, 2, 1)

    def forward(self, source: Tensor) -> Tensor:
        return torch.tanh(self.up(self.drop(torch.relu(self.norm(self.down(source))))))


@pytest.fixture(autouse=True)
def _tiny() -> None:
    register("generator", "tiny-test", Tiny)


def header(**changed: Any) -> ModelHeader:
    given: dict[str, Any] = {
        "generator": {"name": "tiny-test", "width": 4, "dropout": 0.5},
        "source_channels": 3,
        "target_channels": 2,
        "size": (8, 8),
        "size_multiple": (4, 4),
        "providers": {"generator/tiny-test": "here 0"},
        "step": 7,
    }
    return ModelHeader(**{**given, **changed})


def tiny(seed: int = 0) -> Tiny:
    torch.manual_seed(seed)
    return Tiny(source_channels=3, target_channels=2)


def raw(path: Path, about: dict[str, str] | None) -> Path:
    save_file({"a": torch.ones(2)}, path, about)
    return path


def test_header_round_trips(tmp_path: Path) -> None:
    full = header(
        direction="BtoA",
        source=Side(kind="labels", palette=((0, 0, 0), (255, 0, 9))),
        target=Side(kind="values", range=(-3.5, 12.0)),
        source_dtype="uint8",
        target_dtype="float32",
        parent="sha256:00",
        inference_norm="image",
        inference_dropout=True,
        derive=({"name": "canny", "low": 0.1},),
        trained_on="fassaden-ü",
        pairs=400,
    )
    save_generator(tmp_path / "m.safetensors", tiny(), full)
    assert read_header(tmp_path / "m.safetensors") == full
    assert full.spec.params["width"] == 4
    assert full.format == 1
    assert full.version == p2ptk.__version__


def test_reading_a_header_loads_no_torch(tmp_path: Path) -> None:
    save_generator(tmp_path / "m.safetensors", tiny(), header())
    code = (
        "import sys; from p2ptk.weights import read_header\n"
        "assert read_header(sys.argv[1]).step == 7; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "m.safetensors")], check=True)


def test_tensors_keep_values_dtype_and_survive_sharing(tmp_path: Path) -> None:
    module = tiny().to(memory_format=torch.channels_last)
    module.norm.half()
    module.twin = module.down  # the same tensors under two names
    path = tmp_path / "m.safetensors"
    save_generator(path, module, header())
    stored = load_file(path)
    assert stored.keys() == module.state_dict().keys()
    for name, tensor in module.state_dict().items():
        assert stored[name].dtype == tensor.dtype
        assert torch.equal(stored[name], tensor)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.safetensors"]


def test_load_generator_gives_the_trained_function(tmp_path: Path) -> None:
    module = tiny()
    module.train()(torch.randn(2, 3, 8, 8))  # moves the running statistics
    save_generator(tmp_path / "generator.safetensors", module, header())
    state = torch.get_rng_state()
    loaded = load_generator(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m.training for m in loaded.modules())
    x = torch.randn(2, 3, 8, 12)
    assert torch.equal(loaded(x), module.eval()(x))


def test_the_header_s_rule_is_applied_and_can_be_overridden(tmp_path: Path) -> None:
    module, x = tiny(), torch.randn(1, 3, 8, 8)
    path = tmp_path / "m.safetensors"
    save_generator(path, module, header(inference_norm="image", inference_dropout=True))
    noisy = load_generator(path)
    assert not torch.equal(noisy(x), noisy(x))
    module.drop.p = 0.0
    expected = module.train()(x)
    torch.testing.assert_close(load_generator(path, dropout=False)(x), expected)
    running = load_generator(path, norm="running", dropout=False)
    fresh = tiny().eval()
    assert torch.equal(running(x), fresh(x))


def damaged(path: Path, change: Callable[[bytes], bytes]) -> Path:
    save_generator(path, tiny(), header())
    path.write_bytes(change(path.read_bytes()))
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-1], "is truncated"),
        (lambda data: data[:100], "is truncated"),
        (lambda data: data[:5], "is not a safetensors file"),
        (lambda data: b"", "is empty"),
        (lambda data: b"hello, this is text", "is not a safetensors file"),
        (lambda data: b"PK\x03\x04" + bytes(20), "is a PyTorch file; `p2ptk import"),
        (lambda data: b"\x80\x02}q\x00." + bytes(20), "is a PyTorch file"),
        (lambda data: data[:8] + b"{" * (len(data) - 8), "its table is damaged"),
        (lambda data: (2**40).to_bytes(8, "little") + data[8:], "is not a safetensors file"),
        (lambda data: (6).to_bytes(8, "little") + b'{"a":1', "its table is damaged"),
        (lambda data: (4).to_bytes(8, "little") + b"{}  ", "no p2ptk header"),
    ],
)
def test_files_that_are_no_models(
    tmp_path: Path, change: Callable[[bytes], bytes], words: str
) -> None:
    path = damaged(tmp_path / "m.safetensors", change)
    for read in (read_header, load_generator):
        with pytest.raises(UserError, match=words):
            read(path)


def test_a_table_of_640_bytes_is_not_taken_for_a_pickle(tmp_path: Path) -> None:
    # 640 little-endian begins as a pickle does: 80 02.
    table = json.dumps({"__metadata__": {"p2ptk": header().model_dump_json()}})
    table = table.ljust(-(-len(table) // 256) * 256 + 128)
    while len(table) & 0xFFFF != 0x0280:
        table += " " * 256
    (tmp_path / "m").write_bytes(len(table).to_bytes(8, "little") + table.encode())
    assert read_header(tmp_path / "m").step == 7


@pytest.mark.parametrize(
    ("about", "words"),
    [
        (None, "holds tensors but no p2ptk header; `p2ptk import"),
        ({"other": "x"}, "no p2ptk header"),
        ({"p2ptk": "{"}, "damaged p2ptk header"),
        ({"p2ptk": "[]"}, "damaged p2ptk header"),
        ({"p2ptk": "[" * 100_000}, "damaged p2ptk header"),
        ({"p2ptk": '{"format": 1}'}, "wrong p2ptk header: generator is required"),
        ({"p2ptk": '{"format": 2, "version": "3.1"}'}, r"format 2, written by p2ptk 3\.1"),
    ],
)
def test_headers_that_are_wrong(tmp_path: Path, about: dict[str, str] | None, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_header(raw(tmp_path / "m.safetensors", about))


def test_unknown_fields_of_a_later_release_are_ignored(tmp_path: Path) -> None:
    table = json.loads(header().model_dump_json()) | {"mood": "good"}
    path = raw(tmp_path / "m.safetensors", {"p2ptk": json.dumps(table)})
    assert read_header(path) == header()


def test_find_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no generator\.safetensors; is it a run folder"):
        find_model(tmp_path)
    raw(tmp_path / "best.safetensors", None)
    with pytest.raises(UserError, match=r"name one of its files: best\.safetensors"):
        find_model(tmp_path)
    with pytest.raises(UserError, match=r"did you mean 'best\.safetensors'"):
        find_model(tmp_path / "bets.safetensors")
    with pytest.raises(UserError, match="there is no model"):
        find_model(tmp_path / "no" / "where")
    raw(tmp_path / "generator.safetensors", None)
    assert find_model(tmp_path) == tmp_path / "generator.safetensors"


def test_a_missing_plugin_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    providers = {
        "generator/oasis": "p2ptk-no-such-thing 0.3",
        "encoder/net": "local/mynet sha256:ab",
        "generator/unet": "p2ptk 0.1.0",
    }
    save_generator(path, tiny(), header(generator={"name": "oasis"}, providers=providers))
    with pytest.raises(UserError, match=r"'oasis' of p2ptk-no-such-thing 0\.3: pip install") as e:
        load_generator(path)
    assert "--plugin mynet.py" in str(e.value)
    assert missing_providers({"generator/unet": "p2ptk 0.1.0", "loss/x": "torch 2"}) == []
    save_generator(path, tiny(), header(generator={"name": "no-such-net"}, providers={}))
    with pytest.raises(UserError, match=r"can't be rebuilt: there is no generator 'no-such-net'"):
        load_generator(path)


def test_the_first_tensor_that_does_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    wider = {"name": "tiny-test", "width": 5}
    save_generator(path, tiny(), header(generator=wider))
    words = r"'down\.weight' is 4x3x4x4 in the file and 5x3x4x4 in the generator"
    with pytest.raises(UserError, match=words):
        load_generator(path)
    short = tiny()
    del short.up
    save_generator(path, short, header())
    with pytest.raises(UserError, match=r"lacks the tensor 'up\.weight'"):
        load_generator(path)
    long = tiny()
    long.more = nn.Linear(1, 1)
    save_generator(path, long, header())
    with pytest.raises(UserError, match=r"holds the tensor 'more\."):
        load_generator(path)


def test_load_matching_takes_what_fits_and_lists_the_rest() -> None:
    mine = Tiny(source_channels=1, target_channels=2)
    theirs = tiny(5)
    tensors = theirs.state_dict()
    tensors["old"] = tensors.pop("down.bias")
    before = mine.down.weight.clone()
    loaded, rest = load_matching(mine, tensors)
    assert "up.weight" in loaded
    assert torch.equal(mine.up.weight, theirs.up.weight)
    assert torch.equal(mine.down.weight, before)
    assert rest == {
        "down.weight": "4x3x4x4 in the file, 4x1x4x4 here",
        "old": "not in this generator",
        "down.bias": "not in the file",
    }
