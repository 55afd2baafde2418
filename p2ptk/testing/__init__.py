"""The conformance kit: does a component keep the contract of its kind?

A plugin's tests need one line a component:

    from p2ptk.testing import conformance


    def test_conforms() -> None:
        conformance("generator", "oasis:width=8")

`conformance` runs every check of the kind and raises an AssertionError that lists those that
failed, each as a sentence that says what to change. It takes a spec, or a class or factory function
that no plugin provides yet. What a check can't guess is given by keyword:

    conformance("dataset", "lmdb:path=tests/pairs.lmdb", bad="lmdb:path=nowhere.lmdb")
    conformance("loss", "masked-l1", extra={"mask": 1})
    conformance("generator", Oasis, params={"width": 8}, skip=["capturable"])

To see one test a check, parametrise over `checks`:

    @pytest.mark.parametrize("check", checks("generator"), ids=str)
    def test_oasis(check: Check) -> None:
        check("oasis:width=8")

Under pytest `conformance` is a fixture as well, without an import. Give small parameters: each
network is built a dozen times. `p2ptk check NAME|PATH` runs the same checks from the shell.

Optional attributes that say what a component does not promise: a generator's `bounded = False`
(its output is not confined to [-1, 1]), a discriminator's `conditional = False` (it does not look
at the source) and `receptive_field = None` (a logit sees the whole image), a network's
`capturable = False` (a CUDA graph can't capture it), a metric's `higher_is_better`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from p2ptk.testing.common import Check, checks, conformance
    from p2ptk.testing.outcomes import Result

__all__ = ["Check", "Result", "checks", "conformance"]


def __getattr__(name: str) -> Any:
    """Names load when they are first used: pytest imports this package whenever it starts."""
    if name not in __all__:
        raise AttributeError(f"module 'p2ptk.testing' has no attribute {name!r}")
    from p2ptk.testing import common

    return getattr(common, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
