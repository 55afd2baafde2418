"""Components by name: look one up, validate its parameters, build it.

create("generator", "unet:width=32", source_channels=3, target_channels=3)
"""

from __future__ import annotations

import fnmatch
import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from p2ptk.blame import switches_kept
from p2ptk.contracts import KINDS, SUPPLIED
from p2ptk.errors import P2ptkError, UserError, did_you_mean
from p2ptk.specs import Spec

if TYPE_CHECKING:
    from p2ptk.plugins import Provided
    from p2ptk.schema import Parameter

__all__ = [
    "Component",
    "Resolved",
    "Spec",
    "create",
    "describe",
    "find",
    "list_components",
    "register",
    "resolve",
]


@dataclass(frozen=True)
class Component:
    """Something a plugin provides under a name.

    name: letters, digits, `-`, `.`; unique within its kind and distribution.
    target: the class or function, or `"package.module:Name"` to import it only when it is used.
        A function is a factory. Its annotated keyword-only parameters are the component's schema.
        For a recipe: the TOML resource, `"package:path/file.toml"`.
    summary: one line for lists.
    paper: where the idea comes from.
    aliases: former names, still accepted when files are read.
    migrate: upgrades parameters of an older release: takes and gives a dict.
    """

    name: str
    target: type | Callable[..., Any] | str
    summary: str = ""
    paper: str = ""
    aliases: tuple[str, ...] = ()
    migrate: Callable[[dict[str, Any]], dict[str, Any]] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[^\W_][\w.-]*", self.name):
            raise ValueError(f"{self.name!r} is no component name: use letters, digits, '-', '.'")
        if isinstance(self.target, str) and ":" not in self.target:
            raise ValueError(f"the target of {self.name!r} must read 'package.module:Name'")

    def load(self) -> Any:
        """Import and give the target. Raises whatever the import raises."""
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        return found


@dataclass(frozen=True)
class Resolved:
    """A component found and its parameters validated: ready to build, and to be written down."""

    kind: str
    provided: Provided
    target: Any
    fields: tuple[Parameter, ...]
    params: Mapping[str, Any]

    def build(self, **supplied: Any) -> Any:
        """Make the object. `supplied` is what the core passes, such as channel counts."""
        with switches_kept(f"the {self.kind} {self.provided.name!r} of {self.provided.provider}"):
            return self.target(**supplied, **self.params)

    @property
    def spec(self) -> Spec:
        """The spec with every parameter written out."""
        from p2ptk.schema import plain

        return Spec.of({"name": self.provided.name, **plain(self.fields, self.params)})

    @property
    def short(self) -> Spec:
        """The spec with only the parameters that are not at their default."""
        full, defaults = self.spec, {p.name: p.default for p in self.fields if not p.required}
        same = [k for k, v in self.params.items() if k in defaults and defaults[k] == v]
        return full.without(*same)


def find(kind: str, name: str) -> Provided:
    """The component of that kind and name (`distribution/name` where two plugins provide it).

    Raises UserError with the nearest name.
    """
    from p2ptk.plugins import BUILT_IN, registry

    if kind not in KINDS:
        raise UserError(f"there is no kind {kind!r}: {did_you_mean(kind, KINDS)}")
    known = registry().of_kind(kind)
    found = (
        [p for p in known if name in (p.name, p.qualified)]
        or [p for p in known if name == p.component.name]
        or [p for p in known if name in p.component.aliases]
    )
    if not found:
        from p2ptk.missing import unknown

        raise UserError(unknown(kind, name, [p.name for p in known]))
    found = [p for p in found if p.distribution == BUILT_IN] or found
    if len(found) > 1:
        choices = " or ".join(repr(p.qualified) for p in found)
        raise UserError(f"{len(found)} plugins provide the {kind} {name!r}: write {choices}.")
    return found[0]


def resolve(kind: str, spec: str | Mapping[str, Any] | Spec) -> Resolved:
    """Look a spec up and validate its parameters; nested components too.

    Raises UserError for a wrong name or parameter, P2ptkError where the plugin itself is at fault.
    """
    from p2ptk.schema import BadSignature, parameters, validate

    spec = Spec.of(spec)
    provided = find(kind, spec.name)
    whose = f"{kind} {provided.name!r}"
    target = provided.load()
    try:
        fields = parameters(target, SUPPLIED.get(kind, ()))
    except (BadSignature, NameError) as error:
        raise P2ptkError(f"{whose} of {provided.provider} has no schema: {error}") from error
    given = dict(spec.params)
    if provided.component.migrate:
        given = provided.component.migrate(given)
    params = validate(fields, given, whose)
    for parameter in fields:
        if parameter.nested and isinstance(params[parameter.name], Spec):
            params[parameter.name] = resolve(parameter.nested, params[parameter.name]).spec
    return Resolved(kind, provided, target, fields, params)


def create(kind: str, spec: str | Mapping[str, Any] | Spec, **supplied: Any) -> Any:
    """Build a component from its spec. Raises as `resolve` does."""
    return resolve(kind, spec).build(**supplied)


def list_components(kind: str | None = None, pattern: str = "*") -> list[Provided]:
    """Every component of a kind (or of all) whose name matches a glob, by kind and name."""
    from p2ptk.plugins import registry

    if kind is not None and kind not in KINDS:
        raise UserError(f"there is no kind {kind!r}: {did_you_mean(kind, KINDS)}")
    kinds = [kind] if kind else KINDS
    return [
        provided
        for each in kinds
        for provided in sorted(registry().of_kind(each), key=lambda p: p.name)
        if fnmatch.fnmatch(provided.name, pattern)
    ]


def describe(kind: str, name: str) -> dict[str, Any]:
    """A component in plain values: provider, summary, paper, parameters with their types."""
    from p2ptk.schema import describe_type, parameters

    provided = find(kind, name)
    target = provided.load()
    return {
        "kind": kind,
        "name": provided.name,
        "provider": provided.provider,
        "summary": provided.component.summary,
        "paper": provided.component.paper,
        "doc": (target.__doc__ or "").strip(),
        "parameters": [
            {
                "name": p.name,
                "type": describe_type(p.annotation),
                **({} if p.required else {"default": p.default}),
            }
            for p in parameters(target, SUPPLIED.get(kind, ()))
        ],
    }


def register(kind: str, name: str, target: type | Callable[..., Any] | str) -> None:
    """Add a component in this process only, for scripts and notebooks.

    A second registration of the same name replaces the first.
    """
    from p2ptk.plugins import registry

    if kind not in KINDS:
        raise UserError(f"there is no kind {kind!r}: {did_you_mean(kind, KINDS)}")
    registry().add_here(kind, Component(name=name, target=target))
