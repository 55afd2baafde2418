"""What all checks share: their register, how they are run, and how they end."""

from __future__ import annotations

import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from p2ptk.contracts import KINDS
from p2ptk.errors import P2ptkError, UserError, did_you_mean
from p2ptk.testing.numbers import own_numbers
from p2ptk.testing.outcomes import NOT_MADE, Checked, Failed, Result, Skipped, Status, Warned, told
from p2ptk.testing.subject import Subject

Body = Callable[[Any], str | None]

# Which files hold the checks of a kind, in the order that they run.
_NETWORK = ("every", "networks", "network_weights")
_FILES = {
    "generator": (*_NETWORK, "generators", "capture"),
    "encoder": (*_NETWORK, "encoders", "capture"),
    "discriminator": (*_NETWORK, "discriminators", "capture"),
    "loss": ("every", "losses", "loss_effects"),
    "dataset": ("every", "datasets", "dataset_pairs"),
    "augmentation": ("every", "augmentations", "augmentation_geometry"),
    "metric": ("every", "metrics"),
    **dict.fromkeys(("launcher", "tracker", "recipe", "command"), ("every", "others")),
    "plugin": ("plugin_checks",),
}
_register: dict[str, list[Check]] = defaultdict(list)


@dataclass(frozen=True)
class Check:
    """One check of one kind. Call it with a component to have a failure raised.

    about: what holds where it passes. essential: the others make no sense where it fails.
    """

    kind: str
    name: str
    about: str
    body: Body
    essential: bool = False

    def __str__(self) -> str:
        return self.name

    def __call__(
        self,
        what: Any,
        *,
        params: Mapping[str, Any] | None = None,
        bad: Any = None,
        extra: Mapping[str, int] | None = None,
    ) -> None:
        """Arguments are those of `conformance`. Raises AssertionError where the check fails, and
        unittest.SkipTest where it can't be made."""
        result = run_check(self, Subject(self.kind, what, params=params, bad=bad, extra=extra))
        if result.status == "failed":
            raise Failed(result.sentence)
        if result.status == "skipped":
            raise Skipped(result.sentence)


def check(*kinds: str, essential: bool = False) -> Callable[[Body], Body]:
    """Register a function as a check of these kinds; its name and first line are the check's.

    It raises Failed, Warned or Skipped with a sentence, or gives one about what it saw, or None.
    """

    def add(body: Body) -> Body:
        name = body.__name__.replace("_", "-")
        about = (body.__doc__ or "").strip().partition("\n")[0]
        for kind in kinds:
            _register[kind].append(Check(kind, name, about, body, essential))
        return body

    return add


def checks(kind: str) -> list[Check]:
    """The checks of a kind, in the order that they run. Raises UserError for an unknown kind."""
    if kind not in _FILES:
        raise UserError(f"there is no kind {kind!r}: {did_you_mean(kind, KINDS)}")
    modules = [f"p2ptk.testing.{file}" for file in _FILES[kind]]
    for module in modules:
        import_module(module)
    return sorted(_register[kind], key=lambda check: modules.index(check.body.__module__))


def conformance(
    kind: str,
    what: Any,
    *,
    skip: Sequence[str] = (),
    params: Mapping[str, Any] | None = None,
    bad: Any = None,
    extra: Mapping[str, int] | None = None,
) -> list[Result]:
    """Run every check of a kind on one component and give the results.

    what: a spec (text, table or Spec), or a class or function. params: parameters for the latter.
    skip: names of checks to leave out. bad: for a dataset, a spec (or parameters) that names no
    data. extra: for a loss, channels of the extra tensors that it reads, by name.
    Raises AssertionError listing the checks that failed; unittest.SkipTest, by which pytest skips
    the test, where the component can't be had here; UserError for an unknown kind, component or
    check.
    """
    subject = Subject(kind, what, params=params, bad=bad, extra=extra)
    results = run_all(subject, skip)
    failed = [r for r in results if r.status == "failed"]
    if failed:
        made = sum(r.status != "skipped" for r in results)
        lines = "".join(f"\n  {r.check}: {r.sentence}" for r in failed)
        raise AssertionError(f"{subject} fails {len(failed)} of {made} checks:{lines}")
    needed = {c.name for c in checks(kind) if c.essential} - set(skip)
    for r in results:
        if r.status == "skipped" and r.check in needed:
            raise Skipped(f"{subject}: {r.sentence}")
    return results


def run_all(
    subject: Checked, skip: Sequence[str] = (), begin: Callable[[str], None] | None = None
) -> list[Result]:
    """Every check but those skipped; none after an essential one that did not pass.

    begin: called with the name of each check before it is made.
    """
    all_checks = checks(subject.kind)
    names = [c.name for c in all_checks]
    for name in skip:
        if name not in names:
            near = did_you_mean(name, names)
            raise UserError(f"there is no check {name!r} of a {subject.kind}: {near}")
    results: list[Result] = []
    broken = ""
    for each in all_checks:
        if each.name in skip or broken:
            why = f"{NOT_MADE} {broken}." if broken else "left out."
            results.append(Result(subject.kind, subject.label, each.name, "skipped", why))
            continue
        if begin:
            begin(each.name)
        results.append(run_check(each, subject))
        if each.essential and results[-1].status in ("failed", "skipped"):
            broken = (
                f"{each.name!r} {'failed' if results[-1].status == 'failed' else 'was skipped'}"
            )
    return results


def run_check(check: Check, subject: Checked) -> Result:
    """One check. Whatever it raises becomes a sentence."""
    started = time.perf_counter()
    status: Status = "passed"
    try:
        with own_numbers():
            sentence = check.body(subject) or ""
    except Skipped as skipped:
        status, sentence = "skipped", str(skipped)
    except Warned as warned:
        status, sentence = "warning", str(warned)
    except Failed as failed:
        status, sentence = "failed", str(failed)
    except Exception as error:
        status = "failed"
        sentence = f"{subject.name} stops with {told(error)}{_where(error)}."
    seconds = time.perf_counter() - started
    return Result(subject.kind, subject.label, check.name, status, sentence, seconds)


def _where(error: Exception) -> str:
    """FILE:LINE of the last frame outside of this package."""
    here = str(Path(__file__).parent)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if here not in f.filename]
    if isinstance(error, P2ptkError) or not frames:
        return ""
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})"
