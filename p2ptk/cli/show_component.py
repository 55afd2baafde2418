"""What is known of a component or a recipe, in plain values for `p2ptk show`."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from p2ptk.components import find, resolve
from p2ptk.contracts import SUPPLIED
from p2ptk.errors import P2ptkError, UserError
from p2ptk.layers import read_recipe
from p2ptk.names import is_pattern
from p2ptk.rebuild import rebuilding
from p2ptk.schema import BadSignature, describe_type, parameters, plain
from p2ptk.specs import Spec

if TYPE_CHECKING:
    from p2ptk.plugins import Provided
    from p2ptk.schema import Parameter

CHANNELS = 3  # of both sides, where a network is built to be counted

# How a component of each kind is asked for.
USES = {
    "generator": "p2ptk run -d DATA -G {}",
    "encoder": "p2ptk run -d DATA -G {}",
    "discriminator": "p2ptk run -d DATA -D {}",
    "loss": "p2ptk run -d DATA -L +{}",
    "dataset": "p2ptk run -d {}",
    "augmentation": "p2ptk run -d DATA -A +{}",
    "metric": "p2ptk evaluate MODEL -d DATA -m {}",
    "launcher": "p2ptk study run STUDY.toml --launcher {}",
    "tracker": "p2ptk run -d DATA --set trackers=[{}]",
    "recipe": "p2ptk run -d DATA --recipe {}",
    "command": "p2ptk {} --help",
}


def component_facts(kind: str, spec: Spec) -> dict[str, Any]:
    """All that is known of a component; with parameters in the spec, of it with these.

    Raises UserError for an unknown name or a wrong parameter, P2ptkError where its own code is at
    fault.
    """
    provided = find(kind, spec.name)
    facts = _head(provided)
    if kind == "command":
        return {**facts, "example": USES[kind].format(provided.name)}
    try:
        target = provided.load()
        fields = parameters(target, SUPPLIED.get(kind, ()))
    except (ImportError, AttributeError, BadSignature) as error:
        raise P2ptkError(f"{kind} {provided.name!r} of {provided.provider}: {error}") from error
    doc = inspect.getdoc(target) or ""
    facts |= {"source": source_of(target), "doc": first_paragraph(doc)}

    resolved = None
    if spec.params or not any(field.required for field in fields):
        resolved = resolve(kind, spec)
    here = plain(fields, resolved.params) if resolved else {}
    defaults = plain(fields, {f.name: f.default for f in fields if not f.required})
    notes = parameter_notes(doc, [field.name for field in fields])
    facts["given"] = bool(spec.params)
    facts["parameters"] = [
        {
            "name": field.name,
            "type": describe_type(field.annotation),
            **({"default": defaults[field.name]} if field.name in defaults else {}),
            **({"value": here[field.name]} if field.name in spec.params else {}),
            "doc": notes.get(field.name, ""),
        }
        for field in fields
    ]
    channels = [name for name in SUPPLIED.get(kind, ()) if name.endswith("_channels")]
    if channels and resolved:
        build = resolved.build
        facts["network"] = network_facts(lambda: build(**dict.fromkeys(channels, CHANNELS)))
    facts["example"] = USES[kind].format(example(provided, spec, fields, defaults))
    return facts


def matching_names(kind: str, spec: Spec) -> dict[str, Any] | None:
    """The names that a wildcard in a spec stands for, also in a nested one.

    None where no parameter that takes one of many names has a wildcard.
    Raises UserError for an unknown component, and where nothing matches.
    """
    found = find(kind, spec.name)
    try:
        fields = parameters(found.component.load(), SUPPLIED.get(kind, ())) if spec.params else ()
    except (ImportError, AttributeError, BadSignature):
        return None  # what is wrong with it is for `component_facts` to say
    for field in fields:
        value = spec.params.get(field.name)
        if field.nested and isinstance(value, Spec):
            inner = matching_names(field.nested, value)
            if inner is not None:
                return inner
        if field.choices is None or not isinstance(value, str) or not is_pattern(value):
            continue
        matches = field.choices.matching(value)
        if not matches:
            hint = field.choices.hint(value)
            raise UserError(f"no {field.name} of {kind} {found.name!r} matches {value!r}: {hint}")
        of = {"kind": kind, "name": found.name, "parameter": field.name, "pattern": value}
        return {**of, "matches": matches}
    return None


def _head(provided: Provided) -> dict[str, Any]:
    return {
        "kind": provided.kind,
        "name": provided.name,
        "summary": provided.component.summary,
        "provider": provided.provider,
        "paper": provided.component.paper,
    }


def network_facts(build: Callable[[], Any]) -> dict[str, Any]:
    """Counts and sizes of a network, built without memory where its code allows that.

    One that can't be built here (weights that are not on this machine) gives `error` instead.
    """
    import torch

    try:
        with rebuilding():  # counting needs no pretrained weights
            try:
                with torch.device("meta"):
                    module = build()
            except P2ptkError:
                raise
            except Exception:  # code that looks at its weights while it is built
                module = build()
    except Exception as error:
        told = isinstance(error, P2ptkError)
        return {"error": str(error) if told else f"{type(error).__name__}: {error}"}
    counted = list(module.parameters())
    facts: dict[str, Any] = {
        "inputs": CHANNELS,
        "parameters": sum(p.numel() for p in counted),
        "trainable": sum(p.numel() for p in counted if p.requires_grad),
    }
    for name in ("size_multiple", "receptive_field", "channels", "strides"):
        value = getattr(module, name, None)
        if isinstance(value, (int, tuple, list)):
            facts[name] = value if isinstance(value, int) else list(value)
    return facts


def source_of(target: Any) -> str:
    """FILE:LINE of a class or function; empty where Python does not tell."""
    try:
        return f"{inspect.getsourcefile(target)}:{inspect.getsourcelines(target)[1]}"
    except (OSError, TypeError):
        return ""


def first_paragraph(doc: str) -> str:
    return " ".join(doc.strip().partition("\n\n")[0].split())


def parameter_notes(doc: str, names: Sequence[str]) -> dict[str, str]:
    """What a docstring says of each parameter, in lines `name: text` or `name, other: text`.

    >>> parameter_notes("A loss.\\n\\nscale: what it is\\n    multiplied by.", ["scale"])
    {'scale': 'what it is multiplied by.'}
    """
    notes = {}
    # A note goes on over the lines that are indented below it.
    for match in re.finditer(r"^(\w+(?:, \w+)*): (.*(?:\n[ \t]+\S.*)*)", doc, re.MULTILINE):
        known = [name for name in match[1].split(", ") if name in names]
        notes.update({name: " ".join(match[2].split()) for name in known})
    return notes


def example(
    provided: Provided, spec: Spec, fields: Sequence[Parameter], defaults: Mapping[str, Any]
) -> str:
    """A spec to begin from, quoted for a shell: the one given, else what is required and the first
    defaults."""
    if not spec.params:
        needed = {f.name: f.name.upper() for f in fields if f.required}
        more = [(k, v) for k, v in defaults.items() if v != "none" and isinstance(v, int | str)]
        spec = Spec(provided.name, {**needed, **dict(more[: max(0, 2 - len(needed))])})
    if provided.kind == "encoder":
        spec = Spec("unet", {"encoder": spec})
    return shlex.quote(str(spec))


def recipe_facts(name: str) -> dict[str, Any]:
    """A recipe's TOML as it was written, and its settings with those it builds on."""
    provided = find("recipe", name)
    package, _, path = str(provided.component.target).partition(":")
    place = resources.files(package).joinpath(path)
    return {
        **_head(provided),
        "source": str(place),
        "toml": place.read_text("utf-8"),
        "settings": read_recipe(name),
        "example": USES["recipe"].format(provided.name),
    }
