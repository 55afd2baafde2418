"""What a model file says of itself, in plain values and in words, for `p2ptk show`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import p2ptk
from p2ptk.contracts import Side
from p2ptk.plugins import registry
from p2ptk.specs import Spec
from p2ptk.tensors import read_table
from p2ptk.weights import ModelHeader, find_model, missing_providers, read_header

# Buffers of norms, by what torch calls them: they are stored, but no weights.
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def model_facts(path: str | Path) -> dict[str, Any]:
    """The header of a model file or run folder, and what its tensors add up to.

    Neither torch nor the tensors are loaded. Raises UserError where it is no model file.
    """
    file = find_model(path)
    header = read_header(file)
    tensors = {k: v for k, v in read_table(file).items() if k != "__metadata__"}
    statistics = {k: v for k, v in tensors.items() if k.rpartition(".")[2] in STATISTICS}
    facts = {"file": str(file), "bytes": file.stat().st_size, **header.model_dump(mode="json")}
    return facts | {
        "spec": str(header.spec),
        "parameters": _count(v for k, v in tensors.items() if k not in statistics),
        "statistics": _count(statistics.values()),
        "tensors": len(tensors),
        "dtypes": dict(Counter(entry["dtype"] for entry in tensors.values()).most_common()),
        "providers": [
            {"part": part, "provider": provider, **provider_state(part, provider)}
            for part, provider in header.providers.items()
        ],
    }


def _count(entries: Iterable[dict[str, Any]]) -> int:
    return sum(math.prod(entry["shape"]) for entry in entries)


def provider_state(part: str, provider: str) -> dict[str, str]:
    """Whether what a model needs is here: `state`, and a `note` in words.

    state: `installed`, `other version`, `not active` or `missing`.
    """
    distribution, _, version = provider.partition(" ")
    loaded = next((s for s in registry().plugins if s.distribution == distribution), None)
    if loaded is not None and loaded.status != "active":
        return {"state": "not active", "note": loaded.reason}
    here = loaded.version if loaded else _installed(distribution)
    if here is None:
        missing = missing_providers({part: provider})
        return {"state": "missing", "note": missing[0] if missing else "it is not installed"}
    if here != version:
        local = distribution.startswith("local/")
        other = "the file is another one now" if local else f"{here} is installed here"
        return {"state": "other version", "note": other}
    return {"state": "installed", "note": ""}


def _installed(distribution: str) -> str | None:
    if distribution == "p2ptk":
        return p2ptk.__version__
    try:
        return metadata.version(distribution)
    except (metadata.PackageNotFoundError, ValueError):
        return None


def model_lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The same in words: label and text, in the order of a person's questions."""
    header = ModelHeader.model_validate({**facts, "providers": {}})
    a, b = header.direction.split("to")
    trained = f"step {header.step:,}"
    if header.trained_on:
        trained += f" on {header.trained_on}"
    if header.pairs:
        trained += f" ({header.pairs:,} pair{'s' * (header.pairs != 1)})"
    size = f"{_size(header.size)} pixels; others are {_multiples(header.size_multiple)}"
    rule = {
        "running": "batch norm by running statistics",
        "image": "batch norm by each picture's own statistics",
    }[header.inference_norm]
    count = f"{facts['parameters']:,} weights"
    if facts["statistics"]:
        count += f" and {facts['statistics']:,} running statistics"
    dtypes = ", ".join(facts["dtypes"])
    photo, channels = header.photo_channels, header.target_channels
    source = f"{a}: {_side(header.source, header.source_channels, header.source_dtype)}"
    if header.derive:
        count_of = header.source_channels
        source = f"{count_of} channel{'s' * (count_of != 1)}, made from a photo like the target"
    lines = [
        ("file", f"{facts['file']} ({facts['bytes'] / 2**20:.1f} MiB)"),
        ("generator", _spaced(header.spec)),
        ("holds", f"{count} in {facts['tensors']} tensors ({dtypes})"),
        ("source", source),
        ("target", f"{b}: {_side(header.target, photo or channels, header.target_dtype)}"),
        ("size", size),
        ("trained", trained),
        ("at test time", f"{rule}, dropout {'on' if header.inference_dropout else 'off'}"),
    ]
    if header.aspect and abs(header.aspect - header.size[1] / header.size[0]) > 0.01:
        lines.append(("shape", f"its sources were {header.aspect:.3g} times as wide as high"))
    lines += [("source made by", str(Spec.of(table))) for table in header.derive]
    if photo not in (None, channels):
        lines.append(("the network", f"gives {channels} channels, made into the target's {photo}"))
    if header.parent:
        lines.append(("started from", header.parent))
    lines.append(("written by", f"p2ptk {header.version}, format {header.format}"))
    makers = [f"augmentation/{table['name']}" for table in header.derive]
    return lines + list(_needs(facts["providers"], makers))


def _needs(providers: list[dict[str, str]], makers: list[str]) -> Iterable[tuple[str, str]]:
    """What the generator needs to be built again, or its source to be made, and what took part in
    its training."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    for each in providers:
        built = each["part"].startswith(("generator/", "encoder/")) or each["part"] in makers
        label = "needs" if built else "trained with"
        key = (label, each["provider"], each["state"], each["note"])
        grouped.setdefault(key, []).append(each["part"].replace("/", " ", 1))
    for (label, provider, state, note), parts in sorted(grouped.items(), key=lambda g: g[0][0]):
        words = f"{', '.join(parts)} of {provider}: {state}"
        yield label, f"{words}; {note}" if note else words


def _side(side: Side, channels: int, dtype: str) -> str:
    shown = f"{channels} channel{'s' * (channels != 1)}, {dtype}"
    if side.kind == "labels":
        return f"labels of {channels} classes, {dtype}"
    if side.range:
        shown += f", {side.range[0]:g} to {side.range[1]:g}"
    return f"{side.kind}, {shown}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _multiples(multiple: tuple[int, int]) -> str:
    if multiple == (1, 1):
        return "taken as they are"
    shown = str(multiple[0]) if multiple[0] == multiple[1] else _size(multiple)
    return f"padded to multiples of {shown}"


def _spaced(spec: Spec) -> str:
    """The spec with room between its parameters, which can still be read back."""
    params = [str(Spec("x", {key: value}))[2:] for key, value in spec.params.items()]
    return f"{spec.name}:{', '.join(params)}" if params else spec.name
