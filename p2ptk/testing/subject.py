"""The component that is checked, and how to build it."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from p2ptk.components import Component, find, resolve
from p2ptk.contracts import KINDS, SUPPLIED
from p2ptk.errors import Unavailable, UserError, did_you_mean
from p2ptk.plugins import Provided
from p2ptk.schema import BadSignature, Parameter, parameters, plain, validate
from p2ptk.specs import Spec
from p2ptk.testing.offline import Reached, offline
from p2ptk.testing.outcomes import Failed, Skipped, told

NO_SCHEMA = ("recipe", "command")  # kinds whose target has no parameters


class Subject:
    """A component with the parameters that it is checked with.

    provided: None for a class or function that no plugin provides.
    bad: a spec or parameters that name no data. extra: channels of extra tensors, by name.
    """

    def __init__(
        self,
        kind: str,
        what: Any,
        *,
        params: Mapping[str, Any] | None = None,
        bad: Any = None,
        extra: Mapping[str, int] | None = None,
    ) -> None:
        """Raises UserError for an unknown kind or name."""
        if kind not in KINDS:
            raise UserError(f"there is no kind {kind!r}: {did_you_mean(kind, KINDS)}")
        self.kind, self.bad, self.extra = kind, bad, dict(extra or {})
        self.provided: Provided | None = None
        self.given = dict(params or {})
        if isinstance(what, (str, Spec, Mapping)):
            spec = Spec.of(what)
            self.provided = find(kind, spec.name)
            self.component = self.provided.component
            self.given = {**spec.params, **self.given}
            self.label = str(Spec(spec.name, self.given))
        else:
            self.label = getattr(what, "__name__", type(what).__name__)
            safe = self.label.strip("_<>") or "component"
            self.component = Component(name=safe, target=what)
        self._kept: dict[str, Any] = {}

    def __str__(self) -> str:
        return f"{self.kind} {self.label!r}"

    @cached_property
    def target(self) -> Any:
        """The class or function. Raises Failed where it can't be imported."""
        try:
            return self.component.load()
        except Exception as error:
            raise Failed(
                f"{self} names the target {self.component.target!r}, which can't be imported: "
                f"{told(error)}."
            ) from error

    @property
    def name(self) -> str:
        """What sentences call it: the target's own name."""
        if self.kind in NO_SCHEMA:
            return str(self)
        return str(getattr(self.target, "__qualname__", self.component.name)).split(".")[-1]

    @cached_property
    def fields(self) -> tuple[Parameter, ...]:
        """The schema. Raises Failed where the signature gives none."""
        try:
            return parameters(self.target, SUPPLIED.get(self.kind, ()))
        except BadSignature as error:
            raise Failed(str(error)) from error
        except (NameError, TypeError, ValueError) as error:
            raise Failed(
                f"{self.name} has a signature that can't be read: {told(error)}."
            ) from error

    @cached_property
    def params(self) -> dict[str, Any]:
        """The parameters given and the defaults of the others, validated."""
        if self.provided is not None:
            return dict(resolve(self.kind, Spec(self.provided.name, self.given)).params)
        return validate(self.fields, self.given, str(self))

    def missing(self) -> list[str]:
        """Parameters that have no default and were not given; none where there is no schema."""
        try:
            return [p.name for p in self.fields if p.required and p.name not in self.given]
        except (Failed, AttributeError):  # the checks tell
            return []

    def fetches(self) -> str | None:
        """The host that building it asks for something, tried without a network; None if none."""
        if self.kind in NO_SCHEMA:
            return None
        try:
            with offline():
                self.build()
        except Reached as reached:
            return reached.host
        except Exception:  # the checks tell
            return None
        return None

    @property
    def spec(self) -> Spec:
        """The spec with every parameter written out."""
        return Spec.of({"name": self.component.name, **plain(self.fields, self.params)})

    def build(self, **supplied: Any) -> Any:
        """A new object; what the core supplies has three channels unless given.

        Raises Failed where it can't be built, Skipped where its weights can't be had here.
        """
        supplied = {**self.supplied(), **supplied}
        try:
            return self.target(**supplied, **self.params)
        except Unavailable as error:
            raise Skipped(f"it can't be had here: {told(error)}.") from error
        except Exception as error:
            shown = ", ".join(f"{k}={v}" for k, v in supplied.items() if isinstance(v, int))
            given = f" with {shown}" if shown else ""
            raise Failed(f"{self.name} can't be built{given}: {told(error)}.") from error

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once a subject."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    @property
    def folder(self) -> Path:
        """A temporary folder that goes away with the subject."""

        def make() -> Path:
            made = Path(tempfile.mkdtemp(prefix="p2ptk-check-"))
            weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
            return made

        return self.once("folder", make)

    def supplied(self) -> dict[str, Any]:
        """What the core passes: three channels, a temporary folder."""
        wanted = SUPPLIED.get(self.kind, ())
        return {name: self.folder if name == "folder" else 3 for name in wanted}
