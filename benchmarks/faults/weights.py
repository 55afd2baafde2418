"""Targets of fuzz.py that hold weights: model files, checkpoints, files of torch.save.

Each is as `targets` says.
"""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.faults import mutate
from benchmarks.faults.hostile import pickles
from benchmarks.faults.killing import small_config, write_pairs

Case = Callable[[], object]
Maker = Callable[[random.Random], Case]


def model(folder: Path) -> Maker:
    """A model file: its table, the p2ptk header in it, and its bytes."""
    from p2ptk.components import create
    from p2ptk.contracts import Side
    from p2ptk.weights import ModelHeader, load_generator, read_header, save_generator

    nets = []
    for spec in ("unet:depth=3,width=4", "resnet:width=4,blocks=1,downsamplings=1"):
        net = create("generator", spec, source_channels=3, target_channels=3)
        table = {"name": spec.partition(":")[0], **_params(spec)}
        header = ModelHeader(
            generator=table, source_channels=3, target_channels=3, size=(32, 32), source=Side()
        )
        save_generator(folder / "sound.safetensors", net, header)
        nets.append((folder / "sound.safetensors").read_bytes())
    place = folder / "model.safetensors"

    def make(rng: random.Random) -> Case:
        data = rng.choice(nets)
        length = int.from_bytes(data[:8], "little")
        table, body = json.loads(data[8 : 8 + length]), data[8 + length :]
        match rng.randrange(4):
            case 0:
                data = mutate.in_bytes(data, rng)
            case 1:
                data = packed(mutate.in_table(table, rng), body)
            case _:
                header = mutate.in_table(json.loads(table["__metadata__"]["p2ptk"]), rng)
                table["__metadata__"]["p2ptk"] = as_json(header)
                data = packed(table, body)
        place.write_bytes(data)

        def read() -> None:
            read_header(place)
            load_generator(place)

        return read

    return make


def state(folder: Path) -> Maker:
    """A checkpoint's state.json, and its other files, taken up by a trainer."""
    from p2ptk.build import build_parts, resolve_config
    from p2ptk.checkpoint import newest_checkpoint
    from p2ptk.data import build_data
    from p2ptk.interrupts import Interrupts
    from p2ptk.manifest import make_header
    from p2ptk.observe import Observer
    from p2ptk.runfolder import RunFolder
    from p2ptk.train import Trainer

    config = resolve_config(small_config(write_pairs(folder / "pairs")))
    data = build_data(config)
    parts = build_parts(config, data)
    run = RunFolder(folder / "run")
    run.create()
    trainer = Trainer(config, data, parts, run, make_header(config, data, parts, None), Observer())
    trainer.run(Interrupts(), stop_at=1)
    place = next((run.path / "checkpoints").iterdir())
    sound = {p.name: p.read_bytes() for p in place.iterdir()}

    def make(rng: random.Random) -> Case:
        for name, content in sound.items():
            if not (place / name).exists() or (place / name).read_bytes() != content:
                (place / name).write_bytes(content)
        if rng.random() < 0.8:
            table = json.loads(sound["state.json"])
            del table["sum"]  # of the state, which early checkpoints lack
            inner = rng.random() < 0.6  # what the sums say nothing of
            if inner:
                table["state"] = mutate.in_table(table["state"], rng)
            else:
                table = mutate.in_table(table, rng)
            text = as_json(table).encode("utf-8", "surrogatepass")
            (place / "state.json").write_bytes(
                mutate.in_bytes(text, rng) if rng.random() < 0.2 else text
            )
        else:
            name = rng.choice(sorted(sound))
            (place / name).write_bytes(mutate.in_bytes(sound[name], rng))

        def restore() -> None:
            checkpoint, _ = newest_checkpoint(run.path)
            if checkpoint is not None:
                trainer.restore(checkpoint)

        return restore

    return make


def imported(folder: Path) -> Maker:
    """A file of torch.save for `p2ptk import`: tensors, or code that must never run."""
    from p2ptk.components import create
    from p2ptk.port.importing import read_network, save_imported

    net = create("generator", "resnet:width=4,blocks=1,downsamplings=1", source_channels=3,
                 target_channels=3)  # fmt: skip
    sound = []
    for archive in (True, False):
        for what in (net.state_dict(), {"state_dict": net.state_dict(), "epoch": 3}):
            buffer = io.BytesIO()
            torch.save(what, buffer, _use_new_zipfile_serialization=archive)
            sound.append(buffer.getvalue())
    zipped = [data for data in sound if data.startswith(b"PK")]
    place, canary, out = folder / "net.pth", folder / "canary", folder / "out.safetensors"

    def make(rng: random.Random) -> Case:
        out.unlink(missing_ok=True)
        match rng.randrange(5):
            case 0:
                data = mutate.in_bytes(rng.choice(sound), rng)
            case 1:
                data = _with_pickle(rng.choice(zipped), rng, lambda p: mutate.in_bytes(p, rng))
            case 2:
                hostile = rng.choice(pickles(canary))
                data = _with_pickle(rng.choice(zipped), rng, lambda _: hostile)
            case 3:
                data = rng.choice(pickles(canary))
            case _:
                data = mutate.in_bytes(rng.choice(pickles(canary)), rng)
        place.write_bytes(data)
        given = rng.choice((None, "resnet:width=4,blocks=1,downsamplings=1"))

        def take() -> None:
            try:
                save_imported(read_network(place, generator=given), out)
            finally:
                if canary.exists():
                    raise AssertionError("code of the file was run")

        return take

    return make


def packed(table: Any, body: bytes) -> bytes:
    """A safetensors file of a table, which may be wrong, and the tensors' bytes."""
    text = as_json(table).encode("utf-8", "surrogatepass")
    return len(text).to_bytes(8, "little") + text + body


def as_json(table: Any) -> str:
    return json.dumps(table, ensure_ascii=False)


def _params(text: str) -> dict[str, Any]:
    from p2ptk.specs import Spec

    return dict(Spec.parse(text).params)


def _with_pickle(data: bytes, rng: random.Random, change: Callable[[bytes], bytes]) -> bytes:
    """torch's archive with another pickle in it."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name.endswith("data.pkl") else content)
    return made.getvalue()
