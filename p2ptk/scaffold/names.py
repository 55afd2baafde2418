"""What a new plugin's parts are called, from the one name that its author gives."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from p2ptk.errors import UserError
from p2ptk.missing import directory
from p2ptk.plugins import BUILT_IN, normal_name, registry

PREFIX = "p2ptk-"
LONGEST = 40  # letters; lines of the template stay within 100 columns
# Words that mean something else where a component's name may stand.
TAKEN = ("none", "true", "false", "inf", "nan")


@dataclass(frozen=True)
class Names:
    """`p2ptk-sharp-edges`, `p2ptk_sharp_edges`, `sharp-edges` and `SharpEdges`."""

    distribution: str

    @property
    def package(self) -> str:
        return self.distribution.replace("-", "_")

    @property
    def component(self) -> str:
        return self.distribution.removeprefix(PREFIX)

    @property
    def prefix(self) -> str:
        """What its classes' names begin with."""
        return "".join(word.capitalize() for word in self.component.split("-"))


def name_plugin(text: str, kinds: Sequence[str]) -> Names:
    """The names of a plugin that is called `text`, with or without `p2ptk-`, in any spelling.

    Raises UserError for what can't be a package's name, or is one that exists.
    """
    component = normal_name(text).removeprefix(PREFIX)
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", component):
        near = re.sub(r"[^a-z0-9]+", "-", component).strip("-").lstrip("0123456789-")
        raise UserError(
            f"{text!r} can't be a plugin's name: after 'p2ptk-' it needs a letter, then letters "
            f"(a to z), digits and single hyphens, as in {PREFIX + (near or 'mine')!r}."
        )
    names = Names(PREFIX + component)
    if len(names.distribution) > LONGEST:
        raise UserError(f"{names.distribution!r} is longer than {LONGEST} letters: shorten it.")
    if component in TAKEN or component == BUILT_IN:
        raise UserError(f"{component!r} means something else to p2ptk: choose another name.")
    _refuse_existing(names, kinds)
    return names


def _refuse_existing(names: Names, kinds: Sequence[str]) -> None:
    name = names.distribution
    if any(name == plugin.distribution for plugin in directory()):
        raise UserError(f"there is a plugin {name} already: choose another name.")
    if importlib.util.find_spec(names.package) is not None or _installed(name):
        raise UserError(f"a package {names.package} is installed here: choose another name.")
    for kind in kinds:
        for provided in registry().of_kind(kind):
            if provided.distribution == BUILT_IN and provided.name == names.component:
                raise UserError(
                    f"the {kind} {names.component!r} is built in, so yours would have to be "
                    f"written {name}/{names.component}: choose another name."
                )


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
