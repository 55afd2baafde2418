"""A component's parameters, read from the signature of its target and validated.

The signature is the schema: annotated, keyword-only parameters. `Literal`, `X | None` and
`Annotated[int, Field(gt=0)]` work, `Annotated[Spec, Part("encoder")]` for a nested component, and
`Annotated[str, Choices("my_pkg.names:backbones")]` for one of many names.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from p2ptk.contracts import RESERVED
from p2ptk.errors import UserError, did_you_mean
from p2ptk.names import Choices
from p2ptk.specs import Spec


@dataclass(frozen=True)
class Part:
    """Marks a parameter as a nested component: `encoder: Annotated[Spec, Part("encoder")]`."""

    kind: str


@dataclass(frozen=True)
class Parameter:
    """One parameter of a component: its annotation, and its default unless it is required."""

    name: str
    annotation: Any
    default: Any = inspect.Parameter.empty

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty

    @property
    def nested(self) -> str | None:
        """The kind of component this parameter names, or None."""
        return next((x.kind for x in _metadata(self.annotation) if isinstance(x, Part)), None)

    @property
    def choices(self) -> Choices | None:
        """Where the names come from that this parameter takes, if they are listed somewhere."""
        return next((x for x in _metadata(self.annotation) if isinstance(x, Choices)), None)


class BadSignature(TypeError):
    """A target's signature can't be a schema; the message says what to change."""


@lru_cache(maxsize=512)
def parameters(target: Callable[..., Any], supplied: tuple[str, ...] = ()) -> tuple[Parameter, ...]:
    """The parameters a user can set. `supplied` are those the core passes.

    Raises BadSignature for a missing annotation, `**kwargs`, a reserved name, or a parameter
    that is not keyword-only.
    """
    where = getattr(target, "__qualname__", repr(target))
    found = []
    hints = get_type_hints(
        target.__init__ if inspect.isclass(target) else target, include_extras=True
    )
    for name, parameter in inspect.signature(target).parameters.items():
        if name in supplied:
            continue
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            raise BadSignature(f"{where} takes *{name}: name every parameter instead.")
        if parameter.kind is not parameter.KEYWORD_ONLY:
            raise BadSignature(f"{where}: make {name!r} keyword-only (put '*' before it).")
        if name not in hints:
            raise BadSignature(f"{where}: annotate the parameter {name!r}.")
        if name in RESERVED:
            raise BadSignature(f"{where}: {name!r} belongs to p2ptk; rename the parameter.")
        found.append(Parameter(name, hints[name], parameter.default))
    return tuple(found)


@lru_cache(maxsize=512)
def _adapter(fields: tuple[Parameter, ...]) -> TypeAdapter[Any]:
    shape = {
        p.name: Required[p.annotation] if p.required else NotRequired[p.annotation] for p in fields
    }
    schema = TypedDict("Parameters", shape)  # type: ignore[misc]
    schema.__pydantic_config__ = ConfigDict(strict=True, extra="forbid")  # type: ignore[attr-defined]
    return TypeAdapter(schema)


def validate(
    fields: tuple[Parameter, ...], params: Mapping[str, Any], whose: str
) -> dict[str, Any]:
    """All parameters, given and default, in their own types.

    Validation is strict, and in JSON's types, so that a list may be a tuple but 1 is no bool.
    Raises UserError naming `whose` parameter is wrong and what would do.
    """
    known = [p.name for p in fields]
    for name in params:
        if name not in known:
            raise UserError(f"{whose} has no parameter {name!r}: {did_you_mean(name, known)}")
    given = {name: _null(params[name], _field(fields, name).annotation) for name in params}
    try:
        checked = _adapter(fields).validate_json(json.dumps(given, default=_plain))
    except ValidationError as error:
        raise UserError(f"{whose}: {explain(error)}") from None
    _refuse_unlisted(fields, checked, whose)
    return {p.name: checked.get(p.name, p.default) for p in fields}


def _refuse_unlisted(fields: tuple[Parameter, ...], given: Mapping[str, Any], whose: str) -> None:
    """Raises UserError for a name that is none of a parameter's `Choices`."""
    for field in fields:
        name = given.get(field.name)
        if field.choices is None or not isinstance(name, str) or name == field.default:
            continue
        if name not in field.choices.all():
            hint = field.choices.hint(name)
            raise UserError(f"{whose} knows no {field.name} {name!r}: {hint}")


def explain(error: ValidationError) -> str:
    """pydantic's first complaint as one sentence."""
    first = error.errors(include_url=False)[0]
    # Union branches and function validators add parts that a user never wrote.
    place = ".".join(str(x) for x in first["loc"] if isinstance(x, int) or str(x).isidentifier())
    message = first["msg"].removeprefix("Value error, ")
    message = message.replace("Input should", "should").replace("Field required", "is required")
    got = first.get("input")
    shown = "" if first["type"] in ("missing", "value_error") else f" (got {got!r})"
    return f"{place} {message}{shown}.".strip().replace("..", ".")


def plain(fields: tuple[Parameter, ...], params: Mapping[str, Any]) -> dict[str, Any]:
    """Validated parameters as values that TOML and JSON hold; None becomes "none"."""
    shown = {name: value for name, value in params.items() if name in {p.name for p in fields}}
    return {name: _plain(value) for name, value in shown.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        return value.table()
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if value is None:
        return "none"
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _field(fields: tuple[Parameter, ...], name: str) -> Parameter:
    return next(p for p in fields if p.name == name)


def _null(value: Any, annotation: Any) -> Any:
    """`none` means None where the parameter allows it and has no literal 'none'."""
    choices = _choices(annotation)
    if value in ("none", None) and NoneType in choices and "none" not in choices:
        return None
    return value


def _choices(annotation: Any) -> list[Any]:
    """The members of a union and of its literals, flattened."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _choices(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [x for member in get_args(annotation) for x in _choices(member)]
    if origin is Literal:
        return list(get_args(annotation))
    return [NoneType if annotation is None else annotation]


def _metadata(annotation: Any) -> list[Any]:
    """What `Annotated` adds anywhere in an annotation."""
    found = list(getattr(annotation, "__metadata__", ()))
    for member in get_args(annotation):
        found += _metadata(member) if get_origin(annotation) is not Literal else []
    return found


def describe_type(annotation: Any) -> str:
    """An annotation in words: `int, > 0`, `batch | instance | none`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *metadata = get_args(annotation)
        limits = [_limit(item) for item in metadata]
        return ", ".join([describe_type(base), *[x for x in limits if x]])
    if origin in (Union, UnionType):
        return " | ".join(describe_type(member) for member in get_args(annotation))
    if origin is Literal:
        return " | ".join(str(choice) for choice in get_args(annotation))
    if origin is not None:
        inside = ", ".join("..." if m is ... else describe_type(m) for m in get_args(annotation))
        return f"{getattr(origin, '__name__', origin)}[{inside}]"
    if annotation in (NoneType, None):
        return "none"
    if annotation is Spec:
        return "component"
    return getattr(annotation, "__name__", str(annotation))


def _limit(item: Any) -> str:
    """A pydantic constraint in words."""
    if isinstance(item, Part):
        return f"of kind {item.kind}"
    if isinstance(item, Choices):
        return "one of those that a wildcard such as '*' lists"
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "multiple_of": "multiple of"}
    rules = getattr(item, "metadata", [item])
    return ", ".join(
        f"{sign} {getattr(rule, key):g}"
        for rule in rules
        for key, sign in signs.items()
        if getattr(rule, key, None) is not None
    )
