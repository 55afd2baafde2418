"""pytest loads this by itself where p2ptk is installed: the fixture `conformance`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def conformance() -> Callable[..., list[Any]]:
    """`p2ptk.testing.conformance`: run every check of a kind on one component.

    def test_conforms(conformance):
        conformance("generator", "oasis:width=8")
    """
    from p2ptk.testing import conformance

    return conformance
