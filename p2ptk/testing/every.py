"""Checks for components of every kind."""

from __future__ import annotations

import inspect
import sys
import tomllib
from pathlib import Path

import tomli_w
from pydantic import PydanticUserError

from p2ptk.components import resolve
from p2ptk.contracts import KINDS, SUPPLIED
from p2ptk.errors import Unavailable, UserError
from p2ptk.plugins import registry
from p2ptk.schema import plain, validate
from p2ptk.specs import Spec
from p2ptk.testing.common import check
from p2ptk.testing.fresh import import_alone
from p2ptk.testing.offline import Reached, offline
from p2ptk.testing.outcomes import Failed, Skipped, Warned, told
from p2ptk.testing.subject import NO_SCHEMA, Subject

HERE = "here"  # the distribution of what a script registered
WITH_SCHEMA = tuple(kind for kind in KINDS if kind not in NO_SCHEMA)
WITH_TARGET = tuple(kind for kind in KINDS if kind != "recipe")


@check(*WITH_TARGET, essential=True)
def target(subject: Subject) -> None:
    """The target can be imported, and is a class or a function."""
    found = subject.target
    if subject.kind != "command" and not callable(found):
        raise Failed(
            f"{subject} names the target {subject.component.target!r}, which is "
            f"{type(found).__name__}, no class or function."
        )


@check(*WITH_TARGET)
def import_touches_nothing(subject: Subject) -> str:
    """Importing its module touches neither CUDA, nor the network, nor a global generator."""
    module = _module(subject)
    done = import_alone(module, _siblings(subject))
    if done.error and not done.network and not done.cuda:
        if not isinstance(subject.component.target, str):
            raise Skipped(f"{module} can't be imported in a process of its own: {done.error}")
        raise Failed(f"importing {module} in a fresh process fails: {done.error}.")
    advice = "do that where the component is built or used"
    if done.network:
        raise Failed(f"importing {module} asks the network for {done.network[0]}: {advice}.")
    if done.cuda:
        raise Failed(f"importing {module} starts CUDA: {advice}.")
    if done.drawn:
        raise Failed(
            f"importing {module} draws from (or seeds) {done.drawn[0]}, the generator that all "
            f"share: {advice}."
        )
    if done.changed:
        raise Failed(f"importing {module} changes {done.changed[0]} for the whole process.")
    return f"{module}, {done.seconds:.2f} s"


@check(*WITH_SCHEMA, essential=True)
def signature(subject: Subject) -> None:
    """Its parameters are keyword-only, annotated, and of types that can be validated."""
    fields = subject.fields
    accepted = inspect.signature(subject.target).parameters
    for name in SUPPLIED.get(subject.kind, ()):
        if name not in accepted:
            raise Failed(f"{subject.name} must take {name!r}: p2ptk passes it by keyword.")
    defaults = {p.name: p.default for p in fields if not p.required}
    for field in fields:
        given = plain(fields, {field.name: defaults[field.name]}) if not field.required else {}
        try:
            validate((field,), given, subject.name)
        except UserError as error:
            if field.required:
                continue
            raise Failed(
                f"{subject.name} has a default that its own annotation refuses: {told(error)}."
            ) from error
        except (PydanticUserError, TypeError) as error:
            raise Failed(
                f"{subject.name} annotates {field.name!r} with {field.annotation!r}, which can't "
                "be validated: take int, float, bool, str, Path, Literal, list, tuple, Spec, or "
                "unions of these."
            ) from error


@check(*WITH_SCHEMA, essential=True)
def parameters(subject: Subject) -> None:
    """The parameters that it is checked with are valid."""
    try:
        _ = subject.params
    except UserError as error:
        advice = ": name it in the spec, or give `params`" if subject.missing() else ""
        raise Failed(f"{told(error)}{advice}.") from error


@check(*WITH_SCHEMA, essential=True)
def builds(subject: Subject) -> None:
    """It can be built from the parameters that it is checked with."""
    subject.build()


@check(*WITH_SCHEMA)
def defaults(subject: Subject) -> None:
    """It can be built from its defaults, and the parameters that have none."""
    params = dict(subject.params)
    for field in subject.fields:
        if not field.required and not isinstance(params[field.name], Path):  # names files
            params[field.name] = field.default
    if params == subject.params:
        return
    try:
        with offline():
            subject.target(**subject.supplied(), **params)
    except Reached as reached:
        raise Skipped(f"its defaults fetch something from {reached.host}.") from None
    except Unavailable as error:
        raise Skipped(f"its defaults can't be had here: {told(error)}.") from error
    except Exception as error:
        raise Failed(f"{subject.name} can't be built from its defaults: {told(error)}.") from error


@check(*WITH_SCHEMA)
def round_trip(subject: Subject) -> None:
    """Its parameters come back the same from TOML and from the text of a spec."""
    written = subject.spec
    forms = {
        "TOML": Spec.of(tomllib.loads(tomli_w.dumps({"part": written.table()}))["part"]),
        "text": Spec.parse(str(written)),
    }
    for form, read in forms.items():
        try:
            again = validate(subject.fields, read.params, str(subject))
        except UserError as error:
            raise Failed(
                f"{subject.name}'s parameters can't be read back: {told(error)}."
            ) from error
        for field in subject.fields:
            before, after = subject.params[field.name], again[field.name]
            if field.nested and isinstance(after, Spec):
                after = resolve(field.nested, after).spec
            if before != after:
                raise Failed(
                    f"{subject.name}'s {field.name!r} is {before!r}, but comes back from {form} as "
                    f"{after!r}: annotate it with a type that TOML holds."
                )


@check(*KINDS)
def documented(subject: Subject) -> None:
    """It has a docstring, or a summary where it has none of its own."""
    if subject.provided is not None and not subject.component.summary:
        raise Warned(f"{subject} has no summary: `p2ptk components` shows one line of each.")
    if subject.kind in NO_SCHEMA:
        return
    if not (getattr(subject.target, "__doc__", None) or "").strip():
        raise Warned(f"{subject.name} has no docstring: `p2ptk show` prints it.")
    unsaid = [p.name for p in subject.fields if f"{p.name}" not in subject.target.__doc__]
    if unsaid:
        raise Warned(
            f"{subject.name}'s docstring does not say what {unsaid[0]!r} is: a line "
            f"`{unsaid[0]}: ...` appears in `p2ptk show`."
        )


def _module(subject: Subject) -> str:
    found = subject.component.target
    if isinstance(found, str):
        return found.partition(":")[0]
    return str(getattr(found, "__module__", "") or type(found).__module__)


def _siblings(subject: Subject) -> list[str]:
    """Modules that are likely to be asked for next, since one fresh process serves them all."""
    known = registry()
    whose = subject.provided.distribution if subject.provided else ""
    provided = [p for s in known.plugins if s.distribution == whose for p in s.provides]
    if whose == HERE:
        provided = list(known._here.values())
    targets = [p.component.target for p in provided if p.kind in WITH_TARGET]
    found = [target.partition(":")[0] for target in targets if isinstance(target, str)]
    package = _module(subject).partition(".")[0]
    if not found and not package.startswith("test"):  # tests import more than their components
        found = [m for m in list(sys.modules) if m.startswith(f"{package}.")]
    return found
