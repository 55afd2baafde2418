"""Components of any kind that break what is asked of all: imports, signatures, parameters."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BeforeValidator, Field
from torch import Tensor

from p2ptk import Component, Translation, UserError, hookimpl
from p2ptk.plugins import registry
from p2ptk.testing import checks, conformance
from p2ptk.testing.fresh import import_alone
from p2ptk.testing.outcomes import Result

Fails = Callable[..., str]

# What modules do at import, by their names: all are imported in one process.
MODULES = {
    "imports_well": "",
    "imports_cuda": "import torch\ntry:\n    torch.zeros(1).cuda()\nexcept Exception:\n    pass",
    "imports_seeding": "import torch\ntorch.manual_seed(0)",
    "imports_drawing": "import numpy\nnumpy.random.rand()",
    "imports_switching": "import torch\ntorch.set_default_dtype(torch.float64)",
    "imports_network": "import socket\ntry:\n    socket.create_connection(('example.org', 80))\n"
    "except OSError:\n    pass",
    "imports_nothing_there": "import no_such_module_anywhere",
    "imports_badly": "raise ValueError('not today')",
}
CLASS = "\nclass Plain:\n    def generator(self, t):\n        return t.fake.abs().mean()\n"


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A plugin with a loss in each of those modules."""
    site = tmp_path_factory.mktemp("modules")
    for name, source in MODULES.items():
        (site / f"{name}.py").write_text(source + CLASS, "utf-8")

    class Hooks:
        __name__ = "hooks"

        @hookimpl
        def p2ptk_losses(self) -> list[Component]:
            return [Component(name, f"{name}:Plain", "a loss") for name in MODULES]

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        known = registry()
        known.add("p2ptk-imports", "1", lambda: [Hooks()])  # type: ignore[list-item]
        yield
        known.plugins = [s for s in known.plugins if s.distribution != "p2ptk-imports"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cuda", "importing imports_cuda starts CUDA: do that where"),
        ("seeding", "draws from (or seeds) torch, the generator that all share"),
        ("drawing", "draws from (or seeds) numpy.random"),
        ("switching", "changes torch.get_default_dtype() for the whole process"),
        ("network", "asks the network for example.org"),
        ("nothing_there", "fails: ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("badly", "fails: ValueError: not today"),
    ],
)
def test_imports(modules: None, fails: Fails, name: str, sentence: str) -> None:
    assert sentence in fails("import-touches-nothing", "loss", f"imports_{name}")


def test_a_module_that_does_nothing(modules: None, ended: Callable[..., Result]) -> None:
    result = ended("import-touches-nothing", "loss", "imports_well")
    assert (result.status, result.sentence[:12]) == ("passed", "imports_well")


def test_one_process_serves_all_modules_of_a_plugin(
    modules: None, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    from p2ptk.testing import fresh

    fails("import-touches-nothing", "loss", "imports_badly")
    monkeypatch.setattr(fresh, "_import_all", None)
    for name in ("well", "cuda", "badly"):
        import_alone(f"imports_{name}", list(MODULES))


def test_targets_that_are_not_there(fails: Fails, modules: None) -> None:
    said = fails("target", "loss", "imports_badly")
    assert "names the target 'imports_badly:Plain', which can't be imported: ValueError" in said
    assert "no class or function" in fails("target", "loss", 5)


class Base:
    """A loss.

    gain: factor.
    """

    def generator(self, t: Translation) -> Tensor:
        return t.fake.abs().mean()


def loss(init: Callable[..., None]) -> type:
    return type("Loss", (Base,), {"__init__": init, "__doc__": Base.__doc__})


def test_signatures(fails: Fails) -> None:
    def positional(self: Any, gain: float = 1.0) -> None: ...
    def bare(self: Any, *, gain=1.0) -> None: ...  # type: ignore[no-untyped-def]
    def open_ended(self: Any, **options: Any) -> None: ...
    def reserved(self: Any, *, weight: float = 1.0) -> None: ...
    def wrong(self: Any, *, gain: Annotated[float, Field(gt=0)] = 0.0) -> None: ...
    def odd(self: Any, *, gain: re.Match[str] | None = None) -> None: ...

    assert "make 'gain' keyword-only" in fails("signature", "loss", loss(positional))
    assert "annotate the parameter 'gain'" in fails("signature", "loss", loss(bare))
    assert "name every parameter instead" in fails("signature", "loss", loss(open_ended))
    assert "'weight' belongs to p2ptk" in fails("signature", "loss", loss(reserved))
    said = fails("signature", "loss", loss(wrong))
    assert "has a default that its own annotation refuses" in said
    assert "gain should be greater than 0" in said
    assert "which can't be validated" in fails("signature", "loss", loss(odd))


def test_what_the_core_supplies_must_be_taken(fails: Fails) -> None:
    def network(*, source_channels: int) -> Any: ...

    said = fails("signature", "generator", network)
    assert said == "network must take 'target_channels': p2ptk passes it by keyword."


def test_required_parameters(fails: Fails) -> None:
    def needs(self: Any, *, gain: float) -> None: ...

    assert "gain is required: name it in the spec" in fails("parameters", "loss", loss(needs))
    conformance("loss", loss(needs), params={"gain": 2.0}, skip=["import-touches-nothing"])


def test_a_component_that_can_not_be_built(fails: Fails) -> None:
    def stops(self: Any, *, gain: float = 1.0) -> None:
        if gain == 1.0:
            raise RuntimeError("no gain")

    assert "can't be built: RuntimeError: no gain" in fails("builds", "loss", loss(stops))
    said = fails("defaults", "loss", loss(stops), params={"gain": 2.0})
    assert "can't be built from its defaults: RuntimeError: no gain" in said


def test_defaults_that_need_a_network_are_skipped(ended: Callable[..., Result]) -> None:
    def fetches(self: Any, *, pretrained: bool = True) -> None:
        import socket

        if pretrained:
            try:
                socket.getaddrinfo("weights.example.org", 443)
            except Exception:
                raise RuntimeError("no network") from None

    result = ended("defaults", "loss", loss(fetches), params={"pretrained": False})
    assert result.status == "skipped"
    assert result.sentence == "its defaults fetch something from weights.example.org."


def test_parameters_that_do_not_come_back(fails: Fails) -> None:
    def doubles(
        self: Any, *, gain: Annotated[float, BeforeValidator(lambda x: 2 * x)] = 1.0
    ) -> None: ...

    said = fails("round-trip", "loss", loss(doubles), params={"gain": 1.5})
    assert "'gain' is 3.0, but comes back from TOML as 6.0" in said


def test_docstrings(ended: Callable[..., Result]) -> None:
    def takes(self: Any, *, gain: float = 1.0, bias: float = 0.0) -> None: ...

    silent = type("Silent", (), {"generator": Base.generator})
    result = ended("documented", "loss", silent)
    assert (result.status, "has no docstring" in result.sentence) == ("warning", True)
    result = ended("documented", "loss", loss(takes))
    assert "does not say what 'bias' is" in result.sentence


def test_conformance_lists_every_failure() -> None:
    class Bad(Base):
        every = 0

        def generator(self, t: Translation) -> Tensor:
            return t.fake.clamp_(0, 1).sum() * 0

    with pytest.raises(AssertionError) as raised:
        conformance("loss", Bad, skip=["import-touches-nothing", "phases", "documented"])
    lines = str(raised.value).splitlines()
    assert re.fullmatch(r"loss 'Bad' fails \d of \d+ checks:", lines[0])
    assert {line.partition(":")[0].strip() for line in lines[1:]} >= {
        "gradient-of-the-generator",
        "leaves-the-rest",
    }


def test_nothing_is_checked_after_an_essential_failure() -> None:
    with pytest.raises(AssertionError, match="fails 1 of ") as raised:
        conformance("loss", type("Empty", (), {}), skip=["import-touches-nothing"])
    assert str(raised.value).count("\n") == 1


def test_bad_calls_are_user_errors() -> None:
    with pytest.raises(UserError, match="did you mean 'generator'"):
        conformance("generatr", "unet")
    with pytest.raises(UserError, match="did you mean 'unet'"):
        conformance("generator", "unett")
    with pytest.raises(
        UserError, match="no check 'finite' of a loss: did you mean 'finite-scalar'"
    ):
        conformance("loss", "l1", skip=["finite"])


def test_checks_leave_the_global_generators_alone() -> None:
    import torch

    torch.manual_seed(7)
    state = torch.get_rng_state()
    conformance("loss", "gan", skip=["import-touches-nothing"])
    assert torch.equal(state, torch.get_rng_state())


QUICK = [c for c in checks("loss") if c.name != "import-touches-nothing"]


@pytest.mark.parametrize("check", QUICK, ids=str)
def test_checks_can_be_parametrised(check: Any) -> None:
    check("l1")
    assert check.about.endswith(".")


def test_the_docstring_of_the_kit_can_be_run(tmp_path: Path) -> None:
    import p2ptk.testing

    text = textwrap.dedent(p2ptk.testing.__doc__ or "")
    assert "from p2ptk.testing import conformance" in text
    assert all(f"`{name}" in text for name in ("bounded", "conditional", "capturable"))
