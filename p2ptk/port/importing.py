"""Models that other programs trained, as model files of p2ptk: `p2ptk import`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from p2ptk.components import Resolved, resolve
from p2ptk.errors import UserError
from p2ptk.files import replacing, sha256
from p2ptk.port.foreign import read_state
from p2ptk.port.guess_spec import (
    COUNTER,
    Guess,
    Kind,
    differences,
    guess,
    without_instance_statistics,
)
from p2ptk.port.keys import patchgan_keys, rename, resnet_keys, unet_keys
from p2ptk.rebuild import rebuilding
from p2ptk.specs import Spec
from p2ptk.tensors import save_tensors
from p2ptk.weights import FORMAT, ModelHeader, save_generator

KNOWN = {
    "generator": "the port's U-Net and ResNet generators",
    "discriminator": "the port's PatchGAN discriminators",
}


@dataclass
class Imported:
    """A foreign network in p2ptk's terms.

    spec: every parameter written out; short: those that are not at their default.
    notes: what was assumed or left out, each a sentence.
    """

    kind: Kind
    resolved: Resolved
    network: nn.Module
    source_channels: int
    target_channels: int
    parent: str
    notes: list[str] = field(default_factory=list)

    @property
    def spec(self) -> Spec:
        return self.resolved.spec

    @property
    def short(self) -> Spec:
        return self.resolved.short

    @property
    def providers(self) -> dict[str, str]:
        return {f"{self.kind}/{self.spec.name}": self.resolved.provided.provider}


def read_network(
    path: str | Path,
    *,
    generator: str | Spec | None = None,
    discriminator: str | Spec | None = None,
    source_channels: int | None = None,
    target_channels: int | None = None,
    key: str | None = None,
) -> Imported:
    """Read a state dict (see `foreign.read_state`) into the network it belongs to.

    generator, discriminator: the spec; without either one it is guessed from the tensors. The names
    in the file are the PyTorch port's, or those of the network itself.
    Raises UserError where the tensors fit no known network, naming the first that does not.
    """
    path = Path(path)
    state = read_state(path, key)
    guessed = guess(state)
    if generator is not None or discriminator is not None:
        kind: Kind = "generator" if generator is not None else "discriminator"
        resolved = resolve(kind, generator or discriminator or "")
    elif guessed is None:
        first = next(iter(state))
        raise UserError(
            f"{path} fits no network known here ({' or '.join(KNOWN.values())}): they have no "
            f"tensor {first!r}. Name it with -G, which may be a class of yours: -G ./net.py:MyNet."
        )
    elif guessed.mismatch:
        raise UserError(f"{path} looks like {guessed.spec}, but {guessed.mismatch}.")
    else:
        kind, resolved = guessed.kind, resolve(guessed.kind, guessed.spec)

    source = source_channels or (guessed.source_channels if guessed else 3)
    target = target_channels or (guessed.target_channels if guessed else 3)
    with torch.random.fork_rng(devices=[]), rebuilding():
        network: nn.Module = resolved.build(source_channels=source, target_channels=target)
    plain = without_instance_statistics(state)
    modules = _modules(kind, resolved, plain, network, guessed)
    wrong = next(differences(plain, network, modules), None)
    if wrong:
        hint = f" It looks like {guessed.spec}." if guessed and not guessed.mismatch else ""
        raise UserError(f"{path} does not fit {resolved.short}: {wrong}.{hint}")
    renamed = rename(plain, modules) if modules else plain
    counters = {k: torch.zeros_like(v) for k, v in network.state_dict().items() if COUNTER in k}
    network.load_state_dict({**counters, **renamed})
    made = Imported(kind, resolved, network, source, target, f"{path} sha256:{sha256(path)}")
    made.notes += _notes(state, plain, made, guessed=generator is None and discriminator is None)
    return made


def _modules(
    kind: Kind,
    resolved: Resolved,
    state: Mapping[str, Tensor],
    network: nn.Module,
    guessed: Guess | None,
) -> dict[str, str]:
    """The port's names of a network's modules -> ours; empty where the file has ours already."""
    own = network.state_dict().keys()
    params = resolved.params
    if any(name in own for name in state):
        return {}
    match kind, resolved.spec.name:
        case "generator", "unet" if params["encoder"] is None:
            return unet_keys(params["depth"])
        case "generator", "resnet":
            moved = bool(guessed and guessed.spec.params.get("dropout"))
            padding = params["padding"] == "zero"
            return resnet_keys(
                params["blocks"], params["downsamplings"], dropout=moved, zero_padding=padding
            )
        case "discriminator", "patchgan":
            return patchgan_keys(params["layers"])
    return {}


def _notes(
    state: Mapping[str, Tensor], plain: Mapping[str, Tensor], made: Imported, guessed: bool
) -> list[str]:
    notes = []
    if len(plain) < len(state):
        count = len(state) - len(plain)
        notes.append(f"{count} old statistics of instance norm are left out: they had no use")
    broken = [name for name, x in plain.items() if not torch.isfinite(x).all()]
    if broken:
        notes.append(f"{len(broken)} tensors hold NaN or infinity, the first {broken[0]!r}")
    if guessed and made.spec.name == "unet":
        notes.append(
            "dropout leaves no trace in a U-Net's tensors: the port's 0.5 is taken, which matters "
            "to further training and to --noise alone"
        )
    if guessed and made.spec.params["norm"] == "instance" and len(plain) == len(state):
        notes.append(
            "instance norm leaves no tensors, and is taken rather than none because of the biases"
        )
    if guessed and made.spec.params.get("padding") == "reflect":
        notes.append("padding by reflection is taken, as in the port")
    return notes


def save_imported(
    made: Imported,
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    direction: Literal["AtoB", "BtoA"] = "AtoB",
    norm: Literal["running", "image"] = "running",
    dropout: bool = False,
) -> Path:
    """Write a model file; in a folder it is called as a run folder's would be. Gives its path.

    size: of the pictures it was trained for; without one the U-Net's own (2^depth), else 256.
    norm, dropout: the rule at test time, as stored with a generator.
    A discriminator's file has a header of its own kind: `p2ptk run --init FOLDER` takes it up from
    the folder that also holds the generator's.
    Raises UserError rather than write over a file.
    """
    place = Path(path)
    if place.is_dir() or str(path).endswith(("/", "\\")) or not place.suffix:
        place = place / f"{made.kind}.safetensors"
    if place.exists():
        raise UserError(f"{place} is there already: remove it, or write another name.")
    place.parent.mkdir(parents=True, exist_ok=True)
    if made.kind == "discriminator":
        about: dict[str, Any] = {
            "format": FORMAT,
            "discriminator": made.spec.table(),
            "providers": made.providers,
            "parent": made.parent,
        }
        with replacing(place) as unfinished:
            heading = {"p2ptk-discriminator": json.dumps(about)}
            save_tensors(unfinished, made.network.state_dict(), heading)
        return place
    multiple: Any = getattr(made.network, "size_multiple", 1)
    native = made.spec.name == "unet" and isinstance(multiple, int)
    header = ModelHeader(
        generator=made.spec.table(),
        source_channels=made.source_channels,
        target_channels=made.target_channels,
        size=size or ((multiple, multiple) if native else (256, 256)),
        size_multiple=multiple,
        direction=direction,
        providers=made.providers,
        parent=made.parent,
        inference_norm=norm,
        inference_dropout=dropout,
    )
    save_generator(place, made.network, header)
    return place
