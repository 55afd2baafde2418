"""p2ptk: the toolkit for paired image-to-image translation."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public names and where they live. They load when first used, so that `import p2ptk` stays light.
_HOMES = {
    "Choices": "names",
    "Component": "components",
    "FeatureDistance": "metrics.feature_distance",
    "Judgement": "contracts",
    "Pair": "contracts",
    "Part": "schema",
    "RunConfig": "config",
    "Side": "contracts",
    "Spec": "specs",
    "Study": "study.api",
    "Translation": "contracts",
    "Translator": "translate",
    "Unavailable": "errors",
    "UserError": "errors",
    "create": "components",
    "describe": "components",
    "fit": "from_python",
    "hookimpl": "hooks",
    "list_components": "components",
    "load_generator": "weights",
    "make_side": "datasets.sides",
    "open_data": "cli.options",
    "read_header": "weights",
    "read_picture": "datasets.sides",
    "register": "components",
    "weights_follow": "rebuild",
}

__all__ = [
    "Choices",
    "Component",
    "FeatureDistance",
    "Judgement",
    "Pair",
    "Part",
    "RunConfig",
    "Side",
    "Spec",
    "Study",
    "Translation",
    "Translator",
    "Unavailable",
    "UserError",
    "__version__",
    "create",
    "describe",
    "fit",
    "hookimpl",
    "list_components",
    "load_generator",
    "make_side",
    "open_data",
    "read_header",
    "read_picture",
    "register",
    "weights_follow",
]

if TYPE_CHECKING:
    from p2ptk.cli.options import open_data
    from p2ptk.components import Component, create, describe, list_components, register
    from p2ptk.config import RunConfig
    from p2ptk.contracts import Judgement, Pair, Side, Translation
    from p2ptk.datasets.sides import make_side, read_picture
    from p2ptk.errors import Unavailable, UserError
    from p2ptk.from_python import fit
    from p2ptk.hooks import hookimpl
    from p2ptk.metrics.feature_distance import FeatureDistance
    from p2ptk.names import Choices
    from p2ptk.rebuild import weights_follow
    from p2ptk.schema import Part
    from p2ptk.specs import Spec
    from p2ptk.study.api import Study
    from p2ptk.translate import Translator
    from p2ptk.weights import load_generator, read_header


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'p2ptk' has no attribute {name!r}")
    return getattr(importlib.import_module(f"p2ptk.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
