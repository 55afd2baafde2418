"""Parameters that take one of many names, which are found only when they are needed."""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from p2ptk.errors import did_you_mean

FEW = 12  # names that a sentence lists


@dataclass(frozen=True)
class Choices:
    """Marks a text parameter that takes one of many names, looked up only when they are needed.

        model: Annotated[str, Choices("my_pkg.names:backbones")] = "resnet34"

    names: `"package.module:function"`; called without arguments it gives every name. A value that
        is none of them is refused with the nearest one, and `p2ptk show KIND 'NAME:model=res*'`
        lists those that match. The default is taken on trust.
    """

    names: str

    def all(self) -> tuple[str, ...]:
        """Every name, in the order that the function gives them."""
        return _names_from(self.names)

    def matching(self, pattern: str) -> list[str]:
        """The names that a pattern stands for; its wildcards stop at a dot, as a shell's at '/'.

        `res*` matches `resnet34` but not `resnet34.a1_in1k`, which `resnet34.*` does.
        """
        parts = pattern.split(".")
        return [
            name
            for name in self.all()
            if len(name.split(".")) == len(parts)
            and all(map(fnmatch.fnmatchcase, name.split("."), parts))
        ]

    def hint(self, word: str) -> str:
        """The end of a sentence about a word that is none of the names."""
        if is_pattern(word) and (matches := self.matching(word)):
            return did_you_mean("", matches)
        names = self.all()
        near = did_you_mean(word.replace("*", "").replace("?", ""), names)
        if near.startswith("did you mean") or len(names) <= FEW:
            return near
        return f"there are {len(names):,}, and '*' lists them."


@lru_cache(maxsize=64)
def _names_from(function: str) -> tuple[str, ...]:
    module, _, attribute = function.partition(":")
    give: Callable[[], Iterable[str]] = getattr(importlib.import_module(module), attribute)
    return tuple(give())


def is_pattern(value: Any) -> bool:
    """Whether a value is text with a wildcard."""
    return isinstance(value, str) and bool(set("*?[") & set(value))
