"""Run one check of the kit on a component that was broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from p2ptk.testing.common import checks, run_check
from p2ptk.testing.outcomes import Result
from p2ptk.testing.subject import Subject


@pytest.fixture
def ended() -> Callable[..., Result]:
    """`ended("size-multiple", "generator", Broken, params=...)`: how that check ended."""

    def run(name: str, kind: str, what: Any, **more: Any) -> Result:
        check = next(c for c in checks(kind) if c.name == name)
        return run_check(check, Subject(kind, what, **more))

    return run


@pytest.fixture
def fails(ended: Callable[..., Result]) -> Callable[..., str]:
    """The sentence with which a check fails; `fails` itself fails where it does not."""

    def run(name: str, kind: str, what: Any, **more: Any) -> str:
        result = ended(name, kind, what, **more)
        assert result.status == "failed", result
        assert result.sentence.endswith("."), result.sentence
        return result.sentence

    return run
