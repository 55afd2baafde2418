"""Look-up, building and description of components."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from torch import nn

from p2ptk.components import (
    Component,
    create,
    describe,
    find,
    list_components,
    register,
    resolve,
)
from p2ptk.errors import P2ptkError, UserError
from p2ptk.plugins import registry
from p2ptk.specs import Spec

CHANNELS = {"source_channels": 3, "target_channels": 3}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    registry.cache_clear()


@pytest.mark.parametrize(
    "provided",
    [p for p in list_components() if p.kind not in ("recipe", "command")],
    ids=lambda p: f"{p.kind}-{p.name}",
)
def test_every_built_in_resolves_and_is_described(provided: Any) -> None:
    described = describe(provided.kind, provided.name)
    assert described["doc"]
    assert described["provider"].startswith("p2ptk ")
    if all("default" in p for p in described["parameters"]):
        found = resolve(provided.kind, provided.name)
        assert resolve(provided.kind, found.spec).params == found.params
        assert found.short == Spec(provided.name)


def test_nested_components_are_resolved_and_written_out() -> None:
    found = resolve("generator", "unet:encoder=conv(depth=3)")
    assert found.spec.params["encoder"].params["width"] == 64
    assert isinstance(found.build(**CHANNELS), nn.Module)
    with pytest.raises(UserError, match="did you mean 'depth'"):
        resolve("generator", "unet:encoder=conv(dept=3)")


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        ("generator", "unett", "there is no generator 'unett': did you mean 'unet'?"),
        ("generators", "unet", "there is no kind 'generators': did you mean 'generator'?"),
        ("loss", "zzz", "choose from"),
    ],
)
def test_wrong_names(kind: str, name: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        find(kind, name)
    assert sentence in str(error.value)


def test_register_in_this_process() -> None:
    class Mine(nn.Module):
        """Mine."""

        def __init__(self, *, source_channels: int, target_channels: int, width: int = 3) -> None:
            super().__init__()
            self.width = width

    register("generator", "mine", Mine)
    assert create("generator", "mine:width=5", **CHANNELS).width == 5
    assert find("generator", "mine").provider.startswith("here")


def test_a_registered_name_does_not_shadow_a_built_in() -> None:
    register("loss", "l1", type("L1", (), {}))
    assert find("loss", "l1").distribution == "p2ptk"
    assert find("loss", "here/l1").distribution == "here"


def test_faulty_targets_blame_the_plugin() -> None:
    register("loss", "gone", "no_such_package.net:Loss")
    with pytest.raises(P2ptkError, match="can't be imported") as error:
        resolve("loss", "gone")
    assert not isinstance(error.value, UserError)


def test_migrate_and_aliases_read_older_files() -> None:
    def renamed(params: dict[str, Any]) -> dict[str, Any]:
        return {{"eps_": "eps"}.get(k, k): v for k, v in params.items()}

    old = Component(
        "smooth",
        "p2ptk.losses.charbonnier:CharbonnierLoss",
        aliases=("smoothed",),
        migrate=renamed,
    )
    registry().add_here("loss", old)
    assert resolve("loss", "smoothed:eps_=0.5").params["eps"] == 0.5


@pytest.mark.parametrize(("name", "target"), [("a b", "m:C"), ("", "m:C"), ("a", "no_colon")])
def test_bad_components_are_refused(name: str, target: str) -> None:
    with pytest.raises(ValueError, match=r"name|target"):
        Component(name, target)


def test_globs() -> None:
    assert {p.name for p in list_components("loss", "l*")} == {"l1", "l2"}
