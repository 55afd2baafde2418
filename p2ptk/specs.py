"""Specs: the text that names a component and its parameters.

A spec is written `name[:key=value,...]`. Values are TOML literals (`1`, `2e-4`, `true`), words,
quoted strings, lists `[1,2]`, or nested specs `key=name(key=value,...)`. `none` stands for None.
In TOML the same spec is a table: `{name = "unet", width = 32}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from p2ptk.errors import UserError

NAME = r"[^\W_][\w.-]*(?:/[\w.-]+)*"  # a component, or distribution/component
_INTEGER = re.compile(r"[+-]?\d[\d_]*\Z")
_FLOAT = re.compile(r"[+-]?(\d[\d_]*(\.\d+)?([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|nan)\Z")
_BARE = re.compile(r"[^\s,()\[\]\"'={}#]+\Z")


DIGITS = 1000  # of a whole number; Python refuses to read over 4300


@dataclass(frozen=True)
class Spec:
    """A component's name and parameters as a user gave them, not yet validated."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name + (":" + _format_params(self.params) if self.params else "")

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read `name[:key=value,...]`.

        >>> Spec.parse("unet:width=32,encoder=timm(model=resnet34)").params["encoder"].name
        'timm'

        Raises UserError with the place where the text stops making sense.
        """
        try:
            return _Reader(text).whole()
        except RecursionError:
            raise UserError(f"{text[:40]}... has too many brackets within brackets.") from None

    @classmethod
    def of(cls, value: str | Mapping[str, Any] | Spec) -> Spec:
        """A spec from its text, its TOML table, or itself."""
        if isinstance(value, Spec):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise UserError(f"a component is written 'name:key=value' or with a name, not {value}.")
        params = {key: _from_toml(item) for key, item in value.items() if key != "name"}
        return cls(value["name"], params)

    def table(self) -> dict[str, Any]:
        """The TOML table of this spec."""
        return {
            "name": self.name,
            **{key: _to_toml(value) for key, value in self.params.items()},
        }

    def without(self, *keys: str) -> Spec:
        return Spec(self.name, {k: v for k, v in self.params.items() if k not in keys})

    def having(self, **params: Any) -> Spec:
        return Spec(self.name, {**self.params, **params})

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            _spec_or_value_error, serialization=core_schema.plain_serializer_function_ser_schema(
                lambda spec: spec.table()
            ),
        )  # fmt: skip


def read_value(text: str) -> Any:
    """A value as the grammar reads it, or the text itself where it is none (a spec, a path)."""
    reader = _Reader(text)
    try:
        value = reader.value()
    except (UserError, RecursionError):
        return text
    return value if reader.at == len(text) else text


def _spec_or_value_error(value: Any) -> Spec:
    try:
        return Spec.of(value)
    except UserError as error:
        raise ValueError(str(error)) from None


def _from_toml(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Spec.of(value)
    if isinstance(value, (list, tuple)):
        return [_from_toml(item) for item in value]
    return "none" if value is None else value


def _to_toml(value: Any) -> Any:
    if isinstance(value, Spec):
        return value.table()
    if isinstance(value, (list, tuple)):
        return [_to_toml(item) for item in value]
    return "none" if value is None else value


def _format_params(params: Mapping[str, Any]) -> str:
    return ",".join(f"{key}={_format(value)}" for key, value in params.items())


def _format(value: Any) -> str:
    match value:
        case Spec():
            return f"{value.name}({_format_params(value.params)})"
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case int() | float():
            return repr(value)
        case list() | tuple():
            return "[" + ",".join(_format(item) for item in value) + "]"
    text = str(value)
    plain = _BARE.match(text) and not (_INTEGER.match(text) or _FLOAT.match(text))
    return text if plain and text not in ("true", "false") else json.dumps(text, ensure_ascii=False)


class _Reader:
    """A recursive-descent reader of the grammar above."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def whole(self) -> Spec:
        name = self.take(NAME, "a component name")
        params = {}
        if self.skip(":"):
            params = self.params(closing="")
        if self.at != len(self.text):
            self.fail("':' or ','" if not params else "','")
        return Spec(name, params)

    def params(self, closing: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.peek() not in (closing, ""):
            key = self.take(r"[A-Za-z_][\w-]*", "a parameter name").replace("-", "_")
            if not self.skip("="):
                self.fail(f"'=' after {key!r}")
            if key in found:
                raise UserError(f"{key!r} is given twice in {self.text!r}.")
            found[key] = self.value()
            if not self.skip(","):
                break
        return found

    def value(self) -> Any:
        if self.skip("["):
            items = []
            while self.peek() not in ("]", ""):
                items.append(self.value())
                if not self.skip(","):
                    break
            if not self.skip("]"):
                self.fail("',' or ']'")
            return items
        if self.peek() == '"':
            try:
                string, self.at = json.JSONDecoder(strict=False).raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                self.fail("a closing '\"'")
            return string
        if self.peek() == "'":
            return self.take(r"'[^']*'", 'a closing "\'"')[1:-1]
        word = self.take(r"[^,()\[\]\"'=]+", "a value").strip()
        if self.peek() == "(" and re.fullmatch(NAME, word):
            self.skip("(")
            nested = Spec(word, self.params(closing=")"))
            if not self.skip(")"):
                self.fail("',' or ')' (a value with brackets must be quoted)")
            return nested
        if word in ("true", "false"):
            return word == "true"
        if _INTEGER.match(word):
            if len(word) > DIGITS:
                raise UserError(f"{word[:20]}... has {len(word)} digits, which no number here has.")
            return int(word)
        return float(word) if _FLOAT.match(word) else word

    def peek(self) -> str:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def skip(self, character: str) -> bool:
        found = self.peek() == character
        self.at += found
        return found

    def take(self, pattern: str, expected: str) -> str:
        self.peek()
        match = re.compile(pattern).match(self.text, self.at)
        if not match:
            self.fail(expected)
        self.at = match.end()
        return match.group()

    def fail(self, expected: str) -> NoReturn:
        rest = self.text[self.at : self.at + 20] or "the end"
        raise UserError(f"expected {expected} in {self.text!r}, found {rest!r}.")
